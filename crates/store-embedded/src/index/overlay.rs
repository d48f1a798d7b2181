//! What is journaled but not yet in the engine lies over it, in memory.
//!
//! There are two layers of rows over the engine. The *active* one takes the changes of each group.
//! Now and then the layers are rotated: the active one is the *flushing* one now, which a thread
//! of its own writes to the engine, and a new active one takes what comes. A reader looks into
//! active layer, flushing layer and engine, in this order. A row that comes and goes within one
//! layer costs the engine nothing: so it is with most mail.
//!
//! Nothing here is durable by itself. The journal in the spool is, and is read again after a crash.

use std::collections::BTreeMap;
use std::collections::btree_map::{Entry, Range};
use std::iter::Peekable;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::index::engine::{Change, Engine, EngineError, Lookup, Row, WriteRef};
use crate::key::Key;

/// The engine is given at most so many rows at once: it is synced after each, so that what one
/// sync covers stays as small as it was when its survival of power cuts was tested.
const PART_ROWS: usize = 2048;

/// The same in bytes, about a segment of sled's.
const PART_BYTES: usize = 256 << 10;

/// What a row costs in memory besides its bytes, about.
const ROW_COST: usize = 128;

/// At most this many rows of the engine are read at a time to find one that is not removed.
const PAGE_MOST: usize = 512;

/// An engine, and the rows that have not been flushed to it yet.
#[derive(Debug)]
pub(crate) struct Overlay {
    engine: Arc<dyn Engine>,
    layers: RwLock<Layers>,
}

/// The layers over the engine.
#[derive(Debug, Default)]
struct Layers {
    active: Layer,
    /// What is being flushed.
    flushing: Option<Arc<Layer>>,
}

/// Rows and what became of them.
#[derive(Debug, Default)]
struct Layer {
    rows: BTreeMap<Key, Change>,
    bytes: usize,
}

impl Overlay {
    /// `engine`, with nothing over it.
    pub(crate) fn of(engine: Arc<dyn Engine>) -> Self {
        Self { engine, layers: RwLock::default() }
    }

    /// The engine, for who knows that nothing lies over it.
    pub(crate) fn engine(&self) -> &dyn Engine {
        self.engine.as_ref()
    }

    /// Makes all changes at once, as readers see it.
    pub(crate) fn apply(&self, changes: Vec<(Key, Change)>) {
        let mut layers = self.write();
        for (key, change) in changes {
            layers.active.enter(key, change);
        }
    }

    /// How many bytes wait in the active layer, about.
    pub(crate) fn bytes(&self) -> usize {
        self.read().active.bytes
    }

    /// Lets the active layer be flushed next; nothing may be being flushed.
    pub(crate) fn rotate(&self) {
        let mut layers = self.write();
        assert!(layers.flushing.is_none(), "one layer is flushed at a time");
        layers.flushing = Some(Arc::new(std::mem::take(&mut layers.active)));
    }

    /// Flushes the layer that is next to the engine; how many rows there were.
    ///
    /// The store's own row, whose key is the last, names the place in the journal up to which all
    /// is flushed: a crash before it finds the place of the time before.
    pub(crate) fn flush(&self) -> Result<usize, EngineError> {
        let Some(flushing) = self.read().flushing.clone() else { return Ok(0) };
        let writes =
            flushing.rows.iter().map(|(key, change)| (key, change.value().map(Vec::as_slice)));
        write_in_parts(self.engine.as_ref(), writes)?;
        self.write().flushing = None;
        Ok(flushing.rows.len())
    }

    /// The layers, to look into.
    fn read(&self) -> RwLockReadGuard<'_, Layers> {
        self.layers.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The layers, to change them.
    fn write(&self) -> RwLockWriteGuard<'_, Layers> {
        self.layers.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gives an engine more writes than it is to be given at once; each part is durable before the next.
#[expect(single_use_lifetimes, reason = "an anonymous one is not allowed here yet")]
pub(crate) fn write_in_parts<'a>(
    engine: &dyn Engine,
    writes: impl Iterator<Item = WriteRef<'a>>,
) -> Result<(), EngineError> {
    let (mut part, mut bytes) = (Vec::new(), 0_usize);
    for (key, value) in writes {
        bytes = bytes.saturating_add(key.0.len()).saturating_add(value.map_or(0, <[u8]>::len));
        part.push((key, value));
        if part.len() >= PART_ROWS || bytes >= PART_BYTES {
            engine.flush(&part)?;
            part.clear();
            bytes = 0;
        }
    }
    if part.is_empty() { Ok(()) } else { engine.flush(&part) }
}

