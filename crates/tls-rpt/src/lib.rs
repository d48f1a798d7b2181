//! SMTP TLS Reporting (RFC 8460): records, daily reports and reports that arrive.

mod address;
mod day;
mod destination;
mod domain;
mod failure;
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
mod tally;
mod text;
mod warning;

pub use crate::address::{MailAddress, MailAddressError};
pub use crate::day::{Day, DayError};
pub use crate::destination::{Destination, DestinationError, HttpsUri, UriHost};
pub use crate::domain::{DomainName, DomainNameError};
pub use crate::failure::{FailureDetail, ReceivingMxHelo};
pub use crate::observation::{Observation, ObservedPolicy, PolicyText, Verdict};
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
pub use crate::tally::{DOMAINS_MAX, DomainTally, Tally, TooManyDomains};
pub use crate::warning::{Parsed, Warning};
