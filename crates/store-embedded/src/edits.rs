//! Changing what is in the store by hand.

use std::sync::Arc;

use mail::QueueId;
use smtp::MailboxDomain;
use store::rows::{EntryRow, admits_entry};
use store::{Act, EntryId, Filter, StoreError, Which};

use crate::index::{EngineError, for_each};
use crate::key::Key;
use crate::message_rows::entries_of;
use crate::reads;
use crate::shared::Handle;
use crate::work::Edit;

/// How many entries are moved by one batch.
const SLICE: usize = 512;

/// Does `act` to what is meant; how much there was.
pub(crate) async fn change(
    handle: &Arc<Handle>,
    which: &Which,
    act: Act,
) -> Result<usize, StoreError> {
    match act {
        Act::Hold => each(handle, which, Edit::Hold).await,
        Act::Release => each(handle, which, Edit::Release).await,
        Act::Retry => retry(handle, which).await,
    }
}

/// Changes each message that is meant.
async fn each(
    handle: &Arc<Handle>,
    which: &Which,
    edit: impl Fn(QueueId) -> Edit,
) -> Result<usize, StoreError> {
    let mut changed = 0_usize;
    for id in messages(handle, which).await? {
        changed = changed.saturating_add(handle.edit(edit(id)).await?);
    }
    Ok(changed)
}

/// The messages that have entries which are meant.
async fn messages(handle: &Arc<Handle>, which: &Which) -> Result<Vec<QueueId>, StoreError> {
    match which {
        Which::All => of_all(handle, None).await,
        Which::Destination(domain) => of_all(handle, Some(domain)).await,
        Which::Message(id) => Ok(vec![*id]),
        Which::Messages(ids, filter) => {
            let mut meant = entries_meant(handle, ids, filter).await?;
            meant.dedup_by_key(|entry| entry.id);
            Ok(meant.into_iter().map(|entry| entry.id).collect())
        }
    }
}

/// All messages, or those with recipients at a destination.
async fn of_all(
    handle: &Arc<Handle>,
    domain: Option<&MailboxDomain>,
) -> Result<Vec<QueueId>, StoreError> {
    let filter = Filter { destination: domain.cloned(), ..Filter::default() };
    reads::read(handle, move |engine| {
        let mut found = Vec::new();
        for_each(engine, Key::first(b'M'), &Key::end(b'M'), |key, _| {
            let id = key.message_id()?;
            let is_meant = |one: &(EntryId, EntryRow)| admits_entry(&filter, &one.1);
            if filter.destination.is_none() || entries_of(engine, id)?.iter().any(is_meant) {
                found.push(id);
            }
            Ok(())
        })?;
        Ok(found)
    })
    .await
}

/// The entries of these messages that meet `filter`, by message.
async fn entries_meant(
    handle: &Arc<Handle>,
    ids: &[QueueId],
    filter: &Filter,
) -> Result<Vec<EntryId>, StoreError> {
    let (ids, filter) = (ids.to_vec(), filter.clone());
    reads::read(handle, move |engine| {
        let mut meant = Vec::new();
        for id in ids {
            let entries = entries_of(engine, id)?.into_iter();
            let entries = entries.filter(|(_, entry)| admits_entry(&filter, entry));
            meant.extend(entries.map(|(entry_id, _)| entry_id));
        }
        Ok(meant)
    })
    .await
}

/// Makes entries due now that are due later.
async fn retry(handle: &Arc<Handle>, which: &Which) -> Result<usize, StoreError> {
    let now = handle.shared.now();
    match which {
        Which::All => {
            let last = Key::after_entries(handle.shared.ids.last());
            retry_range(handle, Key::first(b'L'), last, now).await
        }
        Which::Destination(domain) => {
            // All of them before the first is moved: one that is tried meanwhile comes back to a
            // later place, where it would be met again.
            let mut moved = 0_usize;
            for entries in waiting_for(handle, domain, now).await?.chunks(SLICE) {
                let edit = Edit::Retry(entries.to_vec(), now);
                moved = moved.saturating_add(handle.edit(edit).await?);
            }
            Ok(moved)
        }
        Which::Message(id) => {
            let first = Key::entry(EntryId { id: *id, number: 0 });
            retry_range(handle, first, Key::after_entries(*id), now).await
        }
        Which::Messages(ids, filter) => {
            let entries = entries_meant(handle, ids, filter).await?;
            handle.edit(Edit::Retry(entries, now)).await
        }
    }
}

/// Makes the entries due at `now` whose keys are in a range.
async fn retry_range(
    handle: &Arc<Handle>,
    first: Key,
    end: Key,
    now: u64,
) -> Result<usize, StoreError> {
    let (mut from, mut moved) = (first, 0_usize);
    loop {
        let until = end.clone();
        let rows = reads::read(handle, move |engine| engine.scan(&from, &until, SLICE)).await?;
        let keys: Vec<Key> = rows.into_iter().map(|(key, _)| key).collect();
        let Some(last) = keys.last() else { return Ok(moved) };
        from = last.next();
        let entries: Result<Vec<EntryId>, _> = keys.iter().map(Key::entry_id).collect();
        let edit = Edit::Retry(entries.map_err(EngineError::from)?, now);
        moved = moved.saturating_add(handle.edit(edit).await?);
    }
}

/// The entries for a destination that are due after `now`, each once.
async fn waiting_for(
    handle: &Arc<Handle>,
    domain: &MailboxDomain,
    now: u64,
) -> Result<Vec<EntryId>, StoreError> {
    let name = domain.to_string();
    let from = Key::due(&name, now.saturating_add(1), EntryId::FIRST);
    let mut entries = reads::read(handle, move |engine| {
        let mut entries = Vec::new();
        for_each(engine, from, &Key::after_destination(&name), |key, _| {
            entries.push(key.due_position()?.entry);
            Ok(())
        })?;
        Ok(entries)
    })
    .await?;
    entries.sort_unstable();
    entries.dedup();
    Ok(entries)
}
