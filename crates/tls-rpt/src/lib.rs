//! SMTP TLS Reporting (RFC 8460): records, daily reports and reports that arrive.
//!
//! A domain that publishes a TXT record at `_smtp._tls` gets a report once a day on TLS with its
//! mail hosts. This crate has the rules of that and does no I/O: it looks nothing up, keeps nothing
//! on a disk, and neither signs nor sends.
//!
//! # A day's report, step by step
//!
//! 1. [`select`] finds the one [`Record`] among the TXT records of [`record_name`], and the record
//!    the [`Destination`]s of reports.
//! 2. Each session is counted once per policy that applied to it: a [`Row`] of its
//!    [`AppliedPolicy`] and, if it failed, its [`FailureDetail`] goes into the [`Tally`] of its
//!    [`Day`]. Reasons are on a closed list, [`FailureReason`], so that what is the same adds up.
//! 3. When the day is over, [`Report::new`] makes a report of what was counted for a domain,
//!    in the name of a [`Submitter`].
//! 4. [`message`] makes the message for a `mailto` destination, to be signed with DKIM and sent
//!    whatever TLS does (RFC 8460 §3, §5.3.1); [`Report::to_gzip`] is the body for an `https`
//!    destination.
//!
//! # Reports that arrive
//!
//! [`ReceivedReport::read`] reads what others send, with a [`Deviation`] for what is not as it
//! should be, and refuses what is too large; [`Summary`] adds them up.
//!
//! # Not here
//!
//! * Which sessions count, and as what: RFC 8460 §4.3 and the caller's own judgement of a handshake.
//! * Looking up the record and following aliases to it, keeping tallies, retries, HTTP and DKIM.
//! * `TLSRPT` of other versions, and URIs of other schemes than `mailto` and `https`.

mod address;
mod day;
mod destination;
mod destination_error;
mod domain;
mod failure;
mod kept_tally;
mod message;
mod observation;
mod policy;
mod precision;
mod reason;
mod received;
mod record;
mod report;
mod result_type;
mod row;
mod submitter;
mod summary;
mod tally;
mod text;
mod warning;

pub use crate::address::{MailAddress, MailAddressError};
pub use crate::day::{Day, DayError};
pub use crate::destination::{Destination, HttpsUri, UriHost};
pub use crate::destination_error::DestinationError;
pub use crate::domain::{DomainName, DomainNameError};
pub use crate::failure::{FailureDetail, NoHelo, ReceivingMxHelo};
pub use crate::message::{SIGNED_FIELDS, message};
pub use crate::observation::{Observation, ObservedPolicy, PolicyText};
pub use crate::policy::{AppliedPolicy, TlsaRecord};
pub use crate::reason::{FailureReason, FailureReasonError};
pub use crate::received::{
    Deviation, Named, ReadError, ReceivedDetail, ReceivedPolicy, ReceivedReport, UnpackError,
};
pub use crate::record::{NoRecord, Record, RecordError, record_name, select};
pub use crate::report::{PolicyReport, Report};
pub use crate::result_type::{PolicyType, ResultType};
pub use crate::row::Row;
pub use crate::submitter::{Instance, InstanceError, ReportId, Submitter};
pub use crate::summary::{Added, Summary, SummaryEntry, SummaryKey, SummaryResult};
pub use crate::tally::{DOMAINS_MAX, DomainTally, Tally, TooManyDomains};
pub use crate::warning::{Parsed, Warning};

/// The example of the README, kept true.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
