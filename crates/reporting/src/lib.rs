//! TLS reports (RFC 8460): what is counted for them is kept until the day is over, and then sent.
//!
//! The rules are `tls_rpt`'s. Here is what takes a store, the DNS, a queue and HTTPS:
//!
//! * [`Counter`] takes what delivery observes, and [`Counting`] adds it up.
//! * [`Tallies`] keeps what was counted, by day and domain.
//! * [`Reporting`] makes the reports of days that are over, and hands them to the destinations that
//!   the domains name.
//!
//! Deliberately absent: which connection counts as what, which is delivery's to say, and where the
//! DKIM keys come from ([`Signatures`]).

mod agenda;
mod counted_domains;
mod counting;
mod counting_observer;
mod digest;
mod error;
mod hand_over;
mod https;
mod identity;
mod kept;
mod mail;
mod mail_watch;
mod next_report;
mod observer;
mod record_lookup;
mod records;
mod refusals;
mod schedule;
mod sending;
mod sending_address;
mod settings;
mod status;
mod tallies;
mod unsent;
mod writing;

pub use crate::counting::{Counter, Counting, Reports, counting};
pub use crate::counting_observer::{CountingObserver, DropReason};
pub use crate::error::ReportError;
pub use crate::hand_over::{ReportResult, Transport};
pub use crate::mail::Signatures;
pub use crate::observer::ReportObserver;
pub use crate::record_lookup::{RecordLookupError, fresh_record};
pub use crate::sending::context::{ReportTuning, ReportingParts};
pub use crate::sending::{ReadyReporting, Reporting};
pub use crate::settings::{ReportSettings, Send, VerifyHttps};
pub use crate::status::{
    DestinationState, DestinationStatus, NoDestination, Obstacle, PreviewedDestination,
    ReportCounts, ReportOnItsWay, ReportPreview,
};
pub use crate::tallies::{Tallies, TallyError};
pub use crate::unsent::Unsent;
