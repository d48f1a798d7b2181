//! Looking into the queue, and changing what is in it, by hand.

use std::sync::Arc;
use std::time::SystemTime;

use clock::time;
use mail::{QueueId, Reason};
use smtp::MailboxDomain;
use store::{
    BodyError, Details, Filter, LotDetails, LotId, RecipientDetails, Selection, StoreError, Summary,
};

use crate::draft::Draft;
use crate::filter::{admits, admits_lot, admits_lots, admits_recipient};
use crate::index::{EngineError, Lookup, for_each};
use crate::key::Key;
use crate::queue::Queue;
use crate::rows::{LotRow, MessageRow, Place, ReasonNumber, decode_reason};
use crate::spool::Paths;
use crate::work::Edit;

/// How many lots are moved by one batch.
const SLICE: usize = 512;

impl Queue {
    /// Up to `limit` messages that meet `filter`, oldest first, after `after` if given. Reads the
    /// disk; call it from a blocking thread.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where the index could not be read.
    pub fn list(
        &self,
        filter: &Filter,
        after: Option<QueueId>,
        limit: usize,
    ) -> Result<Vec<Summary>, StoreError> {
        let now = self.handle.shared.clock.now();
        self.handle.read(|engine| list(engine, filter, after, limit, now))
    }

    /// All about one message. Reads the disk; call it from a blocking thread.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where the index could not be read.
    pub fn show(&self, id: QueueId) -> Result<Option<Details>, StoreError> {
        self.handle.read(|engine| show(engine, &self.handle.shared.paths, id))
    }

    /// The header and body of a message, for a person to read.
    ///
    /// # Errors
    ///
    /// [`BodyError`]; a damaged message is also quarantined.
    pub async fn body(&self, id: QueueId) -> Result<crate::body::BodyReader, BodyError> {
        crate::body::BodyReader::open(Arc::clone(&self.handle), id).await
    }

    /// Makes messages due now that are due later; how many lots that are not held there were. Each is
    /// tried once more, and when that fails, it is due when it would have been.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; some may have been moved.
    pub async fn retry(&self, selection: Selection) -> Result<usize, StoreError> {
        let now = self.handle.shared.now();
        // What is leased between two slices is to know of the wish as well.
        self.wake_up(&selection)?;
        let moved = match &selection {
            Selection::All => {
                let last = Key::after_lots(self.handle.shared.ids.last());
                self.retry_range(Key::first(b'L'), &last, now).await?
            }
            Selection::Destination(domain) => {
                // All of them before the first is moved: one that is tried meanwhile comes back to a
                // later place, where it would be met again.
                let mut moved = 0_usize;
                for lots in self.waiting_for(domain, now)?.chunks(SLICE) {
                    let edit = Edit::Retry(lots.to_vec(), now);
                    moved = moved.saturating_add(self.handle.edit(edit).await?);
                }
                moved
            }
            Selection::Message(id) => {
                let first = Key::lot(LotId { id: *id, lot: 0 });
                self.retry_range(first, &Key::after_lots(*id), now).await?
            }
        };
        self.wake_up(&selection)?;
        Ok(moved)
    }

    /// Makes those lots of messages due now that meet `filter`; how many were moved. Meant for a few
    /// hundred messages at a time: they are moved in one batch.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; none was moved.
    pub async fn retry_messages(
        &self,
        ids: &[QueueId],
        filter: &Filter,
    ) -> Result<usize, StoreError> {
        let lots = self.handle.read(|engine| {
            let mut lots = Vec::new();
            for id in ids {
                lots.extend(lots_of(engine, *id)?);
            }
            Ok(lots)
        })?;
        let lots: Vec<_> = lots.into_iter().filter(|(_, lot)| admits_lot(filter, lot)).collect();
        let due = lots.iter().map(|(lot_id, _)| *lot_id).collect();
        let moved = self.handle.edit(Edit::Retry(due, self.handle.shared.now())).await?;
        for (_, lot) in &lots {
            if let Ok(destination) = lot.destination() {
                self.handle.shared.destinations().wake_up(Some(&destination.to_string()));
            }
        }
        self.handle.shared.wake.notify_waiters();
        Ok(moved)
    }

