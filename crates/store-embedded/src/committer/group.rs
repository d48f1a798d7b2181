//! A commit group: the work that one sync makes durable.

use std::io;
use std::sync::mpsc::Receiver;

use crate::index::EngineError;
use crate::work::{Edit, Job, Work};

/// A commit group takes no more jobs than this.
const GROUP_JOBS: usize = 1024;

/// A commit group takes no more bytes than about this.
const GROUP_BYTES: usize = 8 << 20;

/// A commit group failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum GroupError {
    /// The index failed.
    #[error(transparent)]
    Index(#[from] EngineError),
    /// The spool could not be written.
    #[error("the spool could not be written")]
    Spool(#[from] io::Error),
}

impl GroupError {
    /// Whether the index has to be rebuilt from the spool.
    pub(super) const fn is_damage(&self) -> bool {
        match self {
            Self::Index(error) => error.is_damage(),
            Self::Spool(_) => false,
        }
    }

    /// Whether the disk is full.
    pub(super) fn is_full(&self) -> bool {
        let (Self::Index(EngineError::Io(error)) | Self::Spool(error)) = self else {
            return false;
        };
        store::is_full(error)
    }
}

/// When a commit group has to be durable.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Durable {
    /// Before it is acknowledged.
    First,
    /// Soon: what is lost with it is done again.
    Soon,
}

impl Durable {
    /// What these jobs ask for: who hands in mail, or changes something, waits for the disk. What
    /// became of an attempt is found out again if it is lost, unless a bounce tells of it; records that
    /// are there again are forgotten again.
    pub(super) fn of(jobs: &[Job]) -> Self {
        let is_first = |job: &Job| match &job.work {
            Work::Edit(Edit::ForgetRecords(_), _) | Work::Close(_) | Work::Damaged(..) => false,
            Work::Accept(..) | Work::Edit(..) => true,
            Work::Settle(settlement, _) => settlement.notice.is_some(),
        };
        if jobs.iter().any(is_first) { Self::First } else { Self::Soon }
    }
}

/// Whether the committer goes on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Flow {
    /// It ends.
    End,
    /// It goes on.
    GoOn,
}

/// Takes all work that waits, within the limits of a commit group.
pub(super) fn collect(first: Job, line: &Receiver<Job>) -> Vec<Job> {
    let mut size = first.work.size();
    let mut jobs = vec![first];
    while jobs.len() < GROUP_JOBS && size < GROUP_BYTES {
        let Ok(job) = line.try_recv() else { break };
        size = size.saturating_add(job.work.size());
        jobs.push(job);
    }
    jobs
}
