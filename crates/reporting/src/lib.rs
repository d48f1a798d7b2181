//! TLS reports (RFC 8460): what is counted for them, kept until the day is over.
//!
//! The rules are `tls_rpt`'s. Here is what takes a store: [`Tallies`] keeps what was counted, by day
//! and domain.
//!
//! Deliberately absent: which connection counts as what, which is delivery's to say.

mod tallies;

pub use crate::tallies::{Tallies, TallyError};