    /// Makes the lots due at `now` whose keys are in a range.
    async fn retry_range(&self, first: Key, end: &Key, now: u64) -> Result<usize, StoreError> {
        let (mut from, mut moved) = (first, 0_usize);
        loop {
            let keys: Vec<Key> = self.handle.read(|engine| {
                let rows = engine.scan(&from, end, SLICE)?;
                Ok(rows.into_iter().map(|(key, _)| key).collect())
            })?;
            let Some(last) = keys.last() else { return Ok(moved) };
            from = last.next();
            let lots: Result<Vec<LotId>, _> = keys.iter().map(Key::lot_id).collect();
            let edit = Edit::Retry(lots.map_err(EngineError::from)?, now);
            moved = moved.saturating_add(self.handle.edit(edit).await?);
        }
    }

    /// The lots for a destination that are due after `now`, each once.
    fn waiting_for(&self, domain: &MailboxDomain, now: u64) -> Result<Vec<LotId>, StoreError> {
        let name = domain.to_string();
        let from = Key::due(&name, now.saturating_add(1), LotId::FIRST);
        let mut lots = self.handle.read(|engine| {
            let mut lots = Vec::new();
            for_each(engine, from, &Key::after_destination(&name), |key, _| {
                lots.push(key.due_place()?.lot);
                Ok(())
            })?;
            Ok(lots)
        })?;
        lots.sort_unstable();
        lots.dedup();
        Ok(lots)
    }

    /// Lets the destinations of a selection be leased at once, and counts that an operator wished so.
    fn wake_up(&self, selection: &Selection) -> Result<(), StoreError> {
        let shared = &self.handle.shared;
        match selection {
            Selection::All => shared.destinations().wake_up(None),
            Selection::Destination(domain) => {
                shared.destinations().wake_up(Some(&domain.to_string()));
            }
            Selection::Message(id) => self.wake_destinations_of(*id)?,
        }
        shared.wake.notify_waiters();
        Ok(())
    }

    /// Keeps a message from being sent until it is released; whether it was on its way.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; nothing has changed.
    pub async fn hold(&self, id: QueueId) -> Result<bool, StoreError> {
        self.handle.edit(Edit::Hold(id)).await.map(|changed| changed > 0)
    }

    /// Lets a held or quarantined message go; whether it was one.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; nothing has changed.
    pub async fn release(&self, id: QueueId) -> Result<bool, StoreError> {
        self.handle.edit(Edit::Release(id)).await.map(|changed| changed > 0)
    }

    /// Removes a message, with a bounce if one is given; whether there was one.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; nothing has changed.
    pub async fn delete(&self, id: QueueId, bounce: Option<Draft>) -> Result<bool, StoreError> {
        let bounce = match bounce {
            Some(draft) => {
                let prepared = draft.prepare().await.map_err(|error| {
                    tracing::error!(%error, "bounce not written");
                    StoreError::Failed
                })?;
                Some(Box::new(prepared))
            }
            None => None,
        };
        // Who has leased it and looks for it afterwards finds that it is gone.
        self.handle.shared.recent.forget(id);
        self.handle.edit(Edit::Delete(id, bounce)).await.map(|changed| changed > 0)
    }

    /// Ends the rest of every destination of a message.
    fn wake_destinations_of(&self, id: QueueId) -> Result<(), StoreError> {
        for (_, lot) in self.handle.read(|engine| lots_of(engine, id))? {
            if let Ok(destination) = lot.destination() {
                self.handle.shared.destinations().wake_up(Some(&destination.to_string()));
            }
        }
        Ok(())
    }
}

/// Up to `limit` messages of an index that meet `filter`, oldest first, after `after` if given.
pub(crate) fn list(
    engine: &dyn Lookup,
    filter: &Filter,
    after: Option<QueueId>,
    limit: usize,
    now: SystemTime,
) -> Result<Vec<Summary>, EngineError> {
    let mut from = after.map_or_else(|| Key::first(b'M'), |id| Key::message(id).next());
    let mut found = Vec::new();
    while found.len() < limit {
        let rows = engine.scan(&from, &Key::end(b'M'), SLICE)?;
        let Some((last, _)) = rows.last() else { break };
        from = last.next();
        for (key, value) in rows {
            let row = MessageRow::decode(&value)?;
            if found.len() < limit && admits(filter, &row, now) {
                found.extend(summary(engine, key.message_id()?, row, filter)?);
            }
        }
    }
    Ok(found)
}

