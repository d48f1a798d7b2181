//! DNS-based authentication of mail hosts (RFC 6698, RFC 7672).
//!
//! So far the words: a [`TlsaRecord`] and what SMTP may make of it. Verifying a certificate against
//! a record is not here yet.

mod tlsa;
mod usable;

pub use self::tlsa::{CertificateUsage, MatchingType, RdataError, Selector, TlsaRecord};
pub use self::usable::{SmtpUsage, Unusable};
