//! Namespaces: small durable values for the rest of the program, in the same index.
//!
//! A value longer than the index takes is split over several rows. Values are not in the spool: if
//! the index is lost, so are they, and what they held is learned again.

use store::rows::{Decoder, Encoder, Malformed};
use store::{Expected, StoreError, check_key};

use crate::batch::Batch;
use crate::index::{EngineError, Lookup};
use crate::key::Key;

mod versions;

pub(crate) use self::versions::Versions;

/// The bytes of a value in one row.
const PIECE_BYTES: usize = 4000;

/// The length of what stands before a piece: the value's length and checksum.
const PIECE_HEAD: usize = 8;

/// How often a value is read again that changed while it was read.
const TRIES: usize = 100;

/// Where the rows of a namespace are: its name says it.
#[derive(Clone, Debug)]
pub(crate) struct NamespaceRows(String);

impl NamespaceRows {
    /// Those of the namespace of this name, without NUL.
    pub(crate) fn new(name: &str) -> Self {
        Self(name.replace('\0', ""))
    }

    /// The key after all rows of the value at `after`; without it, the namespace's first.
    pub(crate) fn after(&self, after: Option<&str>) -> Result<Key, StoreError> {
        match after {
            Some(key) => Ok(after_value(&self.key(key)?)),
            None => Ok(Key(self.prefix(0))),
        }
    }

    /// Up to `limit` keys and values of an index from `from` on, in the order of their keys.
    pub(crate) fn scan(
        &self,
        engine: &dyn Lookup,
        mut from: Key,
        limit: usize,
    ) -> Result<Vec<(String, Vec<u8>)>, EngineError> {
        let until = Key(self.prefix(1));
        let mut values = Vec::new();
        while values.len() < limit {
            let Some((found, _)) = engine.first(&from, &until)? else { break };
            let base = base_of(&found)?;
            from = after_value(&base);
            if let Some(value) = read(engine, &base)? {
                values.push((self.name_of(&base)?, value));
            }
        }
        Ok(values)
    }

    /// What all keys of the namespace begin with; `end` 1 gives what follows them all.
    fn prefix(&self, end: u8) -> Vec<u8> {
        Encoder::default().u8(b'F').raw(self.0.as_bytes()).u8(end).finish()
    }

    /// The beginning of the keys of a value's rows.
    pub(crate) fn key(&self, key: &str) -> Result<Key, StoreError> {
        check_key(key)?;
        let mut bytes = self.prefix(0);
        bytes.extend_from_slice(key.as_bytes());
        bytes.push(0);
        Ok(Key(bytes))
    }

    /// The key within the namespace.
    fn name_of(&self, base: &Key) -> Result<String, Malformed> {
        let malformed = Malformed("value key");
        let name = base.0.strip_prefix(self.prefix(0).as_slice()).ok_or(malformed)?;
        let name = name.strip_suffix(&[0]).ok_or(malformed)?;
        String::from_utf8(name.to_vec()).map_err(|_cause| malformed)
    }
}

/// Whether what a batch finds at `base` is what is expected there.
pub(crate) fn is_expected(
    batch: &Batch<'_>,
    base: &Key,
    expected: Expected,
    versions: &Versions,
) -> Result<bool, EngineError> {
    let head = piece_key(base, 0);
    match expected {
        Expected::Absent => Ok(batch.find(&head)?.is_none()),
        Expected::Anything => Ok(true),
        // What the batch has changed has its new version only later.
        Expected::Version(version) => {
            Ok(versions.of(crc32c::crc32c(&base.0)) == version && !batch.changes(&head))
        }
    }
}

/// The checksum of the beginning of the keys of a value's rows, which need not be put together for
/// this; nor is the namespace's name.
pub(crate) fn sum(namespace: &str, key: &str) -> u32 {
    let add = |sum, part: &str| crc32c::crc32c_append(sum, part.as_bytes());
    let name = namespace.split('\0').fold(add(0, "F"), add);
    ["\0", key, "\0"].into_iter().fold(name, add)
}

/// Changes a value within a batch; how many values were there before.
pub(crate) fn put_value(
    batch: &mut Batch<'_>,
    base: &Key,
    value: Option<&[u8]>,
) -> Result<usize, EngineError> {
    let head = batch.find(&piece_key(base, 0))?;
    let before = head.as_deref().map(head_of).transpose()?;
    let pieces_before = before.map_or(0, |(length, _)| piece_count(length));
    let pieces = value.map_or(0, |value| piece_count(value.len()));
    for number in pieces..pieces_before {
        batch.remove(piece_key(base, number));
    }
    let changed = usize::from(before.is_some() || value.is_some());
    let Some(value) = value else { return Ok(changed) };
    let length =
        u32::try_from(value.len()).map_err(|_cause| EngineError::ValueTooLong(value.len()))?;
    let sum = crc32c::crc32c(value);
    for number in 0..pieces {
        let from = number.saturating_mul(PIECE_BYTES);
        let until = from.saturating_add(PIECE_BYTES).min(value.len());
        let piece = value.get(from..until).unwrap_or_default();
        let row = Encoder::default().u32(length).u32(sum).raw(piece).finish();
        batch.put(piece_key(base, number), row)?;
    }
    Ok(changed)
}

/// Reads a value; again if it was changed meanwhile, so that its pieces belong together.
pub(crate) fn read(engine: &dyn Lookup, base: &Key) -> Result<Option<Vec<u8>>, EngineError> {
    for _ in 0..TRIES {
        let Some(head) = engine.find(&piece_key(base, 0))? else { return Ok(None) };
        let (length, _) = head_of(&head)?;
        let mut pieces = vec![head];
        for number in 1..piece_count(length) {
            pieces.extend(engine.find(&piece_key(base, number))?);
        }
        if let Some(value) = whole_value(&pieces.iter().map(Vec::as_slice).collect::<Vec<_>>()) {
            return Ok(Some(value));
        }
    }
    Err(Malformed("value").into())
}

/// The value that these pieces make, if they are all there and belong together.
pub(crate) fn whole_value(pieces: &[&[u8]]) -> Option<Vec<u8>> {
    let (length, sum) = head_of(pieces.first()?).ok()?;
    let mut value = Vec::new();
    for piece in pieces {
        value.extend_from_slice(piece.get(PIECE_HEAD..)?);
    }
    (value.len() == length && crc32c::crc32c(&value) == sum).then_some(value)
}

/// The length and the checksum of a value.
fn head_of(piece: &[u8]) -> Result<(usize, u32), Malformed> {
    let mut input = Decoder::new(piece, "value");
    let length = usize::try_from(input.u32()?).map_err(|_cause| input.fault())?;
    Ok((length, input.u32()?))
}

/// How many rows a value takes: one at least.
fn piece_count(length: usize) -> usize {
    length.div_ceil(PIECE_BYTES).max(1)
}

/// The key of one piece.
fn piece_key(base: &Key, number: usize) -> Key {
    let mut bytes = base.0.clone();
    bytes.extend_from_slice(&u32::try_from(number).unwrap_or(u32::MAX).to_be_bytes());
    Key(bytes)
}

/// The key after all pieces of a value.
fn after_value(base: &Key) -> Key {
    let mut bytes = base.0.clone();
    if let Some(last) = bytes.last_mut() {
        *last = 1;
    }
    Key(bytes)
}

/// The value that a piece belongs to.
pub(crate) fn base_of(piece: &Key) -> Result<Key, Malformed> {
    let length = piece.0.len().checked_sub(4).ok_or(Malformed("value key"))?;
    Ok(Key(piece.0.get(..length).unwrap_or_default().to_vec()))
}
