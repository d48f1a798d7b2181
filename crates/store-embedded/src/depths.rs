//! How much is queued for each destination, and what it waits for: like qshape, with the reasons.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use clock::millis;
use mail::ReasonClass;
use store::rows::{EntryRow, ReasonNumber};
use store::{Depth, EntryId};

use crate::index::{EngineError, Lookup, for_each};
use crate::key::Key;
use crate::message_rows::reason;

/// For so many destinations, those with most entries, a reason is read: each is a row of its own.
const REASONS: usize = 1000;

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

    /// The same for those who asked, with the reason's text for one of the first.
    fn depth(self, destination: String, engine: Option<&dyn Lookup>) -> Result<Depth, EngineError> {
        let Self { entries, due, on_hold, oldest, waiting, reason: sample } = self;
        let waiting = ReasonClass::ALL.into_iter().zip(waiting.map(u64::from));
        let reason = match (engine, sample) {
            (Some(engine), Some((entry, which))) => reason(engine, entry, Some(which))?,
            (None, _) | (_, None) => None,
        };
        Ok(Depth {
            destination,
            entries: entries.into(),
            due: due.into(),
            on_hold: on_hold.into(),
            oldest,
            waiting: waiting.filter(|(_, count)| *count > 0).collect(),
            reason,
        })
    }
}

/// How much is queued for each destination, the one with most entries first.
pub(crate) fn depths(engine: &dyn Lookup, now: SystemTime) -> Result<Vec<Depth>, EngineError> {
    let mut counted: HashMap<String, Counted> = HashMap::new();
    for_each(engine, Key::first(b'L'), &Key::end(b'L'), |key, value| {
        let entry = EntryRow::decode(&value)?;
        let destination = entry.destination()?.to_string();
        counted.entry(destination).or_default().add(key.entry_id()?, &entry, now);
        Ok(())
    })?;
    let mut counted: Vec<_> = counted.into_iter().collect();
    counted.sort_by(|(a_name, a), (b_name, b)| {
        b.entries.cmp(&a.entries).then(b.oldest.cmp(&a.oldest)).then_with(|| a_name.cmp(b_name))
    });
    let numbered = (0_usize..).zip(counted);
    numbered
        .map(|(place, (name, counted))| counted.depth(name, (place < REASONS).then_some(engine)))
        .collect()
}
