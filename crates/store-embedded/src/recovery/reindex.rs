//! Reading the spool into the index.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use clock::millis;
use mail::{QueueId, State};
use store::rows::{message_of, split_entries};

use crate::batch::{Batch, Ledger};
use crate::index::{Engine, EngineError, for_each, write_in_parts};
use crate::key::Key;
use crate::message_changes;
use crate::recovery::error::RecoveryError;
use crate::recovery::replay::Replayed;
use crate::rows::{MessageRow, RecordLocation};
use crate::spool::journal::Changes;
use crate::spool::scan::{Bodies, Body, Found, Record, Whole, scan};
use crate::spool::settled_log::{SettledLog, SettledLogs};
use crate::spool::unlinked::{Unlinked, body_entry};
use crate::spool::{Mark, Paths, settled_log_of, sync_dir, unlink};

/// A batch is committed when it has so many recipients.
const BATCH_RECIPIENTS: usize = 1024;

/// What is read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Span {
    /// All of the spool, into an empty index.
    Everything,
    /// What the index has not read yet.
    Unread,
    /// The same, and what the settled logs know that the index may have forgotten.
    UnreadAndSettled,
}

/// A reading of the spool.
#[derive(Debug)]
pub(super) struct Reindex<'a> {
    paths: &'a Paths,
    store: u64,
    engine: &'a dyn Engine,
    ledger: Ledger,
    now: SystemTime,
    span: Span,
    /// Up to where the engine knew the spool by itself.
    from: Mark,
    /// Messages that left the queue, by the journal.
    gone: HashSet<QueueId>,
    /// Rows of values and delivery records, by the journal, and where in it they are: the last one counts.
    values: BTreeMap<Key, (Mark, Option<Vec<u8>>)>,
    /// The highest id that the spool names.
    highest: Option<QueueId>,
    /// What is gone from the spool, and is meant to be.
    unlinked: Unlinked,
    /// Whether a record was met that cannot be read.
    damage: bool,
    /// Messages that were entered with a damaged body, of which there may be another copy.
    damaged: HashSet<QueueId>,
}

/// What a reading leaves.
#[derive(Debug)]
pub(super) struct End {
    /// The numbers after the reading.
    pub(super) ledger: Ledger,
    /// The highest id met.
    pub(super) highest: Option<QueueId>,
    /// The last segment that is known to be gone.
    pub(super) last_segment: Option<u32>,
}

