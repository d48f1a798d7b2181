//! The durable queue: spool segments that hold the mail, and a sled index that finds it.
//!
//! ```text
//! Submitter + Envelope --begin--> Draft --write, commit--> Committed        (the 250 to DATA)
//!                                   ... later ...
//!                       Queue --lease--> Lease --settle(outcomes, bounce)--> Settled
//! ```
//!
//! The promise: once a [`Committed`] exists, only a destroyed disk loses the message. The spool's
//! record, with the whole envelope in its header, is the copy that counts; the index can be built
//! anew from it. One thread writes everything ([`Queue`] only asks it), so that many messages share
//! one `fdatasync`. The format of the files is described in `docs/queue-format.md`.
//!
//! The queue does not know how a message is sent, nor who may be sent what.

mod batch;
mod body;
mod body_writer;
mod census;
mod claims;
mod codec;
mod committer;
mod context;
mod depths;
mod destinations;
mod draft;
mod edits;
mod embedded;
mod error;
mod filter;
mod ids;
mod index;
mod key;
mod lease;
mod lookup;
mod observer;
mod queue;
mod recent;
mod record;
mod recovery;
mod rows;
mod schedule;
mod settings;
mod shared;
mod shelf;
mod snapshot;
mod spool;
mod standing;
mod store_settings;
mod survey;
#[cfg(test)]
mod tests;
mod turns;
mod verify;
mod waiting;
mod work;

pub use crate::draft::Draft;
pub use crate::embedded::Embedded;
pub use crate::error::OpenError;
pub use crate::lease::Lease;
pub use crate::observer::{Observer, Round, WrittenDown};
pub use crate::queue::{OwnMessage, Queue};
pub use crate::schedule::{Jitter, RetrySchedule};
pub use crate::settings::{QueueSettings, QueueTuning};
pub use crate::snapshot::Snapshot;
pub use crate::standing::Standing;
pub use crate::store_settings::StoreSettings;
pub use crate::verify::verify;
pub use mail::{
    DelayNotice, DsnWishes, Envelope, Message, Outcome, Purpose, QueueId, QueueIdError, Reason,
    ReasonClass, Recipient, State,
};
pub use store::{
    BeginError, BodyError, BodyReader, Census, CommitError, Committed, Counted, Depth, Details,
    Filter, Findings, Health, IndexError, Inspect, LotDetails, Matching, Namespace, Problem,
    ReadValues, RecipientDetails, Selection, Settled, StateKind, Stats, Store, StoreError, Summary,
    Totals, Waiting, Which,
};
