//! Changing what is in the store by hand, in slices.

use mail::QueueId;
use store::rows::admits_entry;
use store::{Act, EntryId, Filter, StoreError, Which};
use tokio::sync::oneshot;
use tokio_postgres::Row;

use crate::error::QueryError;
use crate::inspect::entries_of;
use crate::rows::{big, id, signed};
use crate::shared::Shared;
use crate::work::{Change, Work};

/// How many entries are moved by one transaction.
pub(crate) const SLICE: i64 = 512;

const MESSAGES: &str = "SELECT id FROM message WHERE id > $1 ORDER BY id LIMIT $2";

const MESSAGES_AT: &str = "SELECT DISTINCT id FROM entry WHERE destination = $1 AND id > $2 \
    ORDER BY id LIMIT $3";

const ENTRIES: &str = "SELECT id, number FROM entry WHERE (id, number) > ($1, $2) \
    ORDER BY id, number LIMIT $3";

const ENTRIES_OF: &str = "SELECT id, number FROM entry WHERE id = $1 ORDER BY number";

const WAITING_AT: &str = "SELECT id, number FROM entry WHERE destination = $1 AND due > $2 \
    ORDER BY id, number";

/// Has the committer make a change.
pub(crate) async fn ask(shared: &Shared, change: Change) -> Result<usize, StoreError> {
    let (answer, answered) = oneshot::channel();
    if shared.jobs.send(Work::Change(change, answer)).is_err() {
        return Err(StoreError::Closed);
    }
    answered.await.unwrap_or(Err(StoreError::Closed))
}

/// Does `act` to what is meant; how much there was.
pub(crate) async fn change(shared: &Shared, which: &Which, act: Act) -> Result<usize, StoreError> {
    match act {
        Act::Hold => each(shared, which, Change::Hold).await,
        Act::Release => each(shared, which, Change::Release).await,
        Act::Retry => retry(shared, which).await,
    }
}

/// Changes each message that is meant.
async fn each(
    shared: &Shared,
    which: &Which,
    change: impl Fn(QueueId) -> Change,
) -> Result<usize, StoreError> {
    let mut changed = 0_usize;
    let destination = match which {
        Which::Message(id) => return ask(shared, change(*id)).await,
        Which::Messages(ids, filter) => {
            let mut meant = entries_meant(shared, ids, filter).await?;
            meant.dedup_by_key(|entry| entry.id);
            for entry in meant {
                changed = changed.saturating_add(ask(shared, change(entry.id)).await?);
            }
            return Ok(changed);
        }
        Which::All => None,
        Which::Destination(domain) => Some(domain.to_string()),
    };
    let mut from = -1;
    loop {
        let page = messages(shared, destination.as_deref(), from).await?;
        let Some(last) = page.last() else { return Ok(changed) };
        from = signed(*last);
        for id in page {
            changed = changed.saturating_add(ask(shared, change(id)).await?);
        }
    }
}

/// The next messages, of all or of those with recipients at a destination.
async fn messages(
    shared: &Shared,
    destination: Option<&str>,
    from: i64,
) -> Result<Vec<QueueId>, QueryError> {
    let session = shared.reader.session().await?;
    let rows = match destination {
        Some(name) => session.query(MESSAGES_AT, &[&name, &from, &SLICE]).await?,
        None => session.query(MESSAGES, &[&from, &SLICE]).await?,
    };
    Ok(crate::node::column(&rows)?.into_iter().map(id).collect())
}

/// The entries of these messages that meet `filter`, by message.
async fn entries_meant(
    shared: &Shared,
    ids: &[QueueId],
    filter: &Filter,
) -> Result<Vec<EntryId>, QueryError> {
    let session = shared.reader.session().await?;
    let entries = entries_of(&session, ids).await?.into_values().flatten();
    let meant = entries.filter(|(_, entry)| admits_entry(filter, &entry.row));
    Ok(meant.map(|(id, _)| id).collect())
}

/// Makes entries due now that are due later.
async fn retry(shared: &Shared, which: &Which) -> Result<usize, StoreError> {
    let now = shared.now();
    match which {
        Which::All => retry_all(shared, now).await,
        Which::Destination(domain) => {
            // All of them before the first is moved: one that is tried meanwhile comes back to a later
            // place, where it would be met again.
            let name = domain.to_string();
            let session = shared.reader.session().await?;
            let rows = session.query(WAITING_AT, &[&name, &big(now)]).await?;
            retry_each(shared, &keys_of(&rows)?, now).await
        }
        Which::Message(id) => {
            let session = shared.reader.session().await?;
            let rows = session.query(ENTRIES_OF, &[&signed(*id)]).await?;
            retry_each(shared, &keys_of(&rows)?, now).await
        }
        Which::Messages(ids, filter) => {
            let entries = entries_meant(shared, ids, filter).await?;
            ask(shared, Change::Retry(entries, now)).await
        }
    }
}

/// Makes all entries due now, slice by slice.
async fn retry_all(shared: &Shared, now: u64) -> Result<usize, StoreError> {
    let (mut moved, mut from) = (0_usize, (-1_i64, -1_i32));
    loop {
        let session = shared.reader.session().await?;
        let rows = session.query(ENTRIES, &[&from.0, &from.1, &SLICE]).await?;
        let entries = keys_of(&rows)?;
        let Some(last) = entries.last() else { return Ok(moved) };
        from = (signed(last.id), crate::rows::small(last.number));
        moved = moved.saturating_add(ask(shared, Change::Retry(entries, now)).await?);
    }
}

/// Makes these entries due now, slice by slice.
async fn retry_each(shared: &Shared, entries: &[EntryId], now: u64) -> Result<usize, StoreError> {
    let mut moved = 0_usize;
    for slice in entries.chunks(usize::try_from(SLICE).unwrap_or(1)) {
        let change = Change::Retry(slice.to_vec(), now);
        moved = moved.saturating_add(ask(shared, change).await?);
    }
    Ok(moved)
}

/// Ids and numbers of entries.
pub(crate) fn keys_of(rows: &[Row]) -> Result<Vec<EntryId>, QueryError> {
    let key = |row: &Row| {
        let number: i32 = row.try_get(1)?;
        Ok(EntryId { id: id(row.try_get(0)?), number: u32::try_from(number).unwrap_or(0) })
    };
    rows.iter().map(key).collect()
}
