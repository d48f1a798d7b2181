//! What the committer is asked to do.

use std::sync::Arc;

use mail::{Message, QueueId};
use store::rows::EntryRow;
use store::{CommitError, Committed, EntryId, EntrySettlement, Owner, Settled, StoreError};
use tokio::sync::oneshot;

/// Where an answer goes; the asker may have gone meanwhile.
pub(crate) type Answer<T, E> = oneshot::Sender<Result<T, E>>;

/// What to do.
#[derive(Debug)]
pub(crate) enum Work {
    /// Put a message into the queue.
    Accept(Box<Prepared>, Owner, Answer<Committed, CommitError>),
    /// Change what is in the queue.
    Change(Change, Answer<usize, StoreError>),
    /// End in order.
    Close(oneshot::Sender<()>),
    /// Settle entries of one message, and put the notice, if any, into the queue with the same commit.
    Settle(Settling, Answer<Vec<Settled>, StoreError>),
}

/// The outcomes of entries of one message.
#[derive(Debug)]
pub(crate) struct Settling {
    /// The message.
    pub(crate) id: QueueId,
    /// Its entries.
    pub(crate) entries: Vec<EntrySettlement>,
    /// What tells the sender.
    pub(crate) notice: Option<Box<Prepared>>,
}

/// A change that is not a delivery's.
#[derive(Debug)]
pub(crate) enum Change {
    /// Remove a message, with a notice if there is one.
    Delete(QueueId, Option<Box<Prepared>>),
    /// Make entries due at this time that are due later than may be.
    Forward(Vec<EntryId>, u64),
    /// Keep a message from being sent.
    Hold(QueueId),
    /// Set a message aside whose body is damaged.
    Quarantine(QueueId, String),
    /// Let a message go that was held or quarantined.
    Release(QueueId),
    /// Make entries due at this time, if they are due later: an operator asked for it.
    Retry(Vec<EntryId>, u64),
    /// Remove messages that were never acknowledged.
    Void(Vec<QueueId>),
}

/// A message that is ready to be committed.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// The message's id.
    pub(crate) id: QueueId,
    /// What is the same for all recipients.
    pub(crate) message: Message,
    /// How many bytes the envelope has.
    pub(crate) envelope: u64,
    /// Its recipients.
    pub(crate) entries: Vec<EntryRow>,
    /// Its body.
    pub(crate) body: PreparedBody,
}

/// The body of a message that is ready to be committed.
#[derive(Debug)]
pub(crate) struct PreparedBody {
    /// The CRC-32C of the whole.
    pub(crate) sum: u32,
    /// How many pieces it has.
    pub(crate) pieces: i32,
    /// How many of them are in the database already.
    pub(crate) streamed: i32,
    /// The others, each with its number.
    pub(crate) rest: Vec<(i32, Arc<Vec<u8>>)>,
}

/// An entry at its destination.
#[derive(Clone, Debug)]
pub(crate) struct EntryAt {
    /// The entry's destination.
    pub(crate) destination: String,
    /// The entry.
    pub(crate) entry: EntryId,
}

impl Prepared {
    /// Its entries.
    pub(crate) fn entries_at(&self) -> impl Iterator<Item = EntryAt> {
        (0_u32..).zip(&self.entries).filter_map(|(number, entry)| {
            let destination = entry.destination().ok()?.to_string();
            Some(EntryAt { destination, entry: EntryId { id: self.id, number } })
        })
    }

    /// How many bytes it counts as, with its envelope.
    pub(crate) const fn bytes(&self) -> u64 {
        self.message.size.saturating_add(self.envelope)
    }
}

impl Work {
    /// About how many bytes it writes.
    pub(crate) fn size(&self) -> usize {
        let rest = self.prepared().into_iter().flat_map(|prepared| &prepared.body.rest);
        rest.map(|(_, bytes)| bytes.len()).fold(0, usize::saturating_add)
    }

    /// The message that it brings, if any.
    pub(crate) fn prepared(&self) -> Option<&Prepared> {
        match self {
            Self::Accept(prepared, ..) => Some(prepared),
            Self::Settle(settling, _) => settling.notice.as_deref(),
            Self::Change(Change::Delete(_, notice), _) => notice.as_deref(),
            Self::Change(
                Change::Forward(..)
                | Change::Hold(_)
                | Change::Quarantine(..)
                | Change::Release(_)
                | Change::Retry(..)
                | Change::Void(_),
                _,
            )
            | Self::Close(_) => None,
        }
    }

    /// The entries that are this node's own once it is done.
    pub(crate) fn own(&self) -> Vec<EntryAt> {
        match self {
            Self::Accept(prepared, Owner::ThisProcess, _) => prepared.entries_at().collect(),
            Self::Accept(..) | Self::Change(..) | Self::Close(_) | Self::Settle(..) => Vec::new(),
        }
    }

    /// The messages all of whose entries it may change.
    pub(crate) fn messages(&self) -> &[QueueId] {
        match self {
            Self::Change(change, _) => match change {
                Change::Delete(id, _)
                | Change::Hold(id)
                | Change::Quarantine(id, _)
                | Change::Release(id) => std::slice::from_ref(id),
                Change::Void(ids) => ids,
                Change::Forward(..) | Change::Retry(..) => &[],
            },
            Self::Accept(..) | Self::Close(_) | Self::Settle(..) => &[],
        }
    }

    /// The entries that it may change one by one.
    pub(crate) fn entries(&self) -> Vec<EntryId> {
        match self {
            Self::Settle(settling, _) => settling.entries.iter().map(|one| one.entry).collect(),
            Self::Change(Change::Forward(entries, _) | Change::Retry(entries, _), _) => {
                entries.clone()
            }
            Self::Accept(..) | Self::Change(..) | Self::Close(_) => Vec::new(),
        }
    }

    /// How many records it may keep.
    pub(crate) fn records(&self) -> usize {
        match self {
            Self::Settle(settling, _) => {
                settling.entries.iter().map(|one| one.records.len()).fold(0, usize::saturating_add)
            }
            Self::Accept(..) | Self::Change(..) | Self::Close(_) => 0,
        }
    }

    /// Whether nobody waits for the message that it brings: it would be taken for nobody.
    pub(crate) fn is_abandoned(&self) -> bool {
        match self {
            Self::Accept(_, _, answer) => answer.is_closed(),
            Self::Change(..) | Self::Close(_) | Self::Settle(..) => false,
        }
    }

    /// Says that the database refused it, or was not reached.
    pub(crate) fn fail(self, room: Room) {
        match self {
            Self::Accept(_, _, answer) => {
                let error = match room {
                    Room::None => CommitError::LowOnSpace,
                    Room::Some => CommitError::Failed,
                };
                drop(answer.send(Err(error)));
            }
            Self::Change(_, answer) => drop(answer.send(Err(StoreError::Failed))),
            Self::Close(answer) => drop(answer.send(())),
            Self::Settle(_, answer) => drop(answer.send(Err(StoreError::Failed))),
        }
    }

    /// Says that the store is closed.
    pub(crate) fn refuse(self) {
        match self {
            Self::Accept(_, _, answer) => drop(answer.send(Err(CommitError::Closed))),
            Self::Change(_, answer) => drop(answer.send(Err(StoreError::Closed))),
            Self::Close(answer) => drop(answer.send(())),
            Self::Settle(_, answer) => drop(answer.send(Err(StoreError::Closed))),
        }
    }
}

/// Whether the database has room for what is to be written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Room {
    /// Its disk is full.
    None,
    /// It has.
    Some,
}
