//! A host that matches none of its TLSA records: what was expected, and what was shown.

use std::fmt;

use dane::{Association, Mismatch, TlsaRecord};
use pkix::subject_public_key_info;
use rustls::pki_types::CertificateDer;

use super::digest::sha256;

/// How many records a reason names.
const LISTED: usize = 8;

/// How many octets of a record's data a reason prints: more than any digest has.
const PRINTED: usize = 64;

/// Why a host matches none of its records, in what its operator needs to mend it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{mismatch} (TLSA base domain {base}; records: {}; shown: {shown})", list(records))]
pub struct NoMatch {
    mismatch: Mismatch,
    base: String,
    records: Vec<TlsaRecord>,
    shown: Shown,
}

impl NoMatch {
    /// What `association` makes of what was shown.
    pub(super) fn new(association: &Association, mismatch: Mismatch, shown: Shown) -> Self {
        let base = association.names().base().as_ref().to_owned();
        Self { mismatch, base, records: association.records().to_vec(), shown }
    }

    /// Why it does not match.
    #[must_use]
    pub const fn mismatch(&self) -> &Mismatch {
        &self.mismatch
    }
}

/// The records in words, the first of them if they are many.
fn list(records: &[TlsaRecord]) -> String {
    let word = |record: &TlsaRecord| match record.data.get(..PRINTED) {
        Some(data) if data.len() < record.data.len() => {
            let shortened = TlsaRecord { data: data.to_vec(), ..record.clone() };
            format!("{shortened}.. ({} octets)", record.data.len())
        }
        Some(_) | None => record.to_string(),
    };
    let mut words: Vec<String> = records.iter().take(LISTED).map(word).collect();
    let more = records.len().saturating_sub(LISTED);
    if more > 0 {
        words.push(format!("and {more} more"));
    }
    words.join(", ")
}

/// The keys that a host has shown, by the digests that `3 1 1` and `2 1 1` records have.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Shown {
    leaf: Option<[u8; 32]>,
    issuer: Option<[u8; 32]>,
}

impl Shown {
    /// Of a chain that begins like this.
    pub(super) fn of(leaf: &CertificateDer<'_>, issuer: Option<&CertificateDer<'_>>) -> Self {
        let digest = |certificate| subject_public_key_info(certificate).and_then(sha256);
        Self { leaf: digest(leaf), issuer: issuer.and_then(digest) }
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(leaf) = self.leaf else { return f.write_str("no readable certificate") };
        write!(f, "3 1 1 {}", Hex(leaf))?;
        match self.issuer {
            Some(issuer) => write!(f, " issued by 2 1 1 {}", Hex(issuer)),
            None => Ok(()),
        }
    }
}

/// A digest in hexadecimal digits.
struct Hex([u8; 32]);

impl fmt::Display for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}
