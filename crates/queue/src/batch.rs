//! One batch of changes to the index, with its own view: it reads what it has itself changed.

use std::collections::{BTreeMap, BTreeSet};

use crate::id::QueueId;
use crate::index::{Change, Engine, EngineError};
use crate::key::{Key, LotId, VALUE_MOST};
use crate::rows::{LotRow, MessageRow, Place, SegmentRow, StoreRow};

mod messages;

pub(crate) use self::messages::Later;
pub use self::messages::Settled;

/// The numbers about the whole store that the committer keeps in memory.
#[derive(Clone, Debug)]
pub(crate) struct Ledger {
    /// The store's row.
    pub(crate) row: StoreRow,
    /// What is alive in each segment.
    pub(crate) segments: BTreeMap<u32, SegmentRow>,
}

impl Ledger {
    /// The numbers of an empty store.
    pub(crate) const fn empty() -> Self {
        Self { row: StoreRow::empty(), segments: BTreeMap::new() }
    }
}

/// What must be done once a batch is durable.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    /// Destinations that have a lot due, and when.
    pub(crate) due: Vec<(String, u64)>,
    /// Recipients that are settled, and where the message's record is.
    pub(crate) settled: Vec<(Place, QueueId, u32)>,
    /// Messages whose own file may be unlinked.
    pub(crate) finished_bodies: Vec<QueueId>,
}

/// Changes that become durable together.
#[derive(Debug)]
pub(crate) struct Batch<'a> {
    engine: &'a dyn Engine,
    ledger: &'a mut Ledger,
    changes: BTreeMap<Key, Option<Vec<u8>>>,
    touched: BTreeSet<u32>,
    effects: Effects,
}

impl<'a> Batch<'a> {
    /// An empty batch.
    pub(crate) fn new(engine: &'a dyn Engine, ledger: &'a mut Ledger) -> Self {
        Self {
            engine,
            ledger,
            changes: BTreeMap::new(),
            touched: BTreeSet::new(),
            effects: Effects::default(),
        }
    }

    /// Sets how far the spool is indexed.
    pub(crate) fn mark(&mut self, (segment, offset): (u32, u64)) {
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

    /// A lot.
    pub(crate) fn lot(&self, lot: LotId) -> Result<Option<LotRow>, EngineError> {
        let bytes = self.find(&Key::lot(lot))?;
        Ok(bytes.map(|bytes| LotRow::decode(&bytes)).transpose()?)
    }

    /// The value at `key`, with this batch's changes.
    pub(crate) fn find(&self, key: &Key) -> Result<Option<Vec<u8>>, EngineError> {
        match self.changes.get(key) {
            Some(changed) => Ok(changed.clone()),
            None => self.engine.find(key),
        }
    }

    /// Writes a value.
    pub(crate) fn put(&mut self, key: Key, value: Vec<u8>) -> Result<(), EngineError> {
        if value.len() > VALUE_MOST {
            return Err(EngineError::ValueTooLong(value.len()));
        }
        self.changes.insert(key, Some(value));
        Ok(())
    }

    /// Removes a value.
    pub(crate) fn remove(&mut self, key: Key) {
        self.changes.insert(key, None);
    }

    /// Whether nothing is changed so far.
    pub(crate) fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// The changes to commit, and what is to be done afterwards.
    pub(crate) fn seal(mut self) -> Result<(Vec<Change>, Effects), EngineError> {
        self.ledger.row.rounds = self.ledger.row.rounds.saturating_add(1);
        for segment in std::mem::take(&mut self.touched) {
            if let Some(row) = self.ledger.segments.get(&segment).copied() {
                self.put(Key::segment(segment), row.encode())?;
            }
        }
        let row = self.ledger.row.encode();
        self.put(Key::store(), row)?;
        Ok((self.changes.into_iter().collect(), self.effects))
    }

    /// Counts a message in its segment.
    fn count_place_in(&mut self, message: &MessageRow) {
        if let Place::Segment { segment, .. } = message.place {
            let row = self.ledger.segments.entry(segment).or_default();
            row.messages = row.messages.saturating_add(1);
            row.bytes = row.bytes.saturating_add(message.record_size());
            self.touched.insert(segment);
        }
    }

    /// Counts a message out of its segment.
    fn count_place_out(&mut self, message: &MessageRow) {
        if let Place::Segment { segment, .. } = message.place {
            let row = self.ledger.segments.entry(segment).or_default();
            row.messages = row.messages.saturating_sub(1);
            row.bytes = row.bytes.saturating_sub(message.record_size());
            self.touched.insert(segment);
        }
    }
}
