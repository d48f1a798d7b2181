//! How much is queued for each destination, and what it waits for: like qshape, with the reasons.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use clock::millis;
use mail::{Reason, ReasonClass};

use crate::entry_id::EntryId;
use crate::query::Depth;
use crate::rows::codec::Malformed;
use crate::rows::entry::EntryRow;
use crate::rows::reason::ReasonNumber;

/// For so many destinations, those with most entries, a reason is read: each is a row of its own.
const REASONS: usize = 1000;

/// What is counted for each destination.
#[derive(Debug)]
pub struct Depths {
    now: SystemTime,
    counted: HashMap<String, Counted>,
}

impl Depths {
    /// Nothing is counted yet; what is due at `now` is due.
    #[must_use]
    pub fn at(now: SystemTime) -> Self {
        Self { now, counted: HashMap::new() }
    }

    /// Counts an entry.
    ///
    /// # Errors
    ///
    /// [`Malformed`] for an entry without recipients.
    pub fn add(&mut self, entry_id: EntryId, entry: &EntryRow) -> Result<(), Malformed> {
        let destination = entry.destination()?.to_string();
        self.counted.entry(destination).or_default().add(entry_id, entry, self.now);
        Ok(())
    }

    /// All that was counted, the destination with most entries first.
    #[must_use]
    pub fn sorted(self) -> SortedDepths {
        let mut counted: Vec<_> = self.counted.into_iter().collect();
        counted.sort_by(|(a_name, a), (b_name, b)| {
            b.entries.cmp(&a.entries).then(b.oldest.cmp(&a.oldest)).then_with(|| a_name.cmp(b_name))
        });
        SortedDepths(counted)
    }
}

/// What was counted, the destination with most entries first.
#[derive(Debug)]
pub struct SortedDepths(Vec<(String, Counted)>);

impl SortedDepths {
    /// The entries of which a reason is shown.
    pub fn samples(&self) -> impl Iterator<Item = EntryId> {
        self.0.iter().take(REASONS).filter_map(|(_, counted)| counted.reason).map(|(id, _)| id)
    }

    /// The same for those who asked; `reason` looks one up.
    ///
    /// # Errors
    ///
    /// Whatever `reason` meets.
    pub fn finish<E>(
        self,
        mut reason: impl FnMut(EntryId, ReasonNumber) -> Result<Option<Reason>, E>,
    ) -> Result<Vec<Depth>, E> {
        let numbered = (0_usize..).zip(self.0);
        let depth = |(place, (name, counted)): (usize, (String, Counted))| {
            let sample = counted.reason.filter(|_| place < REASONS);
            let reason = sample.map_or(Ok(None), |(entry, which)| reason(entry, which))?;
            Ok(counted.depth(name, reason))
        };
        numbered.map(depth).collect()
    }
}

/// What is counted for one destination. There may be as many as there are messages, so it is small.
#[derive(Clone, Copy, Debug, Default)]
struct Counted {
    entries: u32,
    due: u32,
    on_hold: u32,
    oldest: Duration,
    waiting: [u32; ReasonClass::ALL.len()],
    /// A reason of the class that most wait for so far.
    reason: Option<(EntryId, ReasonNumber)>,
}

impl Counted {
    /// Counts an entry.
    fn add(&mut self, entry_id: EntryId, entry: &EntryRow, now: SystemTime) {
        let age = now.duration_since(entry_id.id.given_at()).unwrap_or_default();
        self.oldest = self.oldest.max(age);
        let Some(due) = entry.due else {
            self.on_hold = self.on_hold.saturating_add(1);
            return;
        };
        self.entries = self.entries.saturating_add(1);
        self.due = self.due.saturating_add(u32::from(due <= millis(now)));
        let most = self.waiting.iter().copied().max().unwrap_or_default();
        for (class, count) in ReasonClass::ALL.iter().zip(&mut self.waiting) {
            let mut reasons = entry.recipients.iter().filter_map(|one| one.reason);
            let Some(reason) = reasons.find(|reason| reason.class == *class) else { continue };
            *count = count.saturating_add(1);
            if *count >= most {
                self.reason = Some((entry_id, reason));
            }
        }
    }

    /// The same for those who asked.
    fn depth(self, destination: String, reason: Option<Reason>) -> Depth {
        let Self { entries, due, on_hold, oldest, waiting, reason: _ } = self;
        let waiting = ReasonClass::ALL.into_iter().zip(waiting.map(u64::from));
        Depth {
            destination,
            entries: entries.into(),
            due: due.into(),
            on_hold: on_hold.into(),
            oldest,
            waiting: waiting.filter(|(_, count)| *count > 0).collect(),
            reason,
        }
    }
}
