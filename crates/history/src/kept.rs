//! What a store keeps of an attempt until it is in a segment: a JSON object, or octets that records name
//! by their digest.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use store::RecordBytes;

use crate::digest::Digest;
use crate::facts::Attempt;

/// What most records fit into, in octets.
const USUAL_SIZE: usize = 1_024;

/// What octets begin with in a store; JSON begins otherwise.
const OCTETS: u8 = 0;

/// What octets are that records name by their digest.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum BlobKind {
    /// A certificate (DER).
    Certificate,
    /// The text of a policy.
    Policy,
}

impl BlobKind {
    /// The word in a segment.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::Policy => "policy",
        }
    }

    /// What it is in a store.
    const fn octet(self) -> u8 {
        match self {
            Self::Certificate => b'c',
            Self::Policy => b'p',
        }
    }
}

/// A fact that many attempts share.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum SharedFact {
    /// The history's files have it.
    Known(Digest),
    /// It may be new.
    Whole(Box<RawValue>),
}

/// An attempt on its way into a store.
#[derive(Debug, Serialize)]
pub(crate) struct Recorded<'a> {
    /// The month under whose key addresses are hashed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<&'a str>,
    /// What the policy asked for.
    pub(crate) decision: &'a SharedFact,
    /// The session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) session: Option<&'a SharedFact>,
    /// Addresses that are to be read, by what stands for them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) clear: Vec<(String, String)>,
    /// The attempt by itself.
    pub(crate) text: &'a Attempt,
}

impl Recorded<'_> {
    /// Its bytes; none where they are too many for a store.
    pub(crate) fn bytes(&self) -> Option<RecordBytes> {
        let mut bytes = Vec::with_capacity(USUAL_SIZE);
        serde_json::to_writer(&mut bytes, self).ok()?;
        RecordBytes::new(bytes)
    }
}

/// Octets on their way into a store; none where they are too many for one.
pub(crate) fn blob_bytes(kind: BlobKind, octets: &[u8]) -> Option<RecordBytes> {
    let mut bytes = Vec::with_capacity(octets.len().saturating_add(2));
    bytes.extend([OCTETS, kind.octet()]);
    bytes.extend(octets);
    RecordBytes::new(bytes)
}

/// What was kept.
#[derive(Debug)]
pub(crate) enum Kept<'a> {
    /// An attempt.
    Attempt(Box<KeptAttempt<'a>>),
    /// An attempt as it was kept before format 2.
    Earlier(Box<EarlierAttempt<'a>>),
    /// Octets that records name by their digest.
    Blob(BlobKind, &'a [u8]),
}

/// An attempt as it is read back; all of it stays the text that it was written as.
#[derive(Debug, Deserialize)]
pub(crate) struct KeptAttempt<'a> {
    /// The month under whose key addresses are hashed.
    #[serde(borrow, default)]
    pub(crate) key: Option<&'a str>,
    /// What the policy asked for, or the digest of that.
    #[serde(borrow)]
    pub(crate) decision: &'a RawValue,
    /// The session, or its digest.
    #[serde(borrow, default)]
    pub(crate) session: Option<&'a RawValue>,
    /// Addresses that are to be read, by what stands for them.
    #[serde(default)]
    pub(crate) clear: Vec<(String, String)>,
    /// The attempt by itself.
    #[serde(borrow)]
    pub(crate) text: &'a RawValue,
}

/// An attempt as it was kept before format 2, with its addresses.
#[derive(Debug, Deserialize)]
pub(crate) struct EarlierAttempt<'a> {
    /// The attempt by itself.
    pub(crate) attempt: Attempt,
    /// What the policy asked for.
    #[serde(borrow)]
    pub(crate) decision: &'a RawValue,
    /// The session.
    #[serde(borrow)]
    pub(crate) session: Option<&'a RawValue>,
}

impl<'a> Kept<'a> {
    /// Reads what was kept.
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Self, serde_json::Error> {
        match bytes {
            [OCTETS, b'c', octets @ ..] => Ok(Self::Blob(BlobKind::Certificate, octets)),
            [OCTETS, b'p', octets @ ..] => Ok(Self::Blob(BlobKind::Policy, octets)),
            _ if bytes.starts_with(b"{\"attempt\"") => {
                serde_json::from_slice(bytes).map(Self::Earlier)
            }
            _ => serde_json::from_slice(bytes).map(Self::Attempt),
        }
    }
}
