//! Why a session failed, in words that add up (`failure-reason-code`, RFC 8460 §4.4).

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Declares the reasons: each variant with its word, those with a number apart.
macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $word:literal,)*) => {
        /// What a failure's result type leaves open.
        ///
        /// The list is closed: a reason in a host's words, or with an address in it, would make an
        /// entry of a report for each session instead of one for all of them.
        #[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
        #[serde(try_from = "String", into = "String")]
        pub enum FailureReason {
            $($(#[$doc])* $name,)*
            /// The policy host answered with this status.
            Http(u16),
            /// STARTTLS was refused with this reply code.
            StarttlsReply(u16),
            /// The host ended the handshake with this alert.
            TlsAlert(u8),
        }

        impl FailureReason {
            /// Those without a number.
            const PLAIN: &[Self] = &[$(Self::$name,)*];
        }

        impl fmt::Display for FailureReason {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$name => f.write_str($word),)*
                    Self::Http(status) => write!(f, "http-{status}"),
                    Self::StarttlsReply(code) => write!(f, "starttls-reply-{code}"),
                    Self::TlsAlert(alert) => write!(f, "tls-alert-{alert}"),
                }
            }
        }
    };
}

reasons! {
    /// Of the secure TLSA records none can be used (RFC 7672 §2.2).
    AllRecordsUnusable = "all-records-unusable",
    /// A signature in the chain or in the handshake does not verify.
    BadSignature = "bad-signature",
    /// An answer of the DNS did not pass DNSSEC.
    Bogus = "bogus",
    /// The connection was closed after the handshake, before EHLO was answered.
    ClosedAfterHandshake = "closed-after-handshake",
    /// The connection was cut in the handshake.
    ConnectionCut = "connection-cut",
    /// No connection to the policy host came about.
    ConnectionFailed = "connection-failed",
    /// The policy came in a coding that was not asked for.
    ContentCoding = "content-coding",
    /// No secure TLSA record matches the certificate.
    DaneNoMatch = "dane-no-match",
    /// The policy host's addresses could not be looked up.
    Dns = "dns",
    /// The policy host's certificate has expired; of an MX host's the result type says so.
    Expired = "expired",
    /// The policy host's certificate names another host; of an MX host's the result type says so.
    HostMismatch = "host-mismatch",
    /// The exchange with the policy host was not HTTP.
    HttpProtocol = "http-protocol",
    /// Something was said in clear between STARTTLS and the handshake (RFC 3207 §4.2).
    InjectedPlaintext = "injected-plaintext",
    /// The certificate cannot be read, or breaks a rule that has no word here.
    InvalidCertificate = "invalid-certificate",
    /// The policy is not `text/plain`.
    MediaType = "media-type",
    /// The policy does not name the MX host.
    MxNotInPolicy = "mx-not-in-policy",
    /// The host's name is not one that a certificate can prove.
    NameNotProvable = "name-not-provable",
    /// The policy host has no address.
    NoAddress = "no-address",
    /// No certificate was shown.
    NoCertificate = "no-certificate",
    /// There is no cipher suite, group or signature scheme that both have.
    NoCommonCipher = "no-common-cipher",
    /// There is no version of TLS that both have.
    NoCommonVersion = "no-common-version",
    /// The certificate is not valid yet.
    NotValidYet = "not-yet-valid",
    /// What was fetched is not a policy.
    PolicySyntax = "policy-syntax",
    /// The policy host has none but private addresses.
    PrivateAddress = "private-address",
    /// The policy host answered with a redirect (RFC 8461 §3.3).
    Redirect = "redirect",
    /// The certificate was revoked.
    Revoked = "revoked",
    /// The DNS answered that it failed.
    Servfail = "servfail",
    /// The EHLO reply lacked STARTTLS.
    StarttlsNotOffered = "starttls-not-offered",
    /// The time ran out.
    Timeout = "timeout",
    /// The handshake was not TLS.
    TlsProtocol = "tls-protocol",
    /// The policy is larger than may be.
    TooLarge = "too-large",
    /// The chain does not end at a trust root.
    UnknownIssuer = "unknown-issuer",
    /// The certificate is not for a server.
    WrongPurpose = "wrong-purpose",
}

impl FailureReason {
    /// Parses a reason as it prints.
    ///
    /// # Errors
    ///
    /// [`FailureReasonError`] where it is not on the list.
    pub fn parse(text: &str) -> Result<Self, FailureReasonError> {
        let plain = Self::PLAIN.iter().copied();
        let mut all = plain.chain(numbered(text));
        all.find(|reason| reason.to_string() == text).ok_or(FailureReasonError)
    }
}

/// The reason that a text with a number at its end may be.
fn numbered(text: &str) -> Option<FailureReason> {
    let (word, number) = text.rsplit_once('-')?;
    match word {
        "http" => number.parse().ok().map(FailureReason::Http),
        "starttls-reply" => number.parse().ok().map(FailureReason::StarttlsReply),
        "tls-alert" => number.parse().ok().map(FailureReason::TlsAlert),
        _ => None,
    }
}

impl TryFrom<String> for FailureReason {
    type Error = FailureReasonError;

    fn try_from(text: String) -> Result<Self, FailureReasonError> {
        Self::parse(&text)
    }
}

impl From<FailureReason> for String {
    fn from(reason: FailureReason) -> Self {
        reason.to_string()
    }
}

/// A text is not a reason on the list.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("it is not a reason that this version knows")]
pub struct FailureReasonError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_reads_as_it_prints() {
        let numbered = [
            FailureReason::Http(404),
            FailureReason::StarttlsReply(454),
            FailureReason::TlsAlert(40),
        ];
        for reason in FailureReason::PLAIN.iter().copied().chain(numbered) {
            assert_eq!(FailureReason::parse(&reason.to_string()), Ok(reason));
        }
        assert_eq!(FailureReason::TlsAlert(40).to_string(), "tls-alert-40");
        for bad in ["", "http", "http-", "http-04", "http-+4", "tls-alert-256", "Timeout", "dns-1"]
        {
            assert_eq!(FailureReason::parse(bad), Err(FailureReasonError), "{bad}");
        }
    }
}
