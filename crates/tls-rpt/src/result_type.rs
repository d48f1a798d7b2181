//! The names RFC 8460 gives to policies and to failures.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What kind of policy an attempt was made under (RFC 8460 §4.4, `policy-type`).
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PolicyType {
    /// Neither DANE nor MTA-STS applied.
    NoPolicyFound,
    /// An MTA-STS policy (RFC 8461).
    Sts,
    /// DANE TLSA records (RFC 7672).
    Tlsa,
}

impl PolicyType {
    /// The name as it is written in a report.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoPolicyFound => "no-policy-found",
            Self::Sts => "sts",
            Self::Tlsa => "tlsa",
        }
    }
}

impl fmt::Display for PolicyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What went wrong (RFC 8460 §4.3, `result-type`).
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResultType {
    /// The certificate is past its validity (RFC 8460 §4.3.1).
    CertificateExpired,
    /// The certificate does not name the MX host (RFC 8460 §4.3.1).
    CertificateHostMismatch,
    /// The certificate's chain does not end at a trust root (RFC 8460 §4.3.1).
    CertificateNotTrusted,
    /// The sender requires DANE and found none (RFC 8460 §4.3.2.1).
    DaneRequired,
    /// A DNS answer failed validation (RFC 8460 §4.3.2.1).
    DnssecInvalid,
    /// The EHLO reply lacked STARTTLS, or STARTTLS was refused (RFC 8460 §4.3.1).
    StarttlsNotSupported,
    /// The policy could not be fetched (RFC 8460 §4.3.2.2).
    StsPolicyFetchError,
    /// The policy was fetched and could not be read (RFC 8460 §4.3.2.2).
    StsPolicyInvalid,
    /// The policy host did not prove its name (RFC 8460 §4.3.2.2).
    StsWebpkiInvalid,
    /// The TLSA records could not be used (RFC 8460 §4.3.2.1).
    TlsaInvalid,
    /// Any failure that has no name of its own (RFC 8460 §4.3.3).
    ValidationFailure,
}

impl ResultType {
    /// The name as it is written in a report, a log line and a metric label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CertificateExpired => "certificate-expired",
            Self::CertificateHostMismatch => "certificate-host-mismatch",
            Self::CertificateNotTrusted => "certificate-not-trusted",
            Self::DaneRequired => "dane-required",
            Self::DnssecInvalid => "dnssec-invalid",
            Self::StarttlsNotSupported => "starttls-not-supported",
            Self::StsPolicyFetchError => "sts-policy-fetch-error",
            Self::StsPolicyInvalid => "sts-policy-invalid",
            Self::StsWebpkiInvalid => "sts-webpki-invalid",
            Self::TlsaInvalid => "tlsa-invalid",
            Self::ValidationFailure => "validation-failure",
        }
    }
}

impl fmt::Display for ResultType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
