//! Work that waits for the store to be opened again.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use mail::QueueId;
use store::Health;
use tokio::time::Instant;

use crate::committer::commit_log::CommitLog;
use crate::committer::group::Flow;
use crate::shared::Shared;
use crate::work::{Edit, Job, PreparedBody, Work};

/// Such work, in its order.
#[derive(Debug, Default)]
pub(super) struct Pending(Vec<Job>);

impl Pending {
    /// Keeps what has to be done of a group that has failed, and answers all others.
    pub(super) fn keep(&mut self, jobs: Vec<Job>, health: Health, log: &mut CommitLog) {
        let mut void = Vec::new();
        for job in jobs {
            match &job.work {
                // Mail whose sender got a bounce must not be delivered as well.
                Work::Close(_)
                | Work::Edit(Edit::Void(_) | Edit::Delete(_, Some(_)), _)
                | Work::Settle(..) => self.0.push(job),
                Work::Accept(message, _) => {
                    void.push(message.header.id);
                    if matches!(message.body, PreparedBody::File(_)) {
                        log.discard_body(message.header.id);
                    }
                    job.work.fail(health);
                }
                Work::Edit(..) | Work::Damaged(..) => job.work.fail(health),
            }
        }
        self.forget_unacknowledged(void);
    }

    /// Has messages removed that were never acknowledged, should the index know them nevertheless.
    fn forget_unacknowledged(&mut self, ids: Vec<QueueId>) {
        if !ids.is_empty() {
            let (answer, _) = tokio::sync::oneshot::channel();
            let work = Work::Edit(Edit::Void(ids), answer);
            self.0.insert(0, Job { work, _room: None });
        }
    }

    /// Answers for a while that the store has failed; settlements wait.
    pub(super) fn wait(&mut self, line: &Receiver<Job>, wait: Duration, shared: &Shared) -> Flow {
        let began = Instant::now();
        loop {
            match line.recv_timeout(wait.saturating_sub(began.elapsed())) {
                Ok(job) => match job.work {
                    Work::Close(_) => {
                        self.0.push(job);
                        return Flow::End;
                    }
                    Work::Settle(..) => self.0.push(job),
                    Work::Accept(..) | Work::Damaged(..) | Work::Edit(..) => {
                        job.work.fail(shared.health());
                    }
                },
                Err(RecvTimeoutError::Timeout) => return Flow::GoOn,
                Err(RecvTimeoutError::Disconnected) => return Flow::End,
            }
        }
    }

    /// All of it, to be done.
    pub(super) fn take(&mut self) -> Vec<Job> {
        std::mem::take(&mut self.0)
    }
}
