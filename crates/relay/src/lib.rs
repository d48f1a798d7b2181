//! The program `sts-relay`: wiring, command line and checks.
//!
//! [`Relay`] starts and stops everything; [`cli`] is what people and scripts type. There are no rules
//! here: `access` says who may submit, `mta-sts` what a policy asks for, and `delivery` how a session is
//! proved.

pub mod cli;

mod adapters;
mod certificates;
mod check;
mod default_gateways;
#[cfg(feature = "demo")]
mod demo;
mod descriptors;
mod examined_records;
mod key_records;
mod log;
mod number_text;
mod policy_store;
mod preflight;
mod refresh;
mod relay;
mod timekeeping;
mod tlsa_lookup;
mod unix_socket;
mod validation;

pub use certificates::SelfSignedError;
pub use policy_store::StoredPolicies;
pub use relay::{EndedUnasked, Relay, ReloadError, StartError};
pub use unix_socket::SocketError;
