//! No attempt is later than now plus the longest wait: what a clock that was ahead has put off for
//! longer is due now.
//!
//! Looked for once the store is open, and when the clock has gone back; a part each second, so that a
//! queue with a million destinations does not stand still for it.

use std::time::{Duration, SystemTime};

use clock::millis;
use store::EntryId;

use crate::batch::Batch;
use crate::committer::commit_log::CommitLog;
use crate::committer::group::{Durable, GroupError};
use crate::index::{EngineError, Lookup};
use crate::key::Key;
use crate::message_changes;

/// How many destinations are looked at in a second.
const DESTINATIONS: usize = 10_000;

/// How many entries are moved in one group.
const ENTRIES: usize = 256;

/// How far a clock goes back without having been wrong.
const TOLERANCE: Duration = Duration::from_secs(60);

/// How far the look for such entries has come.
#[derive(Debug, Default)]
pub(super) struct Forward {
    /// The latest time that was seen; none before the first look.
    latest: Option<SystemTime>,
    /// Where the look goes on; none when it is over.
    from: Option<Key>,
}

impl Forward {
    /// Something is put off from `at` on, which no look has to begin for.
    pub(super) fn raise(&mut self, at: SystemTime) {
        self.latest = self.latest.map(|latest| latest.max(at));
    }

    /// Begins a look if `now` is the first time that is seen, or has gone back; `now` itself.
    pub(super) fn seen(&mut self, now: SystemTime) -> SystemTime {
        let is_back =
            |latest: SystemTime| latest.duration_since(now).is_ok_and(|by| by > TOLERANCE);
        if self.latest.is_none_or(is_back) {
            self.from = Some(Key::first(b'D'));
            self.latest = Some(now);
        }
        self.latest = self.latest.max(Some(now));
        now
    }

    /// Looks at the next destinations, and makes due at once what is due later than may be.
    pub(super) fn bring(&mut self, log: &mut CommitLog) -> Result<(), GroupError> {
        let now = self.seen(log.shared.clock.now());
        let latest = now.checked_add(log.shared.tuning().longest_wait).map_or(u64::MAX, millis);
        let latest = latest.saturating_add(1);
        for _ in 0..DESTINATIONS {
            let Some(from) = self.from.take() else { return Ok(()) };
            let index = log.index()?;
            let Some((key, _)) = index.first(&from, &Key::end(b'D'))? else { return Ok(()) };
            let destination = key.due_entry().map_err(EngineError::from)?.destination;
            let end = Key::after_destination(&destination);
            let rows =
                index.scan(&Key::due(&destination, latest, EntryId::FIRST), &end, ENTRIES)?;
            if rows.is_empty() {
                self.from = Some(end);
                continue;
            }
            let mut batch = Batch::new(index.as_ref(), &mut log.ledger);
            for (key, _) in &rows {
                let entry = key.due_position().map_err(EngineError::from)?.entry;
                message_changes::make_due(&mut batch, entry, millis(now))?;
            }
            let sealed = batch.seal()?;
            let effects = log.conclude(sealed, Durable::Soon)?;
            log.publish(effects);
            // There may be more of it.
            self.from = Some(from);
        }
        Ok(())
    }
}
