//! Values out of a damaged index: they are not in the spool, and a cached policy protects mail.

use crate::index::{Engine, EngineError, Lookup, Write};
use crate::key::Key;
use crate::namespace::{base_of, whole_value};
use crate::rows::StoreRow;
use crate::spool::Mark;

/// How many rows are read at a time.
const SLICE: usize = 256;

/// Up to where the damaged index knew the spool, if it can say: what the journal has of values
/// before that may be older than what was copied.
pub(super) fn mark_of(damaged: &dyn Lookup) -> Option<Mark> {
    let row = StoreRow::decode(&damaged.find(&Key::store()).ok()??).ok()?;
    Some((row.mark_segment, row.mark_offset))
}

/// Copies all values that are whole, until the damaged index gives no more; how many there were.
pub(super) fn copy_values(from: &dyn Lookup, to: &dyn Engine) -> Result<usize, EngineError> {
    let mut next = Key::first(b'F');
    let mut group: Vec<(Key, Vec<u8>)> = Vec::new();
    let mut values = 0_usize;
    while let Ok(rows) = from.scan(&next, &Key::end(b'F'), SLICE) {
        let Some((last, _)) = rows.last() else { break };
        next = last.next();
        for row in rows {
            let is_same = group.first().is_some_and(|first| base_of(&first.0) == base_of(&row.0));
            if !is_same {
                values = values.saturating_add(copy_value(to, std::mem::take(&mut group))?);
            }
            group.push(row);
        }
    }
    Ok(values.saturating_add(copy_value(to, group)?))
}

/// Copies the delivery records, until the damaged index gives no more; how many rows there were.
pub(super) fn copy_records(from: &dyn Lookup, to: &dyn Engine) -> Result<usize, EngineError> {
    let mut next = Key::first(b'E');
    let mut copied = 0_usize;
    while let Ok(rows) = from.scan(&next, &Key::end(b'E'), SLICE) {
        let Some((last, _)) = rows.last() else { break };
        next = last.next();
        copied = copied.saturating_add(rows.len());
        to.commit(rows.into_iter().map(|(key, piece)| (key, Some(piece))).collect())?;
    }
    Ok(copied)
}

/// Copies the pieces of one value, if they are all there; 1 if they were.
fn copy_value(to: &dyn Engine, pieces: Vec<(Key, Vec<u8>)>) -> Result<usize, EngineError> {
    if whole_value(&pieces.iter().map(|(_, piece)| piece.as_slice()).collect::<Vec<_>>()).is_none()
    {
        return Ok(0);
    }
    let writes: Vec<Write> = pieces.into_iter().map(|(key, piece)| (key, Some(piece))).collect();
    to.commit(writes)?;
    Ok(1)
}
