//! What the committer writes: records and journal, the index over its engine, the settled logs, and
//! the numbers about all of it.

use std::sync::Arc;
use std::time::Duration;
use std::{fs, io, thread};

use mail::QueueId;
use store::{Due, RecordNumber, Totals};
use tokio::time::Instant;

use crate::batch::{Batch, Effects, Ledger, Sealed};
use crate::committer::group::{Durable, GroupError};
use crate::committer::writer::{ENOUGH, Flush, MOST, Patience, Writer};
use crate::index::{Change, Engine, EngineError, Overlay};
use crate::key::Key;
use crate::record::{Header, Kind};
use crate::records;
use crate::rows::RecordLocation;
use crate::shared::Shared;
use crate::spool::segments::Segments;
use crate::spool::settled_log::SettledLogs;
use crate::spool::unlinked::body_entry;
use crate::spool::{journal, sync_dir, unlink};
use crate::work::{Job, Prepared, PreparedBody};

/// How long readers may take to let go of an index that is closed.
const READERS_WAIT: Duration = Duration::from_secs(10);

/// What is written, and how far; without an index while the store is closed.
#[derive(Debug)]
pub(super) struct CommitLog {
    pub(super) shared: Arc<Shared>,
    index: Option<Arc<Overlay>>,
    /// Flushes the index.
    writer: Option<Writer>,
    pub(super) ledger: Ledger,
    pub(super) segments: Segments,
    pub(super) settled_logs: SettledLogs,
    /// Messages that are gone, whose own files are still to be unlinked.
    pub(super) finished_bodies: Vec<QueueId>,
    /// The number of the last delivery record that is journaled.
    last_record: RecordNumber,
    /// Since when something in the spool is not synced.
    pub(super) unsynced_since: Option<Instant>,
}

impl CommitLog {
    /// Of a store that is not open yet.
    pub(super) fn closed(shared: Arc<Shared>, segments: Segments) -> Self {
        Self {
            shared,
            index: None,
            writer: None,
            ledger: Ledger::empty(),
            segments,
            settled_logs: SettledLogs::default(),
            finished_bodies: Vec::new(),
            last_record: 0,
            unsynced_since: None,
        }
    }

    /// Begins with an engine that was brought up to date; which destinations have entries.
    pub(super) fn open(
        &mut self,
        engine: Arc<dyn Engine>,
        ledger: Ledger,
        segments: Segments,
    ) -> Result<Vec<Due>, EngineError> {
        self.ledger = ledger;
        self.segments = segments;
        self.shared.ids.start_after(self.ledger.row.reserved);
        let due = Shared::due_destinations(engine.as_ref())?;
        if let Some(reserved) = self.shared.ids.wants(self.shared.clock.now()) {
            let mut batch = Batch::new(engine.as_ref(), &mut self.ledger);
            batch.reserve_ids(reserved);
            batch.seal()?.commit(engine.as_ref())?;
            self.shared.ids.reserve(reserved);
        }
        self.publish_totals();
        self.last_record = records::last(engine.as_ref())?;
        let index = Arc::new(Overlay::of(engine));
        self.writer = Some(Writer::start(Arc::clone(&index), self.ledger.mark())?);
        self.index = Some(Arc::clone(&index));
        self.shared.set_engine(Some(index));
        self.publish_records();
        Ok(due)
    }

    /// Whether there is an index.
    pub(super) const fn is_open(&self) -> bool {
        self.index.is_some()
    }

    /// The index, unless it is closed.
    pub(super) fn index(&self) -> Result<Arc<Overlay>, EngineError> {
        self.index.clone().ok_or_else(|| EngineError::Damaged("no index is open".to_owned()))
    }

    /// Journals what becomes of the index, makes it durable with all that was appended before, and
    /// lets readers see it.
    pub(super) fn conclude(
        &mut self,
        sealed: Sealed,
        durable: Durable,
    ) -> Result<Effects, GroupError> {
        let Sealed { row, mut changes, effects } = sealed;
        let body = journal::encode(&row, &changes);
        let now = self.shared.clock.now();
        let header = Header::of_changes(self.shared.store, row.groups, now, &body);
        self.segments.append(&[&header.encode_as(Kind::Changes), &body])?;
        match durable {
            Durable::First => self.sync()?,
            Durable::Soon => {
                self.segments.write_out()?;
                self.unsynced_since = self.unsynced_since.or_else(|| Some(Instant::now()));
            }
        }
        self.segments.keep();
        let row = &mut self.ledger.row;
        (row.mark_segment, row.mark_offset) = self.segments.end();
        // It may hold no message, and goes all the same when it is of no use any more.
        self.ledger.segments.entry(row.mark_segment).or_default();
        changes.push((Key::store(), Change::Put(row.encode())));
        self.index()?.apply(changes);
        self.last_record = effects.last_record.unwrap_or(self.last_record);
        if durable == Durable::First {
            self.publish_records();
        }
        Ok(effects)
    }

    /// Writes the records of all messages that the jobs bring; what has a file of its own is durable
    /// then.
    pub(super) fn write_records(
        &mut self,
        jobs: &[Job],
    ) -> io::Result<Vec<Option<RecordLocation>>> {
        let mut places = Vec::with_capacity(jobs.len());
        for job in jobs {
            places.push(job.work.prepared().map(|message| self.write_record(message)).transpose()?);
        }
        if places.contains(&Some(RecordLocation::Big)) {
            sync_dir(&self.shared.paths.big_dir())?;
        }
        Ok(places)
    }

