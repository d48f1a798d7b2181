//! Delivery records in the index: rows that the settlement's batch writes, and that go when the record
//! is kept elsewhere. Most never reach the engine.

use std::time::SystemTime;

use clock::millis;
use store::rows::{Decoder, Encoder, Malformed};
use store::{KeptRecord, RecordBytes, RecordNumber};

use crate::batch::Batch;
use crate::index::{Engine, EngineError, Lookup};
use crate::key::Key;

/// How many bytes of a record one row holds.
const PIECE_BYTES: usize = 4_000;

/// How many rows are read at a time.
const SLICE: usize = 512;

/// How many rows one group removes at most.
const REMOVED_MOST: usize = 4_096;

/// Enters the records of an attempt into the batch that settles it.
pub(crate) fn add(batch: &mut Batch<'_>, records: &[RecordBytes]) -> Result<(), EngineError> {
    if records.is_empty() {
        return Ok(());
    }
    let mut number = batch.find(&Key::last_record())?.map_or(Ok(0), |row| decode_last(&row))?;
    for record in records {
        number = number.saturating_add(1);
        let bytes = record.as_slice();
        for piece in 0..piece_count(bytes.len()) {
            let from = usize::from(piece).saturating_mul(PIECE_BYTES);
            let until = from.saturating_add(PIECE_BYTES).min(bytes.len());
            let part = bytes.get(from..until).unwrap_or_default();
            batch.put_new(Key::record(number, piece), part.to_vec())?;
        }
    }
    batch.effects.last_record = Some(number);
    batch.put(Key::last_record(), encode_last(number))
}

/// The number of the last record that was ever kept; 0 before the first.
pub(crate) fn last(engine: &dyn Lookup) -> Result<RecordNumber, EngineError> {
    engine.find(&Key::last_record())?.map_or(Ok(0), |row| Ok(decode_last(&row)?))
}

/// Sees to it that no number is given twice by an index that was built anew, where nothing is left of
/// the last one: they go on from the milliseconds since 1970 shifted left by 20, above all counts.
pub(crate) fn go_on(engine: &dyn Engine, now: SystemTime) -> Result<(), EngineError> {
    if last(engine)? > 0 {
        return Ok(());
    }
    let number = millis(now).saturating_mul(1 << 20);
    engine.commit(vec![(Key::last_record(), Some(encode_last(number)))])
}

/// The number of the last record as the value of its row.
fn encode_last(number: RecordNumber) -> Vec<u8> {
    Encoder::default().u64(number).finish()
}

/// Reads such a value.
fn decode_last(row: &[u8]) -> Result<RecordNumber, Malformed> {
    let mut input = Decoder::new(row, "last record's number");
    let number = input.u64()?;
    input.end()?;
    Ok(number)
}

/// Up to `limit` records with numbers above `after`, and none above `last`.
pub(crate) fn read(
    engine: &dyn Lookup,
    after: RecordNumber,
    last: RecordNumber,
    limit: usize,
) -> Result<Vec<KeptRecord>, EngineError> {
    let mut records: Vec<KeptRecord> = Vec::new();
    if after >= last {
        return Ok(records);
    }
    let mut from = Key::record(after.saturating_add(1), 0);
    let until = Key::record(last, u16::MAX);
    loop {
        let rows = engine.scan(&from, &until, SLICE)?;
        let Some((end, _)) = rows.last() else { return Ok(records) };
        from = end.next();
        for (key, piece) in rows {
            let (number, count) = (key.record_number()?, records.len());
            match records.last_mut() {
                Some(record) if record.number == number => record.bytes.extend(piece),
                _ if count == limit => return Ok(records),
                _ => records.push(KeptRecord { number, bytes: piece }),
            }
        }
    }
}

/// Removes rows of records up to `through`, the oldest first; how many there were. There may be more.
pub(crate) fn forget(batch: &mut Batch<'_>, through: RecordNumber) -> Result<usize, EngineError> {
    let until = Key::record(through, u16::MAX);
    let rows = batch.scan_before(&Key::record(0, 0), &until, REMOVED_MOST)?;
    let count = rows.len();
    for (key, _) in rows {
        batch.remove(key);
    }
    Ok(count)
}

/// How many rows a record takes: one at least.
fn piece_count(length: usize) -> u16 {
    u16::try_from(length.div_ceil(PIECE_BYTES).max(1)).unwrap_or(u16::MAX)
}
