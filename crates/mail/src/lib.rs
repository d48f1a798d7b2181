//! The nouns of queued mail: a message's id, its envelope, and what became of its recipients.
//!
//! They do no I/O and know neither how a message is kept nor how it is sent.

mod envelope;
mod id;
mod outcome;
mod state;

pub use crate::envelope::{DelayNotice, DsnWishes, Envelope, Message, Purpose, Recipient};
pub use crate::id::{QueueId, QueueIdError};
pub use crate::outcome::{Outcome, Reason, ReasonClass};
pub use crate::state::State;
