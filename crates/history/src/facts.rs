//! The facts of an attempt as words, the way they are kept: what a reader of the files finds.
//!
//! Nothing here is decided or compared any more; a field is added without harm, because a reader passes
//! over what it does not know, and none is ever given another meaning.

use serde::{Deserialize, Serialize};

/// An attempt for the recipients of a message who share what came of it. Times are milliseconds
/// since 1970.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Attempt {
    /// The message.
    pub queue_id: String,
    /// Which attempt it was, counted from 1.
    pub attempt: u32,
    /// When the message was accepted.
    pub accepted_at: u64,
    /// When the attempt began.
    pub began_at: u64,
    /// When its result was known.
    pub ended_at: u64,
    /// The size of header and body, in octets.
    pub size: u64,
    /// `mail`, or `tls-report` (RFC 8460 §5.3).
    pub purpose: String,
    /// What the message asks of TLS: `requiretls`, `tls-required-no` (RFC 8689); absent: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_required: Option<String>,
    /// The month under whose key addresses are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The reverse-path; empty: the null reverse-path. Absent where addresses are not kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender: Option<String>,
    /// The recipients. Empty where addresses are not kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recipients: Vec<String>,
    /// How many recipients there are.
    pub recipient_count: u32,
    /// The recipients' domain.
    pub domain: String,
    /// The hosts that were tried, in that order, unless the first one settled the mail.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tried: Vec<Tried>,
    /// The milliseconds from the attempt's beginning to its connection; absent where it used a
    /// connection that was there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connected_ms: Option<u64>,
    /// The same to the session that was ready for mail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proved_ms: Option<u64>,
    /// The same to its result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled_ms: Option<u64>,
    /// The configured next hop; absent: the hosts of the domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// `delivered`, `deferred` or `bounced`.
    pub outcome: String,
    /// What protected the mail, or would have: `plaintext`, `tls`, `dane`, `verified`.
    pub protection: String,
    /// The host that took it, or that was tried last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Its address and port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The enhanced status code (RFC 3463) of mail that was not delivered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// What kind of failure it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// The same in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What the host replied: the first 512 octets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<String>,
}

/// A host that was tried.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Tried {
    /// Its name.
    pub host: String,
    /// Its address and port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// `session`, or the kind of failure that there was instead of one.
    pub met: String,
    /// The same in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What the MTA-STS policy of the next hop asked for (RFC 8461 §5).
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Decision {
    /// `enforced`, `permitted`, `undecided` or `not-looked-up`; `lost` where it was in a segment that was
    /// damaged.
    pub decision: String,
    /// The mode of the policy; absent: there is none, or it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// The policy domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_domain: Option<String>,
    /// The id of the policy's TXT record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_id: Option<String>,
    /// The SHA-256 of the policy's text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_sha256: Option<String>,
    /// When the policy was fetched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fetched_at: Option<u64>,
    /// The last moment at which it applies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<u64>,
    /// What the DNS said of the policy, where it was asked: `found`, `not-published` or `failed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub txt: Option<String>,
    /// The id in the TXT record that was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub txt_id: Option<String>,
    /// Why nothing was enforced, or why it could not be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

impl Decision {
    /// What is told where a segment with it was lost before the record was kept.
    pub(crate) fn lost() -> Self {
        let decision = "lost".to_owned();
        Self { decision, ..Self::default() }
    }
}

/// The session in which the result was reached.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Session {
    /// The host, by the name that it was asked for by.
    pub host: String,
    /// Its address and port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The address that it was connected to from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// When there was a connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connected_at: Option<u64>,
    /// When the session was ready for mail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proved_at: Option<u64>,
    /// What the host had to prove, and has: `policy`, `dane`, `demanded` or `none`.
    pub proof: String,
    /// TLS; absent: the session was in clear.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// Why there was no TLS: `not-offered` or `after-failure`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why_clear: Option<String>,
    /// What MTA-STS makes of it.
    pub mta_sts: MtaSts,
}

/// What MTA-STS makes of a session (RFC 8461 §4), also where the policy is in testing.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct MtaSts {
    /// `met`, `not-met` or `not-applied`.
    pub verdict: String,
    /// What a TLS report calls the failure (RFC 8460 §4.3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result_type: Option<String>,
    /// The same in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What a handshake showed.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Tls {
    /// The version.
    pub version: String,
    /// The cipher suite, by its name in IANA's registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cipher_suite: Option<String>,
    /// The group in which keys were exchanged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_exchange: Option<String>,
    /// The SHA-256 of each certificate that the host showed, its own first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chain: Vec<String>,
    /// The host's certificate; absent: it showed none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<Certificate>,
    /// What the certificate is worth by the trust roots alone, whether anybody asked or not.
    pub pkix: Verdict,
    /// What the TLSA records of the host make of it (RFC 7672 §2.2).
    pub dane: Dane,
}

/// A certificate, in what tells it from others.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Certificate {
    /// Its SHA-256, as 64 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// The name of its issuer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// The first of the names that it is for.
    pub names: Vec<String>,
    /// The one of them that is the host's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matched: Option<String>,
    /// The first moment at which it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<u64>,
    /// The last moment at which it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<u64>,
}

/// What a certificate is worth to a sender that verifies.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Verdict {
    /// `valid`, `invalid` or `not-shown`.
    pub verdict: String,
    /// What a TLS report calls the failure (RFC 8460 §4.3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result_type: Option<String>,
    /// The same in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What TLSA records make of a session.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Dane {
    /// `matched`, `not-matched`, `unusable` or `not-applied`.
    pub verdict: String,
    /// The TLSA base domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// The records that were of use.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub records: Vec<String>,
    /// The record that it matched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<String>,
    /// Why it matched none, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
