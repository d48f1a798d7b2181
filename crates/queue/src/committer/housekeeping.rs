//! What the committer does once a second: syncing sidecars, watching the disk, freeing space.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::unix::fs::FileExt;

use rustix::fs::statvfs;

use crate::batch::Batch;
use crate::committer::{Committer, RoundError};
use crate::id::QueueId;
use crate::index::{Engine, EngineError};
use crate::key::Key;
use crate::rows::{MessageRow, Place, SegmentRow};
use crate::shared::Health;
use crate::spool::scan::{Bodies, Body, Found, envelope_at, scan};
use crate::spool::{sidecar_of, sync_dir, unlink};
use crate::survey::lots_of;

/// A segment is emptied by copying what is left when less than this part of it is alive.
const STRAGGLERS: u64 = 10;

/// A segment in which nothing is alive is finished early when it is at least this long.
const FINISH_SIZE: u64 = 4 << 20;

impl Committer {
    /// Does what is due once a second.
    pub(super) fn tick(&mut self) {
        if self.sidecars.is_unsynced()
            && let Err(error) = self.sidecars.sync()
        {
            tracing::warn!(%error, "sidecars not synced");
        }
        let health = self.space();
        if health != self.shared.health() {
            match health {
                Health::LowOnSpace => tracing::error!("disk nearly full: new mail is refused"),
                Health::Closed | Health::Failed | Health::Ready => {
                    tracing::info!("disk has room again: new mail is taken");
                }
            }
            self.shared.set_health(health);
        }
        if let Err(error) = self.housekeep() {
            self.fail(Vec::new(), &error);
        }
    }

    /// Reserves ids, copies stragglers, unlinks what is finished.
    fn housekeep(&mut self) -> Result<(), RoundError> {
        let Some(engine) = self.engine.clone() else { return Ok(()) };
        self.reserve_ids(engine.as_ref())?;
        self.copy_stragglers(engine.as_ref())?;
        self.unlink_finished(engine.as_ref())
    }

    /// Whether there is room enough, after giving up or taking back the reserve.
    pub(super) fn space(&self) -> Health {
        let settings = &self.shared.settings;
        let free = match statvfs(self.shared.paths.root()) {
            Ok(stat) => stat.f_bavail.saturating_mul(stat.f_frsize),
            Err(error) => {
                tracing::warn!(%error, "free disk space unknown");
                return Health::Ready;
            }
        };
        let reserve = self.shared.paths.reserve();
        if !reserve.exists()
            && free > settings.min_free.saturating_add(settings.reserve)
            && let Err(error) = self.take_reserve()
        {
            tracing::warn!(%error, "reserve not taken");
        }
        if free < settings.min_free { Health::LowOnSpace } else { Health::Ready }
    }

