//! What recipients wait for: how many were deferred last for each class of reason.
//!
//! The committer counts with each change, so that a scrape reads no row. At the end in order the
//! numbers are kept in a row of their own; a start that does not find those of the last round counts
//! the lots.

use mail::ReasonClass;

use crate::codec::{Decoder, Encoder, Malformed};
use crate::index::{EngineError, Lookup, for_each};
use crate::key::Key;
use crate::rows::LotRow;

/// How many recipients wait for another attempt, by the class of what the last one met. Those of
/// messages that are on hold or quarantined wait for no attempt, and those never tried have met
/// nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Waiting([u64; ReasonClass::ALL.len()]);

impl Waiting {
    /// Nobody waits.
    pub(crate) const NOBODY: Self = Self([0; ReasonClass::ALL.len()]);

    /// How many wait because of reasons of this class.
    #[must_use]
    pub fn of(&self, class: ReasonClass) -> u64 {
        let counted = ReasonClass::ALL.iter().zip(&self.0);
        counted.filter(|(other, _)| **other == class).map(|(_, count)| count).sum()
    }

    /// Counts the recipients of a lot.
    pub(crate) fn add(&mut self, lot: &LotRow) {
        self.change(lot, |count| count.saturating_add(1));
    }

    /// No longer counts the recipients of a lot, as it was when they were counted.
    pub(crate) fn remove(&mut self, lot: &LotRow) {
        self.change(lot, |count| count.saturating_sub(1));
    }

    /// Changes the count of each class that a recipient of a lot waits for.
    fn change(&mut self, lot: &LotRow, by_one: impl Fn(u64) -> u64) {
        if lot.due.is_none() {
            return;
        }
        for reason in lot.recipients.iter().filter_map(|entry| entry.reason) {
            let counted = ReasonClass::ALL.iter().zip(&mut self.0);
            for (_, count) in counted.filter(|(class, _)| **class == reason.class) {
                *count = by_one(*count);
            }
        }
    }

    /// What the index says: by the row that was kept with its last round, or else by its lots.
    pub(crate) fn read(engine: &dyn Lookup, rounds: u64) -> Result<Self, EngineError> {
        let kept = engine.find(&Key::waiting())?.and_then(|row| Self::decode(&row).ok());
        match kept {
            Some((of, waiting)) if of == rounds => Ok(waiting),
            Some(_) | None => Self::counted(engine),
        }
    }

    /// Counts the recipients of all lots.
    fn counted(engine: &dyn Lookup) -> Result<Self, EngineError> {
        let mut waiting = Self::NOBODY;
        for_each(engine, Key::first(b'L'), &Key::end(b'L'), |_, value| {
            waiting.add(&LotRow::decode(&value)?);
            Ok(())
        })?;
        Ok(waiting)
    }

    /// The row that keeps the numbers, as of so many rounds.
    pub(crate) fn encode(&self, rounds: u64) -> Vec<u8> {
        let mut out = Encoder::default();
        out.u64(rounds);
        for count in self.0 {
            out.u64(count);
        }
        out.finish()
    }

    /// Reads the row back: the rounds, and the numbers.
    fn decode(bytes: &[u8]) -> Result<(u64, Self), Malformed> {
        let mut input = Decoder::new(bytes, "row of what recipients wait for");
        let rounds = input.u64()?;
        let mut waiting = Self::NOBODY;
        for count in &mut waiting.0 {
            *count = input.u64()?;
        }
        input.end()?;
        Ok((rounds, waiting))
    }
}
