//! The program `sts-relay`: settings, wiring, command line and admin.
//!
//! [`settings`] says what can be set; [`Relay`] starts and stops everything; [`cli`] is what people
//! and scripts type. There are no rules here: who may submit is the queue's to say, what a policy
//! asks for is `mta-sts`'s, and how a session is proved is `delivery`'s.

pub mod cli;

mod adapters;
mod certificates;
mod check;
mod default_gateways;
#[cfg(feature = "demo")]
mod demo;
mod descriptors;
mod log;
mod number_text;
mod policy_store;
mod preflight;
mod refresh;
mod relay;
mod timekeeping;

pub use admin::server::SocketError;
pub use certificates::SelfSignedError;
pub use policy_store::StoredPolicies;
pub use relay::{EndedUnasked, Relay, ReloadError, StartError};
