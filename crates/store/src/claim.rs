//! Entries that are claimed, and how many are wanted.

use std::sync::Arc;

use mail::{DelayNotice, Message, Reason, Recipient};
use smtp::MailboxDomain;

use crate::entry_id::EntryId;

/// How many entries of one destination are wanted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Demand {
    /// The destination.
    pub destination: Arc<str>,
    /// At most so many.
    pub most: usize,
}

/// A destination that has an entry due.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Due {
    /// The destination.
    pub destination: String,
    /// When, in milliseconds since 1970.
    pub at: u64,
}

/// What a demand has got.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Claimed {
    /// The entries.
    pub entries: Vec<QueueEntry>,
    /// What else there is at the destination.
    pub next: Next,
}

/// What is at a destination behind what was claimed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Next {
    /// The next entry is due at this time, in milliseconds since 1970.
    Later(u64),
    /// There may be more that is due.
    Maybe,
    /// Nothing but what is claimed.
    Nothing,
}

/// Recipients of one message at one destination.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct QueueEntry {
    /// Which part of which message it is.
    pub id: EntryId,
    /// What is the same for all recipients.
    pub message: Message,
    /// Where it goes.
    pub destination: MailboxDomain,
    /// Who it is for.
    pub recipients: Vec<EntryRecipient>,
    /// How many attempts have failed so far.
    pub attempts: u32,
    /// What operators have done to its schedule.
    pub by_hand: ByHand,
}

/// A recipient of an entry.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EntryRecipient {
    /// Its place among all recipients of the message.
    pub place: u32,
    /// The recipient.
    pub recipient: Recipient,
    /// Why it was deferred last.
    pub reason: Option<Reason>,
    /// Whether the sender knows that the mail is late.
    pub delay: DelayNotice,
}

/// Attempts that operators asked for ahead of time: the back-off does not count them.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ByHand {
    /// When the entry would be due, had nobody asked for the attempt that is due now.
    pub planned: Option<u64>,
    /// How many of the attempts that failed were such.
    pub attempts: u32,
}