    /// Writes one record.
    fn write_record(&mut self, message: &Prepared) -> io::Result<RecordLocation> {
        match &message.body {
            PreparedBody::Memory(body) => {
                self.segments.append(&[&message.header.encode(), &message.envelope, body])
            }
            PreparedBody::File(file) => {
                let path = self.shared.paths.big(message.header.id);
                match fs::rename(&file.0, &path) {
                    // A settlement that waited for the store has been here before.
                    Err(error) if error.kind() == io::ErrorKind::NotFound && path.exists() => {}
                    renamed => renamed?,
                }
                Ok(RecordLocation::Big)
            }
        }
    }

    /// Makes durable what has been written to the spool.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.segments.sync()?;
        self.synced();
        Ok(())
    }

    /// All that was journaled is durable.
    fn synced(&mut self) {
        self.unsynced_since = None;
        self.publish_records();
    }

    /// Says which delivery records are durable and can be read.
    fn publish_records(&self) {
        let last = self.last_record;
        self.shared.last_record.send_if_modified(|known| std::mem::replace(known, last) != last);
    }

    /// Has the index flushed, and learns how that went.
    pub(super) fn flush(&mut self, when: Flush) -> Result<(), GroupError> {
        let (Some(writer), Some(index)) = (self.writer.as_mut(), self.index.as_ref()) else {
            return Ok(());
        };
        let waiting = index.bytes();
        let patience = if waiting >= MOST { Patience::Endless } else { Patience::None };
        let flushed = writer.answer(patience)?;
        let enough = match when {
            Flush::Now => 1,
            Flush::WhenMuch => ENOUGH,
        };
        if writer.is_idle() && waiting >= enough {
            // The engine must not know what the journal may yet lose.
            self.segments.sync()?;
            writer.ask(self.segments.end())?;
            self.synced();
        }
        if let (Some(flushed), Some(observer)) = (flushed, self.shared.observer.get()) {
            observer.flushed(flushed);
        }
        Ok(())
    }

    /// Has all that was journaled flushed, and waits for it.
    pub(super) fn flush_all(&mut self) -> Result<(), GroupError> {
        let Some(writer) = self.writer.as_mut() else { return Ok(()) };
        writer.answer(Patience::Endless)?;
        writer.ask(self.segments.end())?;
        writer.answer(Patience::Endless)?;
        Ok(())
    }

    /// Whether a segment is finished and its journal flushed.
    pub(super) fn is_flushed(&self, segment: u32) -> bool {
        let is_known = self.writer.as_ref().is_some_and(|writer| segment < writer.mark().0);
        is_known && !self.segments.is_current(segment)
    }

    /// Does what a durable batch makes right: settled logs, due entries, files of finished messages.
    pub(super) fn publish(&mut self, effects: Effects) {
        self.shared.note(&effects.due);
        self.publish_totals();
        self.write_settled_logs(&effects);
        self.finished_bodies.extend(effects.finished_bodies);
    }

    /// Says how much is in the queue.
    fn publish_totals(&self) {
        let row = &self.ledger.row;
        self.shared.set_totals(Totals {
            messages: row.messages,
            recipients: row.recipients,
            bytes: row.bytes,
        });
        self.shared.set_waiting(self.ledger.waiting);
    }

    /// Writes to the settled logs what is settled; an error costs no mail, only a second sending if
    /// the index is lost as well.
    fn write_settled_logs(&mut self, effects: &Effects) {
        let mut by_file = std::collections::BTreeMap::new();
        for (place, id, recipient) in &effects.settled {
            if *place == RecordLocation::Big && effects.finished_bodies.contains(id) {
                continue;
            }
            by_file.entry(place.file_of(*id)).or_insert_with(Vec::new).push((*id, *recipient));
        }
        let log_of = |(file, entries)| (self.shared.paths.settled_log(file), entries);
        let mut by_file: Vec<_> = by_file.into_iter().map(log_of).collect();
        let finished: Vec<_> = effects.finished_bodies.iter().map(|id| body_entry(*id)).collect();
        if !finished.is_empty() {
            by_file.push((self.shared.paths.unlinked(), finished));
        }
        for (path, entries) in by_file {
            if let Err(error) = self.settled_logs.append(path.clone(), &entries) {
                tracing::warn!(path = %path.display(), %error, "settled log not written");
            }
        }
    }

    /// Unlinks the file of a message that was never acknowledged.
    pub(super) fn discard_body(&mut self, id: QueueId) {
        // The index may know it nevertheless, until the removal above is made.
        let registered = self.settled_logs.append(self.shared.paths.unlinked(), &[body_entry(id)]);
        if let Err(error) = registered {
            tracing::warn!(queue_id = %id, %error, "unlinked file not registered");
        }
        if let Err(error) = unlink(&self.shared.paths.big(id)) {
            tracing::warn!(queue_id = %id, %error, "unacknowledged body not unlinked");
        }
    }

    /// Lets go of the index; whether nobody holds it any more.
    pub(super) fn let_go(&mut self) -> bool {
        self.writer = None;
        self.shared.set_engine(None);
        wait_for_readers(self.index.take())
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
