//! Counting what recipients wait for.
//!
//! The committer counts with each change, so that a scrape reads no row. At the end in order the
//! numbers are kept in a row of their own; a start that does not find those of the last group counts
//! the entries.

use store::Waiting;
use store::rows::{Decoder, Encoder, EntryRow, Malformed};

use crate::index::{EngineError, Lookup, for_each};
use crate::key::Key;

/// Counts the recipients of an entry.
pub(crate) fn count_in(waiting: &mut Waiting, entry: &EntryRow) {
    entry.waits_for().for_each(|class| waiting.add(class));
}

/// No longer counts the recipients of an entry, as it was when they were counted.
pub(crate) fn count_out(waiting: &mut Waiting, entry: &EntryRow) {
    entry.waits_for().for_each(|class| waiting.remove(class));
}

/// What the index says: by the row that was kept with its last group, or else by its entries.
pub(crate) fn read(engine: &dyn Lookup, groups: u64) -> Result<Waiting, EngineError> {
    let kept = engine.find(&Key::waiting())?.and_then(|row| decode(&row).ok());
    match kept {
        Some((of, waiting)) if of == groups => Ok(waiting),
        Some(_) | None => counted(engine),
    }
}

/// Counts the recipients of all entries.
fn counted(engine: &dyn Lookup) -> Result<Waiting, EngineError> {
    let mut waiting = Waiting::NOBODY;
    for_each(engine, Key::first(b'L'), &Key::end(b'L'), |_, value| {
        count_in(&mut waiting, &EntryRow::decode(&value)?);
        Ok(())
    })?;
    Ok(waiting)
}

/// The row that keeps the numbers, as of so many groups.
pub(crate) fn encode(waiting: &Waiting, groups: u64) -> Vec<u8> {
    let mut out = Encoder::default();
    out.u64(groups);
    for count in waiting.counts() {
        out.u64(count);
    }
    out.finish()
}

/// Reads the row back: the groups, and the numbers.
fn decode(bytes: &[u8]) -> Result<(u64, Waiting), Malformed> {
    let mut input = Decoder::new(bytes, "row of what recipients wait for");
    let groups = input.u64()?;
    let mut counts = Waiting::NOBODY.counts();
    for count in &mut counts {
        *count = input.u64()?;
    }
    input.end()?;
    Ok((groups, Waiting::of_counts(counts)))
}
