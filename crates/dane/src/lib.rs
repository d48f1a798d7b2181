//! DNS-based authentication of mail hosts (RFC 6698, RFC 7671, RFC 7672).
//!
//! What TLSA records say, and whether a server's certificates match them. Nothing is looked up here:
//! who asks the DNS vouches for the records with [`SecureRecords::assertion`], once a validator has
//! found them secure, and gets an [`Association`]; a [`Verifier`] holds one TLS handshake to it.
//!
//! ```text
//! TlsaRecord.. --assertion--> SecureRecords --associate(names)--> Association --> Verifier
//!                                           \-> NoneUsable        (TLS with whoever answers)
//! ```
//!
//! ```
//! use std::sync::Arc;
//!
//! use dane::{ReferenceNames, SecureRecords, TlsaRecord, Verifier};
//!
//! let found: TlsaRecord = format!("3 1 1 {}", "8b".repeat(32)).parse()?;
//! let names = ReferenceNames::new("mx1.example.org", &["example.org"])?;
//! let association = SecureRecords::assertion(vec![found])?.associate(names)?;
//! let verifier = Verifier::new(Arc::new(association));
//! let config = verifier.config(Arc::new(rustls::time_provider::DefaultTimeProvider))?;
//! // Connect with `config` to `verifier.server_name()`, then ask for `verifier.verdict()`.
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod association;
mod chain;
mod names;
mod presentation;
mod records;
mod tlsa;
mod usable;
mod verdict;
mod verifier;

pub use self::association::Association;
pub use self::names::ReferenceNames;
pub use self::presentation::PresentationError;
pub use self::records::{NoneUsable, RecordsError, SecureRecords};
pub use self::tlsa::{CertificateUsage, MatchingType, RdataError, Selector, TlsaRecord};
pub use self::usable::{SmtpUsage, Unusable};
pub use self::verdict::{Matched, MatchedCertificate, Mismatch};
pub use self::verifier::Verifier;
