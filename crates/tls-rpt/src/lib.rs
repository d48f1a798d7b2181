//! SMTP TLS Reporting (RFC 8460): records, daily reports and reports that arrive.

mod address;
mod destination;
mod domain;
mod observation;
mod record;
mod result_type;
mod warning;

pub use crate::address::{MailAddress, MailAddressError};
pub use crate::destination::{Destination, DestinationError, HttpsUri, UriHost};
pub use crate::domain::{DomainName, DomainNameError};
pub use crate::observation::{Observation, ObservedPolicy, PolicyText, Verdict};
pub use crate::record::{NoRecord, Record, RecordError, record_name, select};
pub use crate::result_type::{PolicyType, ResultType};
pub use crate::warning::{Parsed, Warning};
