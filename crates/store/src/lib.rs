//! What a store of queued mail promises, whichever it is.
//!
//! ```text
//! begin --write--> BodyWriter --commit--> Committed                     (the 250 to DATA)
//!                       ... later ...
//! claim(demand) --> QueueEntry --settle(outcomes, notice)--> Settled
//! ```
//!
//! * commit: durable when it returns; only then is there a [`Committed`], and a 250;
//! * claim: nobody else has the entry until it is settled, given back, or its owner is gone;
//! * settle: outcomes, the records of the attempt, the time of the next one and the notice together, or
//!   none of it; settled twice is settled once, and what is deleted meanwhile is no error;
//! * records: each has a number above all before it, and stays until it is forgotten;
//! * values: "not there" is `Ok(None)`, "cannot tell" is `Err`; a value can be written only if it is
//!   absent, or still of a version;
//! * a store that fails acknowledges nobody, says so in its health, and comes back by itself.
//!
//! `docs/decisions/0017-store-contract.md` says why it is cut like this.
//!
//! Not here yet: counters that several relays add to, which come with the reports that are made of
//! them.

mod body_reader;
mod body_sum;
mod body_writer;
mod claim;
mod committed;
#[cfg(feature = "conformance")]
pub mod conformance;
mod contract;
mod entry_id;
mod error;
mod findings;
mod health;
mod ids;
mod namespace;
mod observer;
mod query;
mod recent;
mod record;
pub mod rows;
mod settled;
mod settlement;
mod subscription;
mod turns;
mod value;
mod waiting;

pub use crate::body_reader::{BodyReader, ReadBody};
pub use crate::body_sum::BodySum;
pub use crate::body_writer::BodyWriter;
pub use crate::claim::{ByHand, Claimed, Demand, Due, EntryRecipient, Next, QueueEntry};
pub use crate::committed::Committed;
pub use crate::contract::{
    Duties, Inspect, Owner, Ownership, ReadValues, Records, Store, StoreTuning, Values,
};
pub use crate::entry_id::{EntryId, EntryNumber};
pub use crate::error::{BeginError, BodyError, CommitError, IndexError, StoreError, is_full};
pub use crate::findings::{Findings, Problem};
pub use crate::health::{Health, HealthCell, SpaceGuard, Totals};
pub use crate::ids::{ID_SLOTS, IdSource};
pub use crate::namespace::Namespace;
pub use crate::observer::{CommitGroup, Flushed, Observer, SharedEvent};
pub use crate::query::{
    Act, Counted, Counts, Depth, Details, EntryDetails, Filter, Matching, RecipientDetails,
    Selection, StateKind, Stats, Summary, Which,
};
pub use crate::recent::RecentBodies;
pub use crate::record::{KeptRecord, RecordBytes, RecordNumber};
pub use crate::settled::Settled;
pub use crate::settlement::{ClaimEnd, EntrySettlement, Retry, Settlement};
pub use crate::subscription::Subscription;
pub use crate::turns::Turns;
pub use crate::value::{Expected, Put, check_key};
pub use crate::waiting::Waiting;
