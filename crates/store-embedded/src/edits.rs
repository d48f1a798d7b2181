//! Changing what is in the store by hand.

use mail::QueueId;
use smtp::MailboxDomain;
use store::{Act, EntryId, Filter, StoreError, Which};

use crate::filter::admits_entry;
use crate::index::{EngineError, for_each};
use crate::key::Key;
use crate::message_rows::entries_of;
use crate::shared::Handle;
use crate::work::Edit;

/// How many entries are moved by one batch.
const SLICE: usize = 512;

/// Does `act` to what is meant; how much there was.
pub(crate) async fn change(handle: &Handle, which: &Which, act: Act) -> Result<usize, StoreError> {
    match act {
        Act::Hold => each(handle, which, Edit::Hold).await,
        Act::Release => each(handle, which, Edit::Release).await,
        Act::Retry => retry(handle, which).await,
    }
}

/// Changes each message that is meant.
async fn each(
    handle: &Handle,
    which: &Which,
    edit: impl Fn(QueueId) -> Edit,
) -> Result<usize, StoreError> {
    let mut changed = 0_usize;
    for id in messages(handle, which)? {
        changed = changed.saturating_add(handle.edit(edit(id)).await?);
    }
    Ok(changed)
}

/// The messages that have entries which are meant.
fn messages(handle: &Handle, which: &Which) -> Result<Vec<QueueId>, StoreError> {
    let is_meant = |filter: &Filter, id: QueueId| {
        let entries = handle.read(|engine| entries_of(engine, id))?;
        Ok::<_, StoreError>(entries.iter().any(|(_, entry)| admits_entry(filter, entry)))
    };
    match which {
        Which::All => of_all(handle, None),
        Which::Destination(domain) => of_all(handle, Some(domain)),
        Which::Message(id) => Ok(vec![*id]),
        Which::Messages(ids, filter) => {
            let mut meant = Vec::new();
            for id in ids {
                if is_meant(filter, *id)? {
                    meant.push(*id);
                }
            }
            Ok(meant)
        }
    }
}

/// All messages, or those with recipients at a destination.
fn of_all(handle: &Handle, domain: Option<&MailboxDomain>) -> Result<Vec<QueueId>, StoreError> {
    let filter = Filter { destination: domain.cloned(), ..Filter::default() };
    handle.read(|engine| {
        let mut found = Vec::new();
        for_each(engine, Key::first(b'M'), &Key::end(b'M'), |key, _| {
            let id = key.message_id()?;
            if domain.is_none()
                || entries_of(engine, id)?.iter().any(|(_, entry)| admits_entry(&filter, entry))
            {
                found.push(id);
            }
            Ok(())
        })?;
        Ok(found)
    })
}

/// Makes entries due now that are due later.
async fn retry(handle: &Handle, which: &Which) -> Result<usize, StoreError> {
    let now = handle.shared.now();
    match which {
        Which::All => {
            let last = Key::after_entries(handle.shared.ids.last());
            retry_range(handle, Key::first(b'L'), &last, now).await
        }
        Which::Destination(domain) => {
            // All of them before the first is moved: one that is tried meanwhile comes back to a
            // later place, where it would be met again.
            let mut moved = 0_usize;
            for entries in waiting_for(handle, domain, now)?.chunks(SLICE) {
                let edit = Edit::Retry(entries.to_vec(), now);
                moved = moved.saturating_add(handle.edit(edit).await?);
            }
            Ok(moved)
        }
        Which::Message(id) => {
            let first = Key::entry(EntryId { id: *id, number: 0 });
            retry_range(handle, first, &Key::after_entries(*id), now).await
        }
        Which::Messages(ids, filter) => {
            let entries = handle.read(|engine| {
                let mut entries = Vec::new();
                for id in ids {
                    let meant = entries_of(engine, *id)?.into_iter();
                    let meant = meant.filter(|(_, entry)| admits_entry(filter, entry));
                    entries.extend(meant.map(|(entry_id, _)| entry_id));
                }
                Ok(entries)
            })?;
            handle.edit(Edit::Retry(entries, now)).await
        }
    }
}

/// Makes the entries due at `now` whose keys are in a range.
async fn retry_range(
    handle: &Handle,
    first: Key,
    end: &Key,
    now: u64,
) -> Result<usize, StoreError> {
    let (mut from, mut moved) = (first, 0_usize);
    loop {
        let keys: Vec<Key> = handle.read(|engine| {
            let rows = engine.scan(&from, end, SLICE)?;
            Ok(rows.into_iter().map(|(key, _)| key).collect())
        })?;
        let Some(last) = keys.last() else { return Ok(moved) };
        from = last.next();
        let entries: Result<Vec<EntryId>, _> = keys.iter().map(Key::entry_id).collect();
        let edit = Edit::Retry(entries.map_err(EngineError::from)?, now);
        moved = moved.saturating_add(handle.edit(edit).await?);
    }
}

/// The entries for a destination that are due after `now`, each once.
fn waiting_for(
    handle: &Handle,
    domain: &MailboxDomain,
    now: u64,
) -> Result<Vec<EntryId>, StoreError> {
    let name = domain.to_string();
    let from = Key::due(&name, now.saturating_add(1), EntryId::FIRST);
    let mut entries = handle.read(|engine| {
        let mut entries = Vec::new();
        for_each(engine, from, &Key::after_destination(&name), |key, _| {
            entries.push(key.due_position()?.entry);
            Ok(())
        })?;
        Ok(entries)
    })?;
    entries.sort_unstable();
    entries.dedup();
    Ok(entries)
}