impl Lookup for Overlay {
    fn find(&self, key: &Key) -> Result<Option<Vec<u8>>, EngineError> {
        let known = self.read().find(key).map(|change| change.value().cloned());
        known.map_or_else(|| self.engine.find(key), Ok)
    }

    fn scan(&self, from: &Key, until: &Key, limit: usize) -> Result<Vec<Row>, EngineError> {
        let layers = self.read();
        let (mut rows, mut from, mut page) = (Vec::new(), from.clone(), limit.min(PAGE_MOST));
        while rows.len() < limit {
            let below = self.engine.scan(&from, until, page)?;
            // Up to here the engine's rows are known.
            let end = match below.last() {
                Some((last, _)) if below.len() >= page => last.next(),
                Some(_) | None => until.clone(),
            };
            layers.merge(below, &from, &end, limit, &mut rows);
            if end == *until {
                break;
            }
            from = end;
            page = page.saturating_mul(2).min(PAGE_MOST);
        }
        Ok(rows)
    }
}

impl Layers {
    /// What became of a row, if anything.
    fn find(&self, key: &Key) -> Option<&Change> {
        self.active.rows.get(key).or_else(|| self.flushing.as_ref()?.rows.get(key))
    }

    /// Adds the rows from `from` on and before `end` to `rows`, until there are `limit`; `below` are
    /// those of the engine.
    fn merge(&self, below: Vec<Row>, from: &Key, end: &Key, limit: usize, rows: &mut Vec<Row>) {
        let empty = BTreeMap::new();
        let flushing = self.flushing.as_ref().map_or(&empty, |flushing| &flushing.rows);
        let (mut active, mut flushing) =
            (range(&self.active.rows, from, end), range(flushing, from, end));
        let mut below = below.into_iter().peekable();
        while rows.len() < limit {
            let heads = [
                active.peek().map(|(key, _)| *key),
                flushing.peek().map(|(key, _)| *key),
                below.peek().map(|(key, _)| key),
            ];
            let Some(first) = heads.into_iter().flatten().min().cloned() else { return };
            let of_active = active.next_if(|(key, _)| **key == first).map(|(_, change)| change);
            let of_flushing = flushing.next_if(|(key, _)| **key == first).map(|(_, change)| change);
            let of_engine = below.next_if(|(key, _)| *key == first).map(|(_, value)| value);
            let value = match of_active.or(of_flushing) {
                Some(change) => change.value().cloned(),
                None => of_engine,
            };
            rows.extend(value.map(|value| (first, value)));
        }
    }
}

impl Layer {
    /// Makes a change.
    fn enter(&mut self, key: Key, change: Change) {
        self.bytes = self.bytes.saturating_add(cost(&key, &change));
        match self.rows.entry(key) {
            Entry::Vacant(vacant) => {
                vacant.insert(change);
            }
            Entry::Occupied(mut known) => {
                self.bytes = self.bytes.saturating_sub(cost(known.key(), known.get()));
                match (known.get(), change) {
                    (Change::Add(_), Change::Remove) => {
                        self.bytes = self.bytes.saturating_sub(cost(known.key(), &Change::Remove));
                        known.remove();
                    }
                    (Change::Add(_), Change::Add(value) | Change::Put(value)) => {
                        known.insert(Change::Add(value));
                    }
                    // The engine may have the row that was removed.
                    (Change::Put(_) | Change::Remove, Change::Add(value)) => {
                        known.insert(Change::Put(value));
                    }
                    (Change::Put(_) | Change::Remove, change) => {
                        known.insert(change);
                    }
                }
            }
        }
    }
}

/// What a row in a layer costs in memory, about.
fn cost(key: &Key, change: &Change) -> usize {
    let value = change.value().map_or(0, Vec::len);
    ROW_COST.saturating_add(key.0.len()).saturating_add(value)
}

/// The rows of a layer from `from` on and before `end`.
fn range<'a>(
    rows: &'a BTreeMap<Key, Change>,
    from: &'a Key,
    end: &'a Key,
) -> Peekable<Range<'a, Key, Change>> {
    // A range that ends before it begins would panic.
    rows.range(from.min(end)..end).peekable()
}

#[cfg(test)]
mod tests;
