//! Why a policy could not be fetched, and what that is called in a report (RFC 8460 §4.3.2.2).

use std::error::Error;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use thiserror::Error;

use crate::discovery::NamesError;
use crate::fetch::proof::CertificateFault;
use crate::policy::PolicyError;

/// The largest policy file that is read (RFC 8461 §3.3).
pub const POLICY_SIZE_MAX: usize = 64 * 1024;

/// Why a policy could not be fetched.
#[derive(Debug, Error)]
pub enum FetchError {
    /// The policy host did not prove its name.
    #[error("certificate verification of the policy host at {address} failed")]
    Certificate {
        /// The host's address.
        address: SocketAddr,
        /// What its certificate lacks.
        fault: CertificateFault,
        /// The same in words.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The body is in a coding that was not asked for: `gzip`, for one (RFC 9110 §12.5.3).
    #[error("the policy host served the policy in the coding {0:?}, which was not asked for")]
    Coding(String),
    /// No connection came about.
    #[error("connection to the policy host at {address} failed: {words}", words = in_words(.error))]
    Connect {
        /// The host's address.
        address: SocketAddr,
        /// What went wrong.
        error: std::io::Error,
    },
    /// The conversation broke off or did not keep to HTTP.
    #[error("the HTTP exchange with the policy host failed")]
    Http(#[source] Box<dyn Error + Send + Sync>),
    /// The reply is not `text/plain` (RFC 8461 §3.2).
    #[error("the policy host served {0:?}, not text/plain")]
    MediaType(String),
    /// The policy host's addresses could not be looked up.
    #[error("address lookup for the policy host failed")]
    Names(#[from] NamesError),
    /// The policy host has no address.
    #[error("the policy host has no address")]
    NoAddress,
    /// The policy host's name cannot stand in a certificate.
    #[error("the policy host's name is not a valid TLS server name")]
    NoName,
    /// What was fetched is not a policy.
    #[error("the policy is invalid")]
    Policy {
        /// Why not.
        source: PolicyError,
        /// What it is, for a report (RFC 8460 §4.5): at most [`POLICY_SIZE_MAX`] octets.
        text: Arc<str>,
    },
    /// The policy host has none but private addresses.
    #[error("the policy host has the address {0}, which is not global")]
    PrivateAddress(IpAddr),
    /// An address let connecting and the TLS handshake take too long.
    #[error("the policy host at {0} did not answer")]
    Silent(SocketAddr),
    /// The reply's status is not 200; a redirect is not followed (RFC 8461 §3.3).
    #[error("the policy host answered with status {0}, not 200")]
    Status(u16),
    /// The whole fetch took too long.
    #[error("the policy fetch timed out")]
    TimedOut,
    /// The TLS handshake failed for another reason than the certificate.
    #[error("the TLS handshake with the policy host at {address} failed")]
    Tls {
        /// The host's address.
        address: SocketAddr,
        /// What went wrong.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The policy file is larger than [`POLICY_SIZE_MAX`].
    #[error("the policy is larger than 64 KiB")]
    TooLarge,
}

/// What a fetch that failed is reported as (RFC 8460 §4.3.2.2).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FetchResultType {
    /// The policy could not be had.
    StsPolicyFetchError,
    /// What was served is no policy.
    StsPolicyInvalid,
    /// The policy host did not prove its name.
    StsWebpkiInvalid,
}

impl FetchResultType {
    /// The word of RFC 8460 §4.3.2.2.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::StsPolicyFetchError => "sts-policy-fetch-error",
            Self::StsPolicyInvalid => "sts-policy-invalid",
            Self::StsWebpkiInvalid => "sts-webpki-invalid",
        }
    }
}

impl FetchError {
    /// The result type of RFC 8460 §4.3.2.2.
    #[must_use]
    pub const fn result_type(&self) -> FetchResultType {
        match self {
            Self::Certificate { .. } => FetchResultType::StsWebpkiInvalid,
            Self::Policy { .. } => FetchResultType::StsPolicyInvalid,
            Self::Coding(_)
            | Self::Connect { .. }
            | Self::Http(_)
            | Self::MediaType(_)
            | Self::Names(_)
            | Self::NoAddress
            | Self::NoName
            | Self::PrivateAddress(_)
            | Self::Silent(_)
            | Self::Status(_)
            | Self::TimedOut
            | Self::Tls { .. }
            | Self::TooLarge => FetchResultType::StsPolicyFetchError,
        }
    }

    /// Whether a clock that is wrong may be all there is to it: a certificate has ended, or has not
    /// begun.
    #[must_use]
    pub const fn is_out_of_date(&self) -> bool {
        matches!(
            self,
            Self::Certificate {
                fault: CertificateFault::Expired | CertificateFault::NotValidYet,
                ..
            }
        )
    }

    /// The error and its causes in one line, for a log or a report.
    #[must_use]
    pub fn in_full(&self) -> String {
        in_full(self)
    }

    /// Of the failures at several addresses the one to report: that a host which answered could
    /// not prove its name says more than that another did not answer.
    pub(super) fn or_later(self, later: Self) -> Self {
        if matches!(self, Self::Certificate { .. }) { self } else { later }
    }
}

/// `error` and its causes in one line.
pub(crate) fn in_full(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(error.source(), |cause| (*cause).source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// What the system says of an error, without its number for it.
fn in_words(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split_once(" (os error ").map_or(text.as_str(), |(words, _number)| words).to_lowercase()
}
