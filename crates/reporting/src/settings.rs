//! How TLS reports are sent.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use mta_sts::PrivateHosts;
use tls_rpt::{Destination, DomainName, MailAddress};

/// How TLS reports are sent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ReportSettings {
    /// The address for questions, from which reports come; without one, no report is sent.
    pub contact: Option<MailAddress>,
    /// The name of the sender for people; empty: the domain of the contact address.
    pub organization: String,
    /// Which reports are sent.
    pub send: Send,
    /// How long after the end of a day the last of its reports leaves; with many reports it is
    /// stretched.
    pub spread: Duration,
    /// How long after the first try a report is tried again (RFC 8460 §5.5 suggests 24 hours).
    pub give_up_after: Duration,
    /// The addresses that this relay's connections come from, as other hosts see them; empty: those
    /// that it sees itself, if they are global.
    pub sending_addresses: Vec<IpAddr>,
    /// Whether an HTTPS server must prove its name (RFC 8460 §5.4 lets it go without).
    pub verify_https: VerifyHttps,
    /// Whether an HTTPS destination may have an address that is not global.
    pub private_destinations: PrivateHosts,
    /// Domains that get no reports.
    pub exclude: BTreeSet<DomainName>,
    /// Where all reports go in the place of their own destinations: for a trial.
    pub redirect: Option<Destination>,
}

impl Default for ReportSettings {
    fn default() -> Self {
        Self {
            contact: None,
            organization: String::new(),
            send: Send::All,
            spread: Duration::from_secs(4 * 60 * 60),
            give_up_after: Duration::from_secs(24 * 60 * 60),
            sending_addresses: Vec::new(),
            verify_https: VerifyHttps::Try,
            private_destinations: PrivateHosts::Refused,
            exclude: BTreeSet::new(),
            redirect: None,
        }
    }
}

/// Which reports are sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Send {
    /// All: those of successes alone are the heartbeat of RFC 8460 §4.2.1.
    All,
    /// Those with a failure.
    Failures,
}

/// Whether an HTTPS server must prove its name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum VerifyHttps {
    /// It must.
    Always,
    /// A report goes to a server that does not, with a warning (RFC 8460 §5.4).
    Try,
}
