//! `[tls_rpt]` as it is typed: the reports on TLS that this relay sends (RFC 8460).

use std::time::Duration;

use mta_sts::PrivateHosts;
use reporting::{ReportSettings, Send, VerifyHttps};
use serde::{Deserialize, Serialize};

use crate::duration_text;

/// `[tls_rpt]`
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawTlsRpt {
    /// The address from which reports come and which answers questions; empty: none are sent.
    pub contact: String,
    /// The sender's name for people; empty: the domain of `contact`.
    pub organization: String,
    /// Which reports are sent.
    pub send: RawSend,
    /// How long after the end of a day its last report leaves.
    #[serde(with = "duration_text")]
    pub spread: Duration,
    /// How long after the first try a report is tried again (RFC 8460 §5.5).
    #[serde(with = "duration_text")]
    pub give_up_after: Duration,
    /// The addresses from which others see this relay's connections come.
    pub sending_addresses: Vec<String>,
    /// Whether HTTPS servers must prove their names.
    pub verify_https: RawVerifyHttps,
    /// Whether an HTTPS destination may have an address that is not global.
    pub allow_private_destinations: bool,
    /// Domains that get no reports.
    pub exclude: Vec<String>,
    /// Where all reports go instead; empty: where the domains say.
    pub redirect: String,
}

/// Which reports are sent.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RawSend {
    /// All.
    All,
    /// Those with a failure.
    Failures,
}

/// Whether HTTPS servers must prove their names.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RawVerifyHttps {
    /// They must.
    Always,
    /// A report goes to one that does not as well.
    Try,
}

impl Default for RawTlsRpt {
    fn default() -> Self {
        let settings = ReportSettings::default();
        Self {
            contact: String::new(),
            organization: settings.organization,
            send: settings.send.into(),
            spread: settings.spread,
            give_up_after: settings.give_up_after,
            sending_addresses: Vec::new(),
            verify_https: settings.verify_https.into(),
            allow_private_destinations: settings.private_destinations == PrivateHosts::Allowed,
            exclude: Vec::new(),
            redirect: String::new(),
        }
    }
}

impl From<Send> for RawSend {
    fn from(send: Send) -> Self {
        match send {
            Send::All => Self::All,
            Send::Failures => Self::Failures,
        }
    }
}

impl From<RawSend> for Send {
    fn from(send: RawSend) -> Self {
        match send {
            RawSend::All => Self::All,
            RawSend::Failures => Self::Failures,
        }
    }
}

impl From<VerifyHttps> for RawVerifyHttps {
    fn from(verify: VerifyHttps) -> Self {
        match verify {
            VerifyHttps::Always => Self::Always,
            VerifyHttps::Try => Self::Try,
        }
    }
}

impl From<RawVerifyHttps> for VerifyHttps {
    fn from(verify: RawVerifyHttps) -> Self {
        match verify {
            RawVerifyHttps::Always => Self::Always,
            RawVerifyHttps::Try => Self::Try,
        }
    }
}
