//! What was counted for a domain on a day, as it is kept: parts of the day, each for a report.
//!
//! A day is one part, unless an operator has what was counted so far sent before the day is over. Such
//! a part is first taken out, in the write that begins the next one, and stays beside it until its
//! report is kept. So a relay that is killed in between makes the same report of it later, and nothing
//! is counted in two reports or in none.

use serde::{Deserialize, Serialize};
use tls_rpt::DomainTally;

/// Which of the reports about a day to a domain it is, from 1 on.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub(crate) struct Part(u32);

impl Part {
    /// The first, which most days end with.
    pub(crate) const FIRST: Self = Self(1);

    /// Its number.
    pub(crate) const fn number(self) -> u32 {
        self.0
    }

    const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
    pub(crate) fn is_first(&self) -> bool {
        *self == Self::FIRST
    }
}

impl Default for Part {
    fn default() -> Self {
        Self::FIRST
    }
}

/// What the next report to a domain about a day is made of.
#[derive(Clone, Debug)]
pub(crate) struct NextReport {
    pub(crate) part: Part,
    pub(crate) tally: DomainTally,
    pub(crate) state: PartState,
}

/// Whether more may be counted in a part.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum PartState {
    /// As long as its day is not over.
    Counting,
    /// It is taken out: no more.
    Taken,
}

/// What is kept for a domain on a day.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct KeptTally {
    /// What was counted since a part was taken out.
    #[serde(flatten)]
    counted: DomainTally,
    /// The part that has no report yet.
    #[serde(default, skip_serializing_if = "Part::is_first")]
    part: Part,
    /// What that part is, where it was taken out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    taken: Option<DomainTally>,
}

impl KeptTally {
    /// What is kept, if anything is, and what was counted since.
    pub(crate) fn plus(kept: Option<Self>, counted: DomainTally) -> Self {
        match kept {
            None => Self { counted, part: Part::FIRST, taken: None },
            Some(mut kept) => {
                kept.counted.merge(counted);
                kept
            }
        }
    }

    /// What the next report is made of.
    pub(crate) fn next(self) -> NextReport {
        let Self { counted, part, taken } = self;
        match taken {
            Some(tally) => NextReport { part, tally, state: PartState::Taken },
            None => NextReport { part, tally: counted, state: PartState::Counting },
        }
    }

    /// Takes the next part out, unless that is done or there is nothing in it.
    pub(crate) fn take(self) -> Change {
        if self.taken.is_some() || self.counted.rows().next().is_none() {
            return Change::None(Some(self));
        }
        let counted = DomainTally::new(self.counted.domain().clone());
        Change::To(Self { counted, part: self.part, taken: Some(self.counted) })
    }

    /// Begins another part if this one was taken out, now that its report is kept.
    pub(crate) fn report(self, part: Part) -> Change {
        if self.part != part || self.taken.is_none() {
            return Change::None(Some(self));
        }
        Change::To(Self { part: part.next(), taken: None, ..self })
    }

    /// Drops what was counted and taken out, and goes on counting in the same part.
    pub(crate) fn clear(self) -> Change {
        if self.part == Part::FIRST {
            return Change::None(Some(self));
        }
        let counted = DomainTally::new(self.counted.domain().clone());
        Change::To(Self { counted, taken: None, ..self })
    }
}

/// What becomes of a value that is kept.
#[derive(Debug)]
pub(crate) enum Change {
    /// It stays as it is.
    None(Option<KeptTally>),
    /// It is another one from now on.
    To(KeptTally),
}

impl Change {
    /// The same of a value that may not be there; none where it is not.
    pub(crate) fn of(kept: Option<KeptTally>, change: impl FnOnce(KeptTally) -> Self) -> Self {
        kept.map_or(Self::None(None), change)
    }
}
