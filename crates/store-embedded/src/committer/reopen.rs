//! The store fails, is opened again, and at last is closed.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use mail::QueueId;
use store::{Health, chain};
use tokio::time::Instant;

use crate::batch::Batch;
use crate::committer::{Committer, Flow, GroupError};
use crate::error::OpenError;
use crate::index::{EngineError, Overlay};
use crate::recovery::Recovered;
use crate::spool::unlink;
use crate::spool::unlinked::body_entry;
use crate::work::{Edit, Job, PreparedBody, Work};

/// The wait before the store is opened again, which doubles.
const FIRST_WAIT: Duration = Duration::from_millis(100);

/// The longest such wait.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// How long readers may take to let go of an index that is closed.
const READERS_WAIT: Duration = Duration::from_secs(10);

impl Committer {
    /// The group failed: nobody is acknowledged, the store is closed, settlements wait.
    pub(super) fn fail(&mut self, jobs: Vec<Job>, error: &GroupError) {
        tracing::error!(
            error = %chain(error),
            "store failed: new mail is refused until it is reopened"
        );
        let health = if is_full(error) { Health::LowOnSpace } else { Health::Failed };
        self.shared.set_health(health);
        if let Some(observer) = self.shared.observer.get() {
            observer.failed();
        }
        self.segments.take_back();
        if health == Health::LowOnSpace {
            self.give_up_reserve();
        }
        if let GroupError::Index(error) = error
            && error.is_damage()
        {
            self.store.rebuild_next();
        }
        let mut void = Vec::new();
        for job in jobs {
            match &job.work {
                // Who has been told of a bounce must not get the message as well.
                Work::Close(_)
                | Work::Edit(Edit::Void(_) | Edit::Delete(_, Some(_)), _)
                | Work::Settle(..) => self.pending.push(job),
                Work::Accept(message, _) => {
                    void.push(message.header.id);
                    if matches!(message.body, PreparedBody::File(_)) {
                        self.discard_body(message.header.id);
                    }
                    job.work.fail(health);
                }
                Work::Edit(..) | Work::Damaged(..) => job.work.fail(health),
            }
        }
        self.forget_unacknowledged(void);
        self.unsynced_since = None;
        self.let_go();
    }

    /// Lets go of the index; whether nobody holds it any more.
    fn let_go(&mut self) -> bool {
        self.writer = None;
        self.shared.set_engine(None);
        wait_for_readers(self.index.take())
    }

    /// Has messages removed that nobody was told of, should the index know them nevertheless.
    fn forget_unacknowledged(&mut self, ids: Vec<QueueId>) {
        if !ids.is_empty() {
            let (answer, _) = tokio::sync::oneshot::channel();
            let work = Work::Edit(Edit::Void(ids), answer);
            self.pending.insert(0, Job { work, _room: None });
        }
    }

    /// Unlinks the file of a message that nobody was told of.
    fn discard_body(&mut self, id: QueueId) {
        // The index may know it nevertheless, until the removal above is made.
        let registered = self.settled_logs.append(self.shared.paths.unlinked(), &[body_entry(id)]);
        if let Err(error) = registered {
            tracing::warn!(queue_id = %id, %error, "unlinked file not registered");
        }
        if let Err(error) = unlink(&self.shared.paths.big(id)) {
            tracing::warn!(queue_id = %id, %error, "unacknowledged body not unlinked");
        }
    }

    /// Puts the store in order; where there is no room for that, in what was reserved.
    pub(super) fn recover(&mut self) -> Result<Recovered, OpenError> {
        match self.store.recover(self.shared.clock.now()) {
            Err(error) if error.is_full() && self.shared.paths.reserve().exists() => {
                self.give_up_reserve();
                self.store.recover(self.shared.clock.now())
            }
            recovered => recovered,
        }
    }

