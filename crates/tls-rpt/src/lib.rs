//! SMTP TLS Reporting (RFC 8460): what is observed and what is told.
//!
//! A sender makes one [`Observation`] for every attempt to reach an MX host under a policy. What
//! the numbers are called is fixed by [`ResultType`] and [`PolicyType`].

mod observation;
mod result_type;

pub use crate::observation::{Observation, ObservedPolicy, PolicyText, Verdict};
pub use crate::result_type::{PolicyType, ResultType};