/// All that an index has about one message.
pub(crate) fn show(
    engine: &dyn Lookup,
    paths: &Paths,
    id: QueueId,
) -> Result<Option<Details>, EngineError> {
    let Some(row) = message_row(engine, id)? else { return Ok(None) };
    let mut lots = Vec::new();
    for (lot_id, lot) in lots_of(engine, id)? {
        lots.push(lot_details(engine, lot_id, &lot)?);
    }
    let path = paths.record(id, row.place);
    let file = path.strip_prefix(paths.root()).unwrap_or(&path);
    let file = match row.place {
        Place::Big => file.display().to_string(),
        Place::Segment { offset, .. } => format!("{} at {offset}", file.display()),
    };
    Ok(Some(Details { id, message: row.message, state: row.state, file, lots }))
}

/// The row of a message.
pub(crate) fn message_row(
    engine: &dyn Lookup,
    id: QueueId,
) -> Result<Option<MessageRow>, EngineError> {
    let row = engine.find(&Key::message(id))?;
    Ok(row.map(|row| MessageRow::decode(&row)).transpose()?)
}

/// The lots of a message.
pub(crate) fn lots_of(
    engine: &dyn Lookup,
    id: QueueId,
) -> Result<Vec<(LotId, LotRow)>, EngineError> {
    let mut lots = Vec::new();
    let first = Key::lot(LotId { id, lot: 0 });
    for_each(engine, first, &Key::after_lots(id), |key, value| {
        lots.push((key.lot_id()?, LotRow::decode(&value)?));
        Ok(())
    })?;
    Ok(lots)
}

/// A reason of a lot.
pub(crate) fn reason(
    engine: &dyn Lookup,
    lot: LotId,
    which: Option<ReasonNumber>,
) -> Result<Option<Reason>, EngineError> {
    let Some(which) = which else { return Ok(None) };
    let row = engine.find(&Key::reason(lot, which.number.into()))?;
    Ok(row.map(|row| decode_reason(&row)).transpose()?)
}

/// A message in short, if its recipients meet the filter.
fn summary(
    engine: &dyn Lookup,
    id: QueueId,
    row: MessageRow,
    filter: &Filter,
) -> Result<Option<Summary>, EngineError> {
    let lots = lots_of(engine, id)?;
    if !admits_lots(filter, &lots) {
        return Ok(None);
    }
    let first = lots.first().and_then(|(_, lot)| lot.recipients.first());
    let meant = lots.iter().filter(|(_, lot)| admits_lot(filter, lot));
    let mut recipients = meant.flat_map(|(id, lot)| lot.recipients.iter().map(|one| (*id, one)));
    let told = recipients.find(|(_, one)| one.reason.is_some() && admits_recipient(filter, one));
    let reason = match told {
        Some((lot_id, entry)) => reason(engine, lot_id, entry.reason)?,
        None => None,
    };
    Ok(Some(Summary {
        id,
        message: row.message,
        state: row.state,
        recipients: row.open_recipients,
        first_recipient: first.map(|entry| entry.recipient.clone()),
        attempts: lots.iter().map(|(_, lot)| lot.attempts).max().unwrap_or(0),
        next_attempt: lots.iter().filter_map(|(_, lot)| lot.due).min().map(time),
        reason,
    }))
}

/// A lot in full.
fn lot_details(
    engine: &dyn Lookup,
    lot_id: LotId,
    lot: &LotRow,
) -> Result<LotDetails, EngineError> {
    let mut recipients = Vec::new();
    for entry in &lot.recipients {
        let reason = reason(engine, lot_id, entry.reason)?;
        recipients.push(RecipientDetails { recipient: entry.recipient.clone(), reason });
    }
    Ok(LotDetails {
        destination: lot.destination()?.clone(),
        attempts: lot.attempts,
        next_attempt: lot.due.map(time),
        recipients,
    })
}
