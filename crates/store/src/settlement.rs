//! What became of claimed entries.

use std::sync::Arc;
use std::time::SystemTime;

use mail::{Outcome, QueueId};

use crate::body_writer::BodyWriter;
use crate::entry_id::EntryId;
use crate::record::RecordBytes;

/// The outcomes of entries of one message.
#[derive(Debug)]
pub struct Settlement {
    /// The message.
    pub id: QueueId,
    /// When it was found out.
    pub at: SystemTime,
    /// Its entries.
    pub entries: Vec<EntrySettlement>,
    /// What tells the sender.
    pub notice: Option<Box<dyn BodyWriter>>,
}

/// An entry's outcomes.
#[derive(Clone, Debug)]
pub struct EntrySettlement {
    /// The entry.
    pub entry: EntryId,
    /// Where it goes.
    pub destination: Arc<str>,
    /// The places of its recipients among all those of the message.
    pub recipients: Vec<u32>,
    /// What became of each recipient, in order.
    pub outcomes: Vec<Outcome>,
    /// What is kept of the attempt: they have their numbers in this order.
    pub records: Vec<RecordBytes>,
    /// The places of those whose delay notice was sent.
    pub notices_sent: Vec<u32>,
    /// What holds for those who are deferred.
    pub retry: Retry,
    /// What becomes of the claim.
    pub claim: ClaimEnd,
}

/// When an entry is tried again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Retry {
    /// When, in milliseconds since 1970.
    pub due: u64,
    /// How many attempts have failed by now.
    pub attempts: u32,
    /// How many of them operators had asked for.
    pub by_hand: u32,
}

/// What becomes of a claim by a settlement.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ClaimEnd {
    /// It ends.
    Ends,
    /// It goes on, for the recipients that the settlement does not name.
    GoesOn,
}
