//! The engine under the index: an ordered map whose batches are atomic and durable.
//!
//! The rest of the queue knows this trait alone, so that another engine (a replicated one first)
//! can take sled's place.

use std::fmt::Debug;

use crate::codec::Malformed;
use crate::key::Key;

mod sled;

pub(crate) use self::sled::SledEngine;

/// A row that is to be written, or removed where there is no value.
pub(crate) type Change = (Key, Option<Vec<u8>>);

/// A row.
pub(crate) type Row = (Key, Vec<u8>);

/// An ordered map of rows.
pub(crate) trait Engine: Debug + Send + Sync {
    /// The value at `key`.
    fn find(&self, key: &Key) -> Result<Option<Vec<u8>>, EngineError>;

    /// The rows from `from` on and before `until`, at most `limit` of them.
    fn scan(&self, from: &Key, until: &Key, limit: usize) -> Result<Vec<Row>, EngineError>;

    /// Makes all changes or none; when it returns without error they survive a power cut.
    fn commit(&self, changes: Vec<Change>) -> Result<(), EngineError>;

    /// The first row from `from` on and before `until`.
    fn first(&self, from: &Key, until: &Key) -> Result<Option<Row>, EngineError> {
        Ok(self.scan(from, until, 1)?.pop())
    }
}

/// The index failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EngineError {
    /// The engine found its own data damaged, or lost its head over it.
    #[error("the index is damaged: {0}")]
    Damaged(String),
    /// The operating system refused.
    #[error("the index could not be read or written")]
    Io(#[from] std::io::Error),
    /// A row does not hold what it should.
    #[error("the index holds a {0}")]
    Malformed(#[from] Malformed),
    /// A value is too long to be stored safely.
    #[error("a value of {0} bytes is too long for the index")]
    ValueTooLong(usize),
}

impl EngineError {
    /// Whether the index has to be built anew from the spool.
    pub(crate) const fn is_damage(&self) -> bool {
        match self {
            Self::Damaged(_) | Self::Malformed(_) => true,
            Self::Io(_) | Self::ValueTooLong(_) => false,
        }
    }
}

/// All rows from `from` on and before `until`, read in slices.
pub(crate) fn for_each(
    engine: &dyn Engine,
    from: Key,
    until: &Key,
    mut each: impl FnMut(Key, Vec<u8>) -> Result<(), EngineError>,
) -> Result<(), EngineError> {
    const SLICE: usize = 512;
    let mut from = from;
    loop {
        let rows = engine.scan(&from, until, SLICE)?;
        let Some((last, _)) = rows.last() else { return Ok(()) };
        from = last.next();
        for (key, value) in rows {
            each(key, value)?;
        }
    }
}
