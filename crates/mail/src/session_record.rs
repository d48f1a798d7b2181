//! What a session ran over and what its host had proved, as it is recorded.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use tls_rpt::{ResultType, TlsaRecord};

use crate::exception_record::ExceptionRecord;

/// The session over which a message went, or with which it ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SessionRecord {
    /// The host, by the name that it was asked for by.
    pub host: String,
    /// Its address.
    pub address: Option<SocketAddr>,
    /// The address that it was connected to from.
    pub source: Option<IpAddr>,
    /// When there was a connection.
    pub connected_at: SystemTime,
    /// When the session was ready for mail: its host had proved what it had to. A later attempt may
    /// have used it.
    pub proved_at: SystemTime,
    /// What it had proved.
    pub proof: Proof,
    /// What was under it.
    pub channel: Channel,
    /// What its host and its certificate are worth under the policy.
    pub mta_sts: MtaStsVerdict,
    /// The exception for its host or its certificate, by which alone it may take the mail.
    pub exception: Option<Arc<ExceptionRecord>>,
}

impl SessionRecord {
    /// What protects mail on the session.
    #[must_use]
    pub const fn protection(&self) -> Protection {
        Protection::of(self.proof, &self.channel)
    }
}

/// What the host of a session had to prove, and has.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Proof {
    /// That it is the one that its secure TLSA records mean, of a name that the DNS secures
    /// (RFC 7672 §2.2).
    Dane,
    /// Its name, because a route or the message demands it.
    Demanded,
    /// That it has the certificate, or is the host, for which an operator's exception is made; it does not
    /// meet the enforced policy.
    Excepted,
    /// Nothing.
    None,
    /// Its name, which an enforced policy lists.
    Policy,
}

/// What MTA-STS makes of a session (RFC 8461 §4).
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum MtaStsVerdict {
    /// It meets the policy.
    Met,
    /// It does not meet the policy, which is in testing or was passed over for the message.
    NotMet {
        /// What a report calls it (RFC 8460 §4.3).
        result_type: ResultType,
        /// The same in words.
        reason: Option<String>,
    },
    /// No policy applies.
    NotApplied,
}

/// What protects mail on its way to the next host.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Protection {
    /// Nothing.
    Plaintext,
    /// TLS with whoever answered.
    Tls,
    /// TLS with a host that has matched its TLSA records.
    Dane,
    /// TLS with a host that an enforced policy names and that has proved its name.
    Verified,
}

impl Protection {
    /// All of them, the weakest first.
    pub const ALL: [Self; 4] = [Self::Plaintext, Self::Tls, Self::Dane, Self::Verified];

    /// The one with this label.
    #[must_use]
    pub fn of_label(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.label() == label)
    }

    /// Of a session with this proof.
    #[must_use]
    pub const fn of(proof: Proof, channel: &Channel) -> Self {
        match (proof, channel) {
            (Proof::Policy, Channel::Tls(_)) => Self::Verified,
            (Proof::Dane, Channel::Tls(_)) => Self::Dane,
            (Proof::Demanded | Proof::Excepted | Proof::None, Channel::Tls(_)) => Self::Tls,
            (
                Proof::Dane | Proof::Demanded | Proof::Excepted | Proof::None | Proof::Policy,
                Channel::Clear(_),
            ) => Self::Plaintext,
        }
    }

    /// A word for a metric or a table.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Plaintext => "plaintext",
            Self::Tls => "tls",
            Self::Dane => "dane",
            Self::Verified => "verified",
        }
    }
}

/// What a session runs over.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Channel {
    /// A connection without TLS.
    Clear(WhyClear),
    /// TLS.
    Tls(Arc<TlsRecord>),
}

/// Why a session has no TLS.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum WhyClear {
    /// TLS was tried on another connection, and failed.
    AfterFailure,
    /// The host does not offer it, or refuses it.
    NotOffered,
}

/// The word for a session in clear, and for none.
pub(crate) const NO_TLS: &str = "none";

impl Channel {
    /// The version of TLS, if there is any.
    #[must_use]
    pub fn version(&self) -> Option<TlsVersion> {
        match self {
            Self::Clear(_) => None,
            Self::Tls(tls) => Some(tls.version),
        }
    }

    /// A word for the log.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Clear(WhyClear::AfterFailure) => "failed",
            Self::Clear(WhyClear::NotOffered) => NO_TLS,
            Self::Tls(tls) => tls.version.word(),
        }
    }
}