    /// Opens the store again, as often as it takes, and answers meanwhile.
    pub(super) fn reopen(&mut self, line: &Receiver<Job>) -> Flow {
        let mut wait = FIRST_WAIT;
        loop {
            if self.wait_failed(line, wait) == Flow::End {
                return Flow::End;
            }
            wait = wait.saturating_mul(2).min(LONGEST_WAIT);
            match self.open() {
                Ok(()) => {
                    tracing::info!("store reopened");
                    let pending = std::mem::take(&mut self.pending);
                    if pending.is_empty() {
                        return Flow::GoOn;
                    }
                    if self.commit_group(pending) == Flow::End {
                        return Flow::End;
                    }
                    if self.index.is_some() {
                        return Flow::GoOn;
                    }
                }
                Err(error) => {
                    tracing::error!(error = %chain(&error), "store reopen failed");
                    let health = if error.is_full() { Health::LowOnSpace } else { Health::Failed };
                    self.shared.set_health(health);
                }
            }
        }
    }

    /// Answers for a while that the store has failed; settlements wait.
    fn wait_failed(&mut self, line: &Receiver<Job>, wait: Duration) -> Flow {
        let began = Instant::now();
        loop {
            match line.recv_timeout(wait.saturating_sub(began.elapsed())) {
                Ok(job) => match job.work {
                    Work::Close(_) => {
                        self.pending.push(job);
                        return Flow::End;
                    }
                    Work::Settle(..) => self.pending.push(job),
                    Work::Accept(..) | Work::Damaged(..) | Work::Edit(..) => {
                        job.work.fail(self.shared.health());
                    }
                },
                Err(RecvTimeoutError::Timeout) => return Flow::GoOn,
                Err(RecvTimeoutError::Disconnected) => return Flow::End,
            }
        }
    }

    /// Ends the store in order, so that it opens fast.
    pub(super) fn finish(&mut self) {
        self.shared.set_health(Health::Closed);
        if self.index.is_none() {
            return self.store.unlock();
        }
        let finished = self.finish_rows();
        if let Err(error) = &finished {
            tracing::error!(error = %chain(error), "store not closed cleanly");
        }
        if self.let_go()
            && finished.is_ok()
            && let Err(error) = self.store.write_closed(self.ledger.row.groups)
        {
            tracing::warn!(%error, "store not marked as closed");
        }
        self.store.unlock();
    }

    /// Writes what the next start should find.
    fn finish_rows(&mut self) -> Result<(), GroupError> {
        self.settled_logs.sync()?;
        self.segments.finish_current()?;
        self.flush_all()?;
        // From here on nothing is journaled: the engine knows everything.
        let gone = self.unlink_files()?;
        let index = self.index()?;
        let mut batch = Batch::new(index.as_ref(), &mut self.ledger);
        gone.forget(&mut batch);
        batch.release_ids(self.shared.ids.last());
        batch.mark(self.segments.end());
        batch.keep_waiting()?;
        let sealed = batch.seal()?;
        Ok(sealed.commit(index.engine())?)
    }

    /// Ends, and tells all who still wait.
    pub(super) fn close(mut self, line: &Receiver<Job>) {
        self.finish();
        for job in std::mem::take(&mut self.pending) {
            job.work.refuse();
        }
        while let Ok(job) = line.try_recv() {
            job.work.refuse();
        }
    }
}

/// Waits until nobody reads the index any more, and drops it; whether that happened.
fn wait_for_readers(index: Option<Arc<Overlay>>) -> bool {
    let Some(index) = index else { return true };
    let began = Instant::now();
    while Arc::strong_count(&index) > 1 {
        if began.elapsed() > READERS_WAIT {
            tracing::warn!("index closed while it was being read");
            return false;
        }
        thread::sleep(Duration::from_millis(1));
    }
    true
}

/// Whether the disk is full.
fn is_full(error: &GroupError) -> bool {
    let (GroupError::Index(EngineError::Io(error)) | GroupError::Spool(error)) = error else {
        return false;
    };
    store::is_full(error)
}
