//! What a report says about sessions that failed alike (`failure-details`, RFC 8460 §4.4).

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::domain::DomainName;
use crate::reason::FailureReason;
use crate::result_type::ResultType;

/// How a session failed. Sessions are added up if all of it is the same.
///
/// ```
/// use tls_rpt::{DomainName, FailureDetail, FailureReason, ResultType};
///
/// let failure = FailureDetail {
///     receiving_mx_hostname: Some(DomainName::parse("mx1.example.org")?),
///     failure_reason_code: Some(FailureReason::MxNotInPolicy),
///     ..FailureDetail::new(ResultType::ValidationFailure)
/// };
/// assert_eq!(failure.receiving_ip, None);
/// # Ok::<(), tls_rpt::DomainNameError>(())
/// ```
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct FailureDetail {
    /// What failed.
    pub result_type: ResultType,
    /// The address the connection came from, as the host saw it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sending_mta_ip: Option<IpAddr>,
    /// The MX host's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receiving_mx_hostname: Option<DomainName>,
    /// The name that the host gave itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receiving_mx_helo: Option<ReceivingMxHelo>,
    /// The address that was connected to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receiving_ip: Option<IpAddr>,
    /// What the result type leaves open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_reason_code: Option<FailureReason>,
}

impl FailureDetail {
    /// A failure of which only the result type is known.
    #[must_use]
    pub const fn new(result_type: ResultType) -> Self {
        Self {
            result_type,
            sending_mta_ip: None,
            receiving_mx_hostname: None,
            receiving_mx_helo: None,
            receiving_ip: None,
            failure_reason_code: None,
        }
    }
}

/// The longest name that is kept of what a host calls itself.
const HELO_MAX: usize = 255;

/// What a host called itself in its EHLO reply: printable ASCII, at most 255 octets.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct ReceivingMxHelo(Box<str>);

impl ReceivingMxHelo {
    /// Takes the host's words; what is not printable ASCII becomes a `?`, no words are no name.
    #[must_use]
    pub fn new(words: &str) -> Option<Self> {
        let printable = |c: char| if c.is_ascii_graphic() || c == ' ' { c } else { '?' };
        let name: Box<str> = words.trim().chars().take(HELO_MAX).map(printable).collect();
        (!name.is_empty()).then_some(Self(name))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ReceivingMxHelo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for ReceivingMxHelo {
    type Error = NoHelo;

    fn try_from(words: String) -> Result<Self, NoHelo> {
        Self::new(&words).ok_or(NoHelo)
    }
}

impl From<ReceivingMxHelo> for String {
    fn from(helo: ReceivingMxHelo) -> Self {
        helo.0.into()
    }
}

/// A host has not called itself anything.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("it is empty")]
pub struct NoHelo;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_host_calls_itself_is_at_most_255_printable_ascii_characters() {
        let name = |words: &str| ReceivingMxHelo::new(words).map(String::from);
        assert_eq!(name("mx.example at your service ").unwrap(), "mx.example at your service");
        assert_eq!(name("m\u{1b}x\r\nä").unwrap(), "m?x???");
        assert_eq!(name(&"x".repeat(300)).unwrap().len(), 255);
        assert_eq!(name(" \r\n"), None);
    }

    #[test]
    fn a_failure_is_kept_and_found_as_it_was() {
        let failure = FailureDetail {
            receiving_mx_helo: ReceivingMxHelo::new("mx"),
            failure_reason_code: Some(FailureReason::TlsAlert(40)),
            ..FailureDetail::new(ResultType::ValidationFailure)
        };
        let json = serde_json::to_string(&failure).unwrap();
        let expected = r#"{"result-type":"validation-failure","receiving-mx-helo":"mx","failure-reason-code":"tls-alert-40"}"#;
        assert_eq!(json, expected);
        assert_eq!(serde_json::from_str::<FailureDetail>(&json).unwrap(), failure);
    }
}
