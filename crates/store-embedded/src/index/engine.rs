//! What an engine of the index has to do.

use std::fmt::Debug;

use store::rows::Malformed;

use crate::key::Key;

/// A row that an engine is to write, or to remove where there is no value.
pub(crate) type Write = (Key, Option<Vec<u8>>);

/// The same, borrowed.
pub(crate) type WriteRef<'a> = (&'a Key, Option<&'a [u8]>);

/// What becomes of a row.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Change {
    /// It is written for the first time. If it is removed before the engine has heard of it, the
    /// engine never does.
    Add(Vec<u8>),
    /// It is written.
    Put(Vec<u8>),
    /// It is removed.
    Remove,
}

impl Change {
    /// The row's value afterwards.
    pub(crate) fn value(&self) -> Option<&Vec<u8>> {
        match self {
            Self::Add(value) | Self::Put(value) => Some(value),
            Self::Remove => None,
        }
    }

    /// The row's value afterwards.
    pub(crate) fn into_value(self) -> Option<Vec<u8>> {
        match self {
            Self::Add(value) | Self::Put(value) => Some(value),
            Self::Remove => None,
        }
    }
}

/// A row.
pub(crate) type Row = (Key, Vec<u8>);

/// Rows that can be looked up.
pub(crate) trait Lookup: Debug + Send + Sync {
    /// The value at `key`.
    fn find(&self, key: &Key) -> Result<Option<Vec<u8>>, EngineError>;

    /// The rows from `from` on and before `until`, at most `limit` of them.
    fn scan(&self, from: &Key, until: &Key, limit: usize) -> Result<Vec<Row>, EngineError>;

    /// The first row from `from` on and before `until`.
    fn first(&self, from: &Key, until: &Key) -> Result<Option<Row>, EngineError> {
        Ok(self.scan(from, until, 1)?.pop())
    }
}

/// Rows on disk.
pub(crate) trait Engine: Lookup {
    /// Makes all writes or none; when it returns without error they survive a power cut.
    fn commit(&self, writes: Vec<Write>) -> Result<(), EngineError>;

    /// Makes writes one after the other; when it returns without error they survive a power cut, and
    /// before that some of the first ones may. Readers go on meanwhile.
    fn flush(&self, writes: &[WriteRef<'_>]) -> Result<(), EngineError>;
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
    /// Whether the index has to be rebuilt from the spool.
    pub(crate) const fn is_damage(&self) -> bool {
        match self {
            Self::Damaged(_) | Self::Malformed(_) => true,
            Self::Io(_) | Self::ValueTooLong(_) => false,
        }
    }
}

/// All rows from `from` on and before `until`, read in slices.
pub(crate) fn for_each(
    rows: &dyn Lookup,
    from: Key,
    until: &Key,
    mut each: impl FnMut(Key, Vec<u8>) -> Result<(), EngineError>,
) -> Result<(), EngineError> {
    const SLICE: usize = 512;
    let mut from = from;
    loop {
        let slice = rows.scan(&from, until, SLICE)?;
        let Some((last, _)) = slice.last() else { return Ok(()) };
        from = last.next();
        for (key, value) in slice {
            each(key, value)?;
        }
    }
}
