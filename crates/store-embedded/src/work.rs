//! What the committer is asked to do.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use mail::{Message, QueueId};
use store::rows::EntryRow;
use store::{
    CommitError, Committed, EntryId, EntrySettlement, Expected, Health, RecordNumber, Settled,
    StoreError,
};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::key::Key;
use crate::record::Header;

/// Where an answer goes; the asker may have gone meanwhile.
pub(crate) type Answer<T, E> = oneshot::Sender<Result<T, E>>;

/// Work, and the room it takes in the line.
#[derive(Debug)]
pub(crate) struct Job {
    /// What to do.
    pub(crate) work: Work,
    /// Held while the job waits or is done, so that the line has an end.
    pub(crate) _room: Option<OwnedSemaphorePermit>,
}

/// What to do.
#[derive(Debug)]
pub(crate) enum Work {
    /// Put a message into the queue.
    Accept(Box<Prepared>, Answer<Committed, CommitError>),
    /// A reader found the index damaged that had this number.
    Damaged(String, u64),
    /// End in order.
    Close(Answer<(), StoreError>),
    /// Change what is in the queue.
    Edit(Edit, Answer<usize, StoreError>),
    /// Settle entries of one message, and put the bounce, if any, into the queue with the same stroke.
    Settle(Settling, Answer<Vec<Settled>, StoreError>),
}

/// The outcomes of entries of one message.
#[derive(Debug)]
pub(crate) struct Settling {
    /// The message.
    pub(crate) id: QueueId,
    /// When they were found out.
    pub(crate) at: SystemTime,
    /// Its entries.
    pub(crate) entries: Vec<EntrySettlement>,
    /// What tells the sender.
    pub(crate) notice: Option<Box<Prepared>>,
}

/// A change that is not a delivery's.
#[derive(Debug)]
pub(crate) enum Edit {
    /// Remove a message, with a bounce if there is one.
    Delete(QueueId, Option<Box<Prepared>>),
    /// Keep a message from being sent.
    Hold(QueueId),
    /// Set a message aside whose record is damaged.
    Quarantine(QueueId, String),
    /// Let a message go that was held or quarantined.
    Release(QueueId),
    /// Make entries due at this time, if they are due later.
    Retry(Vec<EntryId>, u64),
    /// Write a value, or remove it, if what is there is what is expected.
    PutValue(Key, Option<Vec<u8>>, Expected),
    /// Remove delivery records up to this one.
    ForgetRecords(RecordNumber),
    /// Remove messages that were never acknowledged.
    Void(Vec<QueueId>),
}

impl Work {
    /// About how many bytes it writes.
    pub(crate) fn size(&self) -> usize {
        self.prepared().map_or(0, |prepared| match &prepared.body {
            PreparedBody::File(_) => 0,
            PreparedBody::Memory(bytes) => bytes.len().saturating_add(prepared.envelope.len()),
        })
    }

    /// The message that it brings, if any.
    pub(crate) fn prepared(&self) -> Option<&Prepared> {
        match self {
            Self::Accept(prepared, _) => Some(prepared),
            Self::Settle(settlement, _) => settlement.notice.as_deref(),
            Self::Edit(Edit::Delete(_, bounce), _) => bounce.as_deref(),
            Self::Edit(
                Edit::Hold(_)
                | Edit::Quarantine(..)
                | Edit::Release(_)
                | Edit::Retry(..)
                | Edit::PutValue(..)
                | Edit::ForgetRecords(_)
                | Edit::Void(_),
                _,
            )
            | Self::Close(_)
            | Self::Damaged(..) => None,
        }
    }

    /// Says that the store has failed, which a full file system may be the reason for.
    pub(crate) fn fail(self, health: Health) {
        match self {
            Self::Accept(_, answer) => {
                let error = match health {
                    Health::LowOnSpace => CommitError::LowOnSpace,
                    Health::Closed | Health::Failed | Health::Ready => CommitError::Failed,
                };
                drop(answer.send(Err(error)));
            }
            Self::Close(answer) => drop(answer.send(Err(StoreError::Failed))),
            Self::Damaged(..) => {}
            Self::Edit(_, answer) => drop(answer.send(Err(StoreError::Failed))),
            Self::Settle(_, answer) => drop(answer.send(Err(StoreError::Failed))),
        }
    }

    /// Says that the queue is closed.
    pub(crate) fn refuse(self) {
        match self {
            Self::Accept(_, answer) => drop(answer.send(Err(CommitError::Closed))),
            Self::Close(answer) => drop(answer.send(Ok(()))),
            Self::Damaged(..) => {}
            Self::Edit(_, answer) => drop(answer.send(Err(StoreError::Closed))),
            Self::Settle(_, answer) => drop(answer.send(Err(StoreError::Closed))),
        }
    }
}

/// A message that is ready to be committed.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// The record's header.
    pub(crate) header: Header,
    /// The record's envelope.
    pub(crate) envelope: Vec<u8>,
    /// What is the same for all recipients.
    pub(crate) message: Message,
    /// Its recipients.
    pub(crate) entries: Vec<EntryRow>,
    /// Its body.
    pub(crate) body: PreparedBody,
}

/// Where the body of a message waits that is to be committed.
#[derive(Debug)]
pub(crate) enum PreparedBody {
    /// In a file that holds the whole record, synced.
    File(TemporaryFile),
    /// In memory.
    Memory(Arc<Vec<u8>>),
}

/// A file that is unlinked unless it is renamed before.
#[derive(Debug)]
pub(crate) struct TemporaryFile(pub(crate) PathBuf);

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        if let Err(error) = crate::spool::unlink(&self.0) {
            tracing::warn!(path = %self.0.display(), %error, "temporary file not unlinked");
        }
    }
}