/// What a handshake showed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TlsRecord {
    /// The version of TLS.
    pub version: TlsVersion,
    /// The cipher suite, by its name in IANA's registry.
    pub cipher_suite: Option<String>,
    /// The group in which keys were exchanged, by its name in IANA's registry.
    pub key_exchange: Option<String>,
    /// The host's certificate; none where it showed none.
    pub certificate: Option<CertificateRecord>,
    /// What the host showed: its certificate, and those that it named as the way to an authority.
    pub chain: Vec<ShownCertificate>,
    /// What the certificate is worth (RFC 8461 §4.2).
    pub verdict: CertificateVerdict,
    /// What the TLSA records of the host make of it.
    pub dane: DaneVerdict,
    /// The TLSA records that were of use to verify the host with.
    pub tlsa: Vec<TlsaRecord>,
}

/// What the TLSA records of a host make of a session with it (RFC 7672 §2.2).
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum DaneVerdict {
    /// It has matched one of them.
    Matched {
        /// The TLSA base domain.
        base: String,
        /// The record.
        record: TlsaRecord,
    },
    /// None apply.
    NotApplied,
    /// It has matched none of them, and did not have to.
    NotMatched {
        /// The TLSA base domain.
        base: String,
        /// Why not, in words.
        reason: String,
    },
    /// There are some, and none of use.
    Unusable {
        /// The TLSA base domain.
        base: String,
    },
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TlsVersion {
    /// Another one than those that are offered.
    Other,
    /// RFC 5246.
    Tls12,
    /// RFC 8446.
    Tls13,
}

impl TlsVersion {
    /// Its name, for the log.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Other => "unknown",
            Self::Tls12 => "TLSv1.2",
            Self::Tls13 => "TLSv1.3",
        }
    }
}

/// A host's certificate, in what tells it from others.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CertificateRecord {
    /// Its SHA-256; none where the provider of TLS has none.
    pub digest: Option<[u8; 32]>,
    /// The name of its issuer; none where it could not be read.
    pub issuer: Option<String>,
    /// The first of the names that it is for.
    pub names: Vec<String>,
    /// The first moment at which it holds.
    pub not_before: Option<SystemTime>,
    /// The last moment at which it holds.
    pub not_after: Option<SystemTime>,
}

/// A certificate as a host showed it.
#[derive(Clone, Eq, PartialEq)]
pub struct ShownCertificate {
    /// Its SHA-256.
    pub digest: [u8; 32],
    /// Its DER.
    pub der: Arc<[u8]>,
}

impl fmt::Debug for ShownCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ShownCertificate({} octets)", self.der.len())
    }
}

/// What a certificate is worth to a sender that verifies.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum CertificateVerdict {
    /// It proves nothing.
    Invalid {
        /// What a report calls it (RFC 8460 §4.3).
        result_type: ResultType,
        /// The same in words.
        reason: String,
    },
    /// There was none.
    NotShown,
    /// It proves the host's name.
    Valid,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_protection_is_kept_as_the_word_for_it() {
        for protection in Protection::ALL {
            let kept = serde_json::to_value(protection).unwrap();
            assert_eq!(kept, protection.label());
        }
    }

    #[test]
    fn only_an_enforced_policy_that_nothing_lifts_counts_as_verified() {
        let over = |version| {
            let (certificate, verdict) = (None, CertificateVerdict::Valid);
            Channel::Tls(Arc::new(TlsRecord {
                version,
                cipher_suite: None,
                key_exchange: None,
                certificate,
                chain: Vec::new(),
                verdict,
                dane: DaneVerdict::NotApplied,
                tlsa: Vec::new(),
            }))
        };
        let of = |proof, channel: Channel| Protection::of(proof, &channel);
        assert_eq!(of(Proof::Policy, over(TlsVersion::Tls13)), Protection::Verified);
        assert_eq!(of(Proof::Dane, over(TlsVersion::Tls13)), Protection::Dane);
        assert_eq!(of(Proof::Dane, Channel::Clear(WhyClear::NotOffered)), Protection::Plaintext);
        assert_eq!(of(Proof::Demanded, over(TlsVersion::Tls13)), Protection::Tls);
        assert_eq!(of(Proof::Excepted, over(TlsVersion::Tls13)), Protection::Tls);
        assert_eq!(of(Proof::None, over(TlsVersion::Tls13)), Protection::Tls);
        assert_eq!(of(Proof::None, over(TlsVersion::Tls12)), Protection::Tls);
        assert_eq!(of(Proof::None, Channel::Clear(WhyClear::NotOffered)), Protection::Plaintext);
        assert_eq!(of(Proof::None, Channel::Clear(WhyClear::AfterFailure)), Protection::Plaintext);
    }
}