    /// Writes the reserve file.
    fn take_reserve(&self) -> io::Result<()> {
        let size = self.shared.settings.reserve;
        if size == 0 {
            return Ok(());
        }
        let path = self.shared.paths.reserve();
        let file = fs::File::create(&path)?;
        let taken = rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, size);
        if let Err(error) = taken {
            unlink(&path)?;
            return Err(error.into());
        }
        Ok(())
    }

    /// Gives the reserve up, so that the store can open and delete on a full disk.
    pub(super) fn give_up_reserve(&self) {
        if let Err(error) = unlink(&self.shared.paths.reserve()) {
            tracing::warn!(%error, "reserve not given up");
        }
    }

    /// Reserves ids ahead of the clock, if it is time.
    pub(super) fn reserve_ids(&mut self, engine: &dyn Engine) -> Result<(), EngineError> {
        let Some(reserved) = self.shared.ids.wants(self.shared.clock.now()) else { return Ok(()) };
        let mut batch = Batch::new(engine, &mut self.ledger);
        batch.reserve_ids(reserved);
        let (changes, _) = batch.seal()?;
        engine.commit(changes)?;
        self.shared.ids.reserve(reserved);
        Ok(())
    }

    /// Copies what is left of one nearly finished segment to the end of the spool.
    fn copy_stragglers(&mut self, engine: &dyn Engine) -> Result<(), RoundError> {
        let Some(segment) = self.nearly_finished()? else { return Ok(()) };
        let moved = self.copy_records(engine, segment)?;
        self.segments.sync()?;
        self.write_moved_sidecars(engine, &moved)?;
        let mut batch = Batch::new(engine, &mut self.ledger);
        for (id, place) in &moved {
            batch.relocate(*id, *place)?;
        }
        batch.mark(self.segments.end());
        let (changes, _) = batch.seal()?;
        engine.commit(changes)?;
        if self.ledger.segments.get(&segment).is_some_and(|row| row.messages > 0) {
            self.stuck.insert(segment);
        }
        tracing::debug!(segment, messages = moved.len(), "stragglers copied forward");
        Ok(())
    }

    /// A segment of which less than a tenth is alive.
    fn nearly_finished(&self) -> io::Result<Option<u32>> {
        let most = self.shared.settings.segment_size / STRAGGLERS;
        for (number, row) in &self.ledger.segments {
            let is_candidate = row.messages > 0
                && row.bytes < most
                && !self.segments.is_current(*number)
                && !self.stuck.contains(number);
            if is_candidate {
                let size = fs::metadata(self.shared.paths.segment(*number))?.len();
                if row.bytes < size / STRAGGLERS {
                    return Ok(Some(*number));
                }
            }
        }
        Ok(None)
    }

    /// Appends the live records of a segment to the end of the spool; damaged ones stay.
    fn copy_records(
        &mut self,
        engine: &dyn Engine,
        segment: u32,
    ) -> Result<Vec<(QueueId, Place)>, RoundError> {
        let path = self.shared.paths.segment(segment);
        let mut live = Vec::new();
        scan(&path, self.shared.store, 0, Bodies::Check, |found| {
            if let Found::Record(record) = found
                && record.body == Body::Whole
            {
                live.push((record.offset, record.header));
            }
            Ok::<(), io::Error>(())
        })?;
        let file = fs::File::open(&path)?;
        let mut moved = Vec::new();
        for (offset, header) in live {
            let row = engine.find(&Key::message(header.id))?;
            let Some(row) =
                row.map(|row| MessageRow::decode(&row)).transpose().map_err(EngineError::from)?
            else {
                continue;
            };
            if row.place != (Place::Segment { segment, offset }) {
                continue;
            }
            let size = usize::try_from(header.record_size()).map_err(io::Error::other)?;
            let mut bytes = vec![0; size];
            file.read_exact_at(&mut bytes, offset)?;
            moved.push((header.id, self.segments.append(&[&bytes])?));
        }
        Ok(moved)
    }

    /// Says in the new sidecars what was settled while the records were at their old places.
    fn write_moved_sidecars(
        &mut self,
        engine: &dyn Engine,
        moved: &[(QueueId, Place)],
    ) -> Result<(), RoundError> {
        for (id, place) in moved {
            let recipients = self.recipients_at(*place)?;
            let lots = lots_of(engine, *id)?;
            let open: HashSet<u32> = lots
                .iter()
                .flat_map(|(_, lot)| lot.recipients.iter().map(|recipient| recipient.index))
                .collect();
            let settled: Vec<(QueueId, u32)> = (0..recipients)
                .filter(|index| !open.contains(index))
                .map(|index| (*id, index))
                .collect();
            if !settled.is_empty() {
                self.sidecars.append(self.shared.paths.sidecar(*id, *place), &settled)?;
            }
        }
        Ok(self.sidecars.sync()?)
    }

    /// How many recipients the envelope of the record at `place` names.
    fn recipients_at(&self, place: Place) -> io::Result<u32> {
        let Place::Segment { segment, offset } = place else { return Ok(0) };
        let envelope = envelope_at(&self.shared.paths.segment(segment), offset)?;
        u32::try_from(envelope.recipients().len()).map_err(io::Error::other)
    }

    /// Unlinks segments in which nothing is alive, then forgets them and all bodies unlinked.
    fn unlink_finished(&mut self, engine: &dyn Engine) -> Result<(), RoundError> {
        let (current, size) = self.segments.end();
        let is_empty = |row: Option<&SegmentRow>| row.is_none_or(|row| row.messages == 0);
        if size >= FINISH_SIZE && is_empty(self.ledger.segments.get(&current)) {
            self.segments.finish_current()?;
        }
        let finished: Vec<u32> = self
            .ledger
            .segments
            .iter()
            .filter(|(number, row)| row.messages == 0 && !self.segments.is_current(**number))
            .map(|(number, _)| *number)
            .collect();
        if finished.is_empty() && self.unlinked_bodies.is_empty() {
            return Ok(());
        }
        for number in &finished {
            let path = self.shared.paths.segment(*number);
            let sidecar = sidecar_of(&path);
            self.sidecars.forget(&sidecar);
            self.stuck.remove(number);
            unlink(&path)?;
            unlink(&sidecar)?;
        }
        // The rows go only after the files are gone for good: a file without a row is read again.
        sync_dir(&self.shared.paths.spool())?;
        sync_dir(&self.shared.paths.big_dir())?;
        let mut batch = Batch::new(engine, &mut self.ledger);
        batch.forget_segments(&finished);
        for id in std::mem::take(&mut self.unlinked_bodies) {
            batch.remove(Key::finished_body(id));
        }
        let (changes, _) = batch.seal()?;
        Ok(engine.commit(changes)?)
    }
}
