//! One batch of changes to the index, with its own view: it reads what it has itself changed.

use std::collections::{BTreeMap, BTreeSet};

use mail::QueueId;
use store::rows::EntryRow;
use store::{Due, EntryId, RecordNumber, Waiting};

use crate::index::{Change, Engine, EngineError, Lookup, Row};
use crate::key::{Key, VALUE_MOST};
use crate::rows::{MessageRow, RecordLocation, SegmentRow, StoreRow};
use crate::spool::Mark;
use crate::waiting;

/// The numbers about the whole store that the committer keeps in memory.
#[derive(Clone, Debug)]
pub(crate) struct Ledger {
    /// The store's row.
    pub(crate) row: StoreRow,
    /// What is alive in each segment.
    pub(crate) segments: BTreeMap<u32, SegmentRow>,
    /// What recipients wait for.
    pub(crate) waiting: Waiting,
}

impl Ledger {
    /// The numbers of an empty store.
    pub(crate) const fn empty() -> Self {
        Self { row: StoreRow::empty(), segments: BTreeMap::new(), waiting: Waiting::NOBODY }
    }

    /// How far the spool is indexed: segment and offset.
    pub(crate) const fn mark(&self) -> Mark {
        (self.row.mark_segment, self.row.mark_offset)
    }
}

/// What must be done once a batch is durable.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    /// Destinations that have an entry due, and when.
    pub(crate) due: Vec<Due>,
    /// Recipients that are settled, and where the message's record is.
    pub(crate) settled: Vec<(RecordLocation, QueueId, u32)>,
    /// Messages whose own file may be unlinked.
    pub(crate) finished_bodies: Vec<QueueId>,
    /// The number of the last delivery record, where there are new ones.
    pub(crate) last_record: Option<RecordNumber>,
}

/// A batch that is complete.
#[derive(Debug)]
pub(crate) struct Sealed {
    /// The store's own row.
    pub(crate) row: StoreRow,
    /// What becomes of all other rows.
    pub(crate) changes: Vec<(Key, Change)>,
    /// What must be done once it is durable.
    pub(crate) effects: Effects,
}

impl Sealed {
    /// Writes the batch to an engine that nothing is journaled for.
    pub(crate) fn commit(self, engine: &dyn Engine) -> Result<(), EngineError> {
        let changes = self.changes.into_iter().map(|(key, change)| (key, change.into_value()));
        engine.commit(changes.chain([(Key::store(), Some(self.row.encode()))]).collect())
    }
}

/// Changes that become durable together.
#[derive(Debug)]
pub(crate) struct Batch<'a> {
    index: &'a dyn Lookup,
    /// The numbers, which what is changed keeps right.
    pub(crate) ledger: &'a mut Ledger,
    changes: BTreeMap<Key, Change>,
    touched: BTreeSet<u32>,
    /// What must be done once it is durable.
    pub(crate) effects: Effects,
}

impl<'a> Batch<'a> {
    /// An empty batch.
    pub(crate) fn new(index: &'a dyn Lookup, ledger: &'a mut Ledger) -> Self {
        Self {
            index,
            ledger,
            changes: BTreeMap::new(),
            touched: BTreeSet::new(),
            effects: Effects::default(),
        }
    }

    /// Sets how far the spool is indexed.
    pub(crate) fn mark(&mut self, (segment, offset): Mark) {
        self.ledger.row.mark_segment = segment;
        self.ledger.row.mark_offset = offset;
    }

    /// Reserves ids up to `reserved`.
    pub(crate) fn reserve_ids(&mut self, reserved: QueueId) {
        self.ledger.row.reserved = self.ledger.row.reserved.max(reserved);
    }

    /// Gives back what was reserved beyond the last id given.
    pub(crate) fn release_ids(&mut self, last: QueueId) {
        self.ledger.row.reserved = last;
    }

    /// Keeps for the next start what recipients wait for; this batch must be the last.
    pub(crate) fn keep_waiting(&mut self) -> Result<(), EngineError> {
        // Sealing this batch counts it.
        let groups = self.ledger.row.groups.saturating_add(1);
        let row = waiting::encode(&self.ledger.waiting, groups);
        self.put(Key::waiting(), row)
    }

