//! The durable queue: drafts, leases, whose turn it is, and when mail is tried again.
//!
//! ```text
//! Submitter + Envelope --begin--> Draft --write, commit--> Committed        (the 250 to DATA)
//!                                   ... later ...
//!                       Queue --lease--> Lease --settle(outcomes, bounce)--> Settled
//! ```
//!
//! The promise is the store's: once a [`Committed`] exists, only a destroyed disk loses the message.
//! The queue decides whose turn it is and when mail is tried again, over any store.
//!
//! The queue does not know how a message is sent, nor who may be sent what.

#[cfg(feature = "conformance")]
pub mod conformance;
mod context;
mod destination_health;
mod destinations;
mod draft;
mod lease;
mod lease_result;
mod paced_lines;
mod queue;
mod schedule;
mod settings;
mod turns;

pub use crate::destination_health::DestinationHealth;
pub use crate::draft::Draft;
pub use crate::lease::Lease;
pub use crate::lease_result::LeaseResult;
pub use crate::paced_lines::{AtMost, Paced, PacedLine, Pacing};
pub use crate::queue::{OwnMessage, Queue};
pub use crate::schedule::{Jitter, RetrySchedule};
pub use crate::settings::{QueueSettings, QueueTuning};
pub use mail::{
    Begins, DsnParameters, Envelope, Message, Outcome, Purpose, QueueId, QueueIdError, Reason,
    ReasonClass, Recipient, State, TlsRequired,
};
pub use store::{
    BeginError, BodyError, BodyReader, CommitError, CommitGroup, Committed, Counted, Counts, Depth,
    Details, EntryDetails, Filter, Findings, Flushed, Health, Inspect, Namespace, Observer,
    Problem, ReadValues, RecordBytes, Records, Selection, Settled, SharedEvent, StateKind, Stats,
    Store, StoreError, Summary, Totals, Waiting,
};
