//! What TLS has to be like between this relay and one host.
//!
//! The policy of the next hop, the route that the operator configured and the operator's exceptions all
//! have a say. Here their words are put together; nothing is looked up and nothing is connected.

mod refusal;
mod requirement;
mod route;
mod trust;

pub use crate::refusal::Refusal;
pub use crate::requirement::{Admission, HostRequirement, Inputs};
pub use crate::route::{TlsRequirement, TlsStart};
pub use crate::trust::{Demanded, Trust, Unverified, Verified};