impl<'a> Reindex<'a> {
    /// A reading of `span` into `engine`, which was brought up to date from the journal.
    pub(super) fn new(
        (paths, store): (&'a Paths, u64),
        engine: &'a dyn Engine,
        ledger: Ledger,
        replayed: Replayed,
        now: SystemTime,
        span: Span,
    ) -> Self {
        let Replayed { from, gone, .. } = replayed;
        Self {
            paths,
            store,
            engine,
            ledger,
            now,
            span,
            from,
            gone,
            values: BTreeMap::new(),
            highest: None,
            unlinked: Unlinked::default(),
            damage: false,
            damaged: HashSet::new(),
        }
    }

    /// Reads segments, then files of single messages.
    pub(super) fn run(&mut self) -> Result<(), RecoveryError> {
        self.unlinked = Unlinked::load(self.paths)?;
        self.highest = self.highest.max(self.unlinked.highest_body());
        if self.span == Span::UnreadAndSettled {
            self.read_settled_logs()?;
            self.forget_unlinked_bodies()?;
        }
        let mut segments = self.paths.segments()?;
        if self.span == Span::Everything {
            // The later copy of a message that was copied forward has the better settled log.
            segments.reverse();
        }
        for segment in segments {
            if let Some(from) = self.unread_from(segment) {
                self.read_segment(segment, from)?;
            }
        }
        for id in self.paths.bigs()? {
            self.read_big(id)?;
        }
        match self.span {
            Span::Everything => {
                self.forget_gone()?;
                let values = self.values.iter();
                let values = values.map(|(key, (_, value))| (key, value.as_deref()));
                write_in_parts(self.engine, values)?;
            }
            Span::UnreadAndSettled => self.forget_unlinked_segments()?,
            Span::Unread => {}
        }
        self.forget_finished_bodies()
    }

    /// What the reading leaves.
    pub(super) fn finish(self) -> End {
        let last_segment = self.unlinked.last_segment();
        End { ledger: self.ledger, highest: self.highest, last_segment }
    }

    /// From where on a segment is to be read, if at all.
    fn unread_from(&self, segment: u32) -> Option<u64> {
        let (mark, offset) = self.from;
        match self.span {
            Span::Everything => Some(0),
            Span::Unread | Span::UnreadAndSettled => match segment.cmp(&mark) {
                Ordering::Equal => Some(offset),
                Ordering::Greater => Some(0),
                // Its row goes only after its file is gone for good.
                Ordering::Less => (!self.ledger.segments.contains_key(&segment)).then_some(0),
            },
        }
    }

    /// Removes recipients that the settled logs know to be settled: sled may have gone back in time.
    fn read_settled_logs(&mut self) -> Result<(), RecoveryError> {
        let segments = self.paths.segments()?.into_iter().map(|number| self.paths.segment(number));
        let bigs = self.paths.bigs()?.into_iter().map(|id| self.paths.big(id));
        let files: Vec<PathBuf> = segments.chain(bigs).collect();
        let mut forgotten = 0_u32;
        for file in files {
            let settled = SettledLog::load(&settled_log_of(&file))?;
            let mut batch = Batch::new(self.engine, &mut self.ledger);
            for id in settled.messages() {
                let is_settled = |recipient| settled.holds(id, recipient);
                forgotten = forgotten
                    .saturating_add(message_changes::forget_settled(&mut batch, id, is_settled)?);
            }
            if !batch.is_empty() {
                batch.seal()?.commit(self.engine)?;
            }
        }
        if forgotten > 0 {
            tracing::warn!(recipients = forgotten, "delivery results recovered from spool");
        }
        Ok(())
    }

    /// Removes messages that had a file of their own and are known to be gone: sled may have gone
    /// back in time.
    fn forget_unlinked_bodies(&mut self) -> Result<(), RecoveryError> {
        let ids: Vec<QueueId> = self.unlinked.bodies().collect();
        self.forget_unlinked(&ids)
    }

    /// Removes messages from segments that are known to be gone. What was copied forward out of one
    /// has been read by now, and is elsewhere; where a record could not be read nothing is removed,
    /// for it may be such a copy.
    fn forget_unlinked_segments(&mut self) -> Result<(), RecoveryError> {
        let is_gone = |segment: u32| {
            self.unlinked.holds_segment(segment) && !self.paths.segment(segment).exists()
        };
        let rows = self.ledger.segments.iter().filter(|(_, row)| row.messages > 0);
        let gone: BTreeSet<u32> = rows.map(|(number, _)| *number).filter(|n| is_gone(*n)).collect();
        if gone.is_empty() || self.damage {
            return Ok(());
        }
        let mut ids = Vec::new();
        for_each(self.engine, Key::first(b'M'), &Key::end(b'M'), |key, value| {
            if let RecordLocation::Segment { segment, .. } = MessageRow::decode(&value)?.place
                && gone.contains(&segment)
            {
                ids.push(key.message_id()?);
            }
            Ok(())
        })?;
        self.forget_unlinked(&ids)
    }

    /// Removes messages whose file is gone, and says so.
    fn forget_unlinked(&mut self, ids: &[QueueId]) -> Result<(), RecoveryError> {
        let recipients = self.forget_messages(ids)?;
        if recipients > 0 {
            tracing::warn!(recipients, "message deletions recovered from spool");
        }
        Ok(())
    }

    /// Removes messages that left the queue by a journal that was read after them.
    fn forget_gone(&mut self) -> Result<(), RecoveryError> {
        let ids: Vec<QueueId> = self.gone.iter().copied().collect();
        self.forget_messages(&ids).map(drop)
    }

    /// Removes messages that the index should not have any more; how many recipients they had.
    fn forget_messages(&mut self, ids: &[QueueId]) -> Result<u32, RecoveryError> {
        let mut forgotten = 0_u32;
        for some in ids.chunks(BATCH_RECIPIENTS) {
            let mut batch = Batch::new(self.engine, &mut self.ledger);
            for id in some {
                forgotten = forgotten.saturating_add(message_changes::forget_settled(
                    &mut batch,
                    *id,
                    |_| true,
                )?);
            }
            if !batch.is_empty() {
                batch.seal()?.commit(self.engine)?;
            }
        }
        Ok(forgotten)
    }

    /// Reads one segment.
    fn read_segment(&mut self, segment: u32, from: u64) -> Result<(), RecoveryError> {
        let path = self.paths.segment(segment);
        let settled = SettledLog::load(&settled_log_of(&path))?;
        self.highest = self.highest.max(settled.highest());
        // Known from now on, so that it is unlinked when nothing in it is alive.
        self.ledger.segments.entry(segment).or_default();
        let (mut waiting, mut recipients, mut count) = (Vec::new(), 0_usize, 0_u64);
        let mut whole = Whole::from(from);
        scan(&path, self.store, from, Bodies::Check, |found| match whole.pass(found) {
            Found::Changes { offset, changes, .. } => {
                if whole.until_now() {
                    self.note(*changes, (segment, offset))?;
                }
                whole.begin_again();
                Ok(())
            }
            Found::Record(record) => {
                recipients = recipients.saturating_add(record.envelope.recipients().len());
                let place = RecordLocation::Segment { segment, offset: record.offset };
                waiting.push((*record, place));
                if recipients < BATCH_RECIPIENTS {
                    return Ok(());
                }
                recipients = 0;
                count = count.saturating_add(self.enter(std::mem::take(&mut waiting), &settled)?);
                Ok(())
            }
            Found::Damage { offset, size, why } => {
                self.damage = true;
                self.set_aside(&path, offset, size, why)
            }
            Found::Torn { offset } => self.torn(&path, offset),
        })?;
        count = count.saturating_add(self.enter(waiting, &settled)?);
        if self.span != Span::Everything && count > 0 {
            tracing::info!(segment, records = count, "messages recovered from spool");
        }
        Ok(())
    }

    /// Notes what a commit group says of those who left the queue, and of values, where no index knows.
    fn note(&mut self, changes: Changes, place: Mark) -> Result<(), EngineError> {
        if self.span != Span::Everything {
            return Ok(());
        }
        for (key, value) in changes.writes {
            if value.is_none() && key.is_message() {
                self.gone.insert(key.message_id()?);
            } else if (key.is_value() || key.is_of_records()) && place >= self.from {
                let known = self.values.entry(key).or_insert_with(|| (place, None));
                if known.0 <= place {
                    *known = (place, value);
                }
            }
        }
        Ok(())
    }

    /// Reads the file of a single message.
    fn read_big(&mut self, id: QueueId) -> Result<(), RecoveryError> {
        let is_finished = self.engine.find(&Key::finished_body(id))?.is_some();
        if is_finished || self.engine.find(&Key::message(id))?.is_some() {
            return Ok(());
        }
        if self.unlinked.holds_body(id) {
            let mut batch = Batch::new(self.engine, &mut self.ledger);
            batch.put(Key::finished_body(id), Vec::new())?;
            return Ok(batch.seal()?.commit(self.engine)?);
        }
        let path = self.paths.big(id);
        let settled = SettledLog::load(&settled_log_of(&path))?;
        let mut records = Vec::new();
        scan(&path, self.store, 0, Bodies::Check, |found| {
            if let Found::Record(record) = found
                && record.offset == 0
                && record.header.id == id
            {
                records.push((*record, RecordLocation::Big));
            }
            Ok::<(), RecoveryError>(())
        })?;
        if records.is_empty() {
            let aside = self.paths.quarantine_dir().join(format!("big-{id}"));
            tracing::error!(path = %path.display(), to = %aside.display(), "damaged record quarantined");
            fs::rename(&path, &aside)?;
            return Ok(());
        }
        tracing::info!(queue_id = %id, "message recovered from spool");
        self.enter(records, &settled).map(drop)
    }

    /// Enters records into the index, of which it does not know the messages; how many there were.
    fn enter(
        &mut self,
        records: Vec<(Record, RecordLocation)>,
        settled: &SettledLog,
    ) -> Result<u64, RecoveryError> {
        let due = millis(self.now);
        let mut entered = 0_u64;
        let mut batch = Batch::new(self.engine, &mut self.ledger);
        for (record, place) in records {
            let id = record.header.id;
            self.highest = self.highest.max(Some(id));
            if let Some(known) = batch.message(id)? {
                if self.span == Span::Everything {
                    // An earlier copy, and what was settled while it was the only one.
                    if record.body == Body::Whole && self.damaged.remove(&id) {
                        message_changes::relocate(&mut batch, id, place)?;
                        message_changes::set_state(&mut batch, id, State::Queued, due)?;
                    }
                    message_changes::forget_settled(&mut batch, id, |recipient| {
                        settled.holds(id, recipient)
                    })?;
                } else if known.place != place
                    && (record.body == Body::Whole || !self.paths.record(id, known.place).exists())
                {
                    // A damaged copy is one that was never finished, unless it is the only one.
                    message_changes::relocate(&mut batch, id, place)?;
                }
                continue;
            }
            let mut entries = split_entries(&record.envelope, due);
            let is_gone = self.gone.contains(&id);
            for entry in &mut entries {
                entry
                    .recipients
                    .retain(|recipient| !is_gone && !settled.holds(id, recipient.index));
            }
            if entries.iter().all(|entry| entry.recipients.is_empty()) {
                if place == RecordLocation::Big {
                    batch.put(Key::finished_body(id), Vec::new())?;
                }
                continue;
            }
            let header = record.header;
            let message = message_of(&record.envelope, header.received_at, header.body_size);
            message_changes::add(&mut batch, id, place, header.envelope_size, message, &entries)?;
            entered = entered.saturating_add(1);
            if record.body == Body::Damaged {
                let why = "the body's checksum is wrong".to_owned();
                tracing::error!(queue_id = %id, why, "message quarantined");
                message_changes::set_state(&mut batch, id, State::Quarantined { why }, due)?;
                self.damaged.insert(id);
            }
        }
        batch.seal()?.commit(self.engine)?;
        Ok(entered)
    }

    /// Unlinks the files of messages that have left the queue.
    fn forget_finished_bodies(&mut self) -> Result<(), RecoveryError> {
        let mut finished = Vec::new();
        for_each(self.engine, Key::first(b'B'), &Key::end(b'B'), |key, _| {
            finished.push(key.message_id()?);
            Ok(())
        })?;
        if finished.is_empty() {
            return Ok(());
        }
        self.register(&finished)?;
        for id in &finished {
            let path = self.paths.big(*id);
            unlink(&path)?;
            unlink(&settled_log_of(&path))?;
        }
        sync_dir(&self.paths.big_dir())?;
        let mut batch = Batch::new(self.engine, &mut self.ledger);
        for id in finished {
            batch.remove(Key::finished_body(id));
        }
        Ok(batch.seal()?.commit(self.engine)?)
    }

    /// Makes durable that the files of these messages are meant to be gone, where that is not known.
    fn register(&self, finished: &[QueueId]) -> io::Result<()> {
        let unknown = finished.iter().filter(|id| !self.unlinked.holds_body(**id));
        let entries: Vec<_> = unknown.map(|id| body_entry(*id)).collect();
        let mut logs = SettledLogs::default();
        logs.append(self.paths.unlinked(), &entries)?;
        logs.sync()
    }

    /// A record ends before its end.
    fn torn(&self, path: &Path, offset: u64) -> Result<(), RecoveryError> {
        tracing::info!(path = %path.display(), offset, "incomplete record ignored: it was never acknowledged");
        match self.span {
            Span::Everything => {
                let size = fs::metadata(path)?.len().saturating_sub(offset);
                self.set_aside(path, offset, size, "the file ends before the record")
            }
            Span::Unread | Span::UnreadAndSettled => Ok(()),
        }
    }

    /// Copies damaged bytes to where they are not in the way and not lost.
    fn set_aside(
        &self,
        path: &Path,
        offset: u64,
        size: u64,
        why: &str,
    ) -> Result<(), RecoveryError> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let aside = self.paths.quarantine_dir().join(format!("{name}-at-{offset}"));
        tracing::error!(
            path = %path.display(), offset, size, why, to = %aside.display(),
            "damaged bytes in spool quarantined"
        );
        let mut input = File::open(path)?;
        input.seek(SeekFrom::Start(offset))?;
        let mut output = File::create(&aside)?;
        io::copy(&mut input.take(size), &mut output)?;
        output.sync_all()?;
        Ok(sync_dir(&self.paths.quarantine_dir())?)
    }
}
