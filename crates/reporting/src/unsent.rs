//! Why a report is not sent.

use thiserror::Error;
use tls_rpt::{DomainName, DomainTally, NoRecord};

use crate::settings::{ReportSettings, Send};

/// Why no report is sent of what was counted.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum Unsent {
    /// The operator has excluded the domain.
    #[error("tls_rpt.exclude names the domain")]
    Excluded,
    /// The operator sends no reports.
    #[error("tls_rpt.contact is empty")]
    NoContact,
    /// The domain wants none.
    #[error("{0}")]
    NoRecord(NoRecord),
    /// Nothing was counted.
    #[error("nothing was counted")]
    NothingCounted,
    /// Nothing has failed, and only failures are reported.
    #[error("nothing has failed, and tls_rpt.send is \"failures\"")]
    OnlySuccesses,
}

impl Unsent {
    /// Why `tally` is not reported, as far as the settings say so.
    pub(crate) fn of(
        settings: &ReportSettings,
        domain: &DomainName,
        tally: &DomainTally,
    ) -> Option<Self> {
        if settings.contact.is_none() {
            return Some(Self::NoContact);
        }
        if settings.exclude.contains(domain) {
            return Some(Self::Excluded);
        }
        let mut rows = tally.rows().peekable();
        if rows.peek().is_none() {
            return Some(Self::NothingCounted);
        }
        let all_well = rows.all(|(row, _)| row.failure.is_none());
        (settings.send == Send::Failures && all_well).then_some(Self::OnlySuccesses)
    }
}