    /// Forgets segments that are unlinked.
    pub(crate) fn forget_segments(&mut self, segments: &[u32]) {
        for segment in segments {
            self.ledger.segments.remove(segment);
            self.remove(Key::segment(*segment));
        }
    }

    /// A message.
    pub(crate) fn message(&self, id: QueueId) -> Result<Option<MessageRow>, EngineError> {
        let bytes = self.find(&Key::message(id))?;
        Ok(bytes.map(|bytes| MessageRow::decode(&bytes)).transpose()?)
    }

    /// An entry.
    pub(crate) fn entry(&self, entry: EntryId) -> Result<Option<EntryRow>, EngineError> {
        let bytes = self.find(&Key::entry(entry))?;
        Ok(bytes.map(|bytes| EntryRow::decode(&bytes)).transpose()?)
    }

    /// The value at `key`, with this batch's changes.
    pub(crate) fn find(&self, key: &Key) -> Result<Option<Vec<u8>>, EngineError> {
        match self.changes.get(key) {
            Some(change) => Ok(change.value().cloned()),
            None => self.index.find(key),
        }
    }

    /// Rows as they are without this batch's changes, at most `limit`.
    pub(crate) fn scan_before(
        &self,
        from: &Key,
        until: &Key,
        limit: usize,
    ) -> Result<Vec<Row>, EngineError> {
        self.index.scan(from, until, limit)
    }

    /// Writes a value.
    pub(crate) fn put(&mut self, key: Key, value: Vec<u8>) -> Result<(), EngineError> {
        match self.changes.get(&key) {
            Some(Change::Add(_)) => self.write(key, Change::Add(value)),
            Some(Change::Put(_) | Change::Remove) | None => self.write(key, Change::Put(value)),
        }
    }

    /// Writes a value where there is none.
    pub(crate) fn put_new(&mut self, key: Key, value: Vec<u8>) -> Result<(), EngineError> {
        match self.changes.get(&key) {
            // There was one if this batch removes it.
            Some(Change::Put(_) | Change::Remove) => self.write(key, Change::Put(value)),
            Some(Change::Add(_)) | None => self.write(key, Change::Add(value)),
        }
    }

    /// Notes what is written, unless it is too long.
    fn write(&mut self, key: Key, change: Change) -> Result<(), EngineError> {
        match change.value() {
            Some(value) if value.len() > VALUE_MOST => Err(EngineError::ValueTooLong(value.len())),
            Some(_) | None => {
                self.changes.insert(key, change);
                Ok(())
            }
        }
    }

    /// Removes a value.
    pub(crate) fn remove(&mut self, key: Key) {
        if let Some(Change::Add(_)) = self.changes.get(&key) {
            self.changes.remove(&key);
        } else {
            self.changes.insert(key, Change::Remove);
        }
    }

    /// Whether this batch writes the value at `key`, or removes it.
    pub(crate) fn changes(&self, key: &Key) -> bool {
        self.changes.contains_key(key)
    }

    /// Whether nothing is changed so far.
    pub(crate) fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// The changes of a commit group, and what is to be done afterwards.
    pub(crate) fn seal(mut self) -> Result<Sealed, EngineError> {
        self.ledger.row.groups = self.ledger.row.groups.saturating_add(1);
        for segment in std::mem::take(&mut self.touched) {
            if let Some(row) = self.ledger.segments.get(&segment).copied() {
                self.put(Key::segment(segment), row.encode())?;
            }
        }
        let (row, changes) = (self.ledger.row, self.changes.into_iter().collect());
        Ok(Sealed { row, changes, effects: self.effects })
    }

    /// Counts a message in its segment.
    pub(crate) fn count_place_in(&mut self, message: &MessageRow) {
        if let RecordLocation::Segment { segment, .. } = message.place {
            let row = self.ledger.segments.entry(segment).or_default();
            row.messages = row.messages.saturating_add(1);
            row.bytes = row.bytes.saturating_add(message.record_size());
            self.touched.insert(segment);
        }
    }

    /// Counts a message out of its segment.
    pub(crate) fn count_place_out(&mut self, message: &MessageRow) {
        if let RecordLocation::Segment { segment, .. } = message.place {
            let row = self.ledger.segments.entry(segment).or_default();
            row.messages = row.messages.saturating_sub(1);
            row.bytes = row.bytes.saturating_sub(message.record_size());
            self.touched.insert(segment);
        }
    }
}
