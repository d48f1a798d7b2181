//! Claiming entries that are due.

use std::sync::atomic::Ordering;

use store::rows::decode_message;
use store::{Claimed, Demand, EntryId, EntryRecipient, Next, Ownership, QueueEntry, StoreError};

use crate::connect::Parameter;
use crate::error::QueryError;
use crate::plan::Entry;
use crate::rows::{self, big, entry_columns, keys, whole};
use crate::shared::Shared;

/// Takes the entries that are due first: what the node owns already needs no write. Everything is read from
/// the rows that were locked, for a row may have changed since the statement began. Whose entries are free
/// is a list of owners, never a look at who is alive: after a wait only the locked row is looked at again.
const CLAIM: &str = concat!(
    "WITH picked AS MATERIALIZED (SELECT ",
    entry_columns!(),
    " FROM entry WHERE destination = $1 AND due <= $2 AND owner = ANY($3::bigint[]) \
     AND (id, number) NOT IN (SELECT * FROM unnest($4::bigint[], $5::integer[])) \
     ORDER BY due, id, number LIMIT $6 FOR UPDATE SKIP LOCKED), \
     taken AS (UPDATE entry SET owner = $7 FROM picked WHERE entry.id = picked.id \
     AND entry.number = picked.number AND picked.owner <> $7) \
     SELECT picked.*, message.record FROM picked JOIN message USING (id) \
     ORDER BY picked.due, picked.id, picked.number"
);

/// When the next one is due.
const NEXT: &str = "SELECT due FROM entry WHERE destination = $1 AND due > $2 \
    AND owner = ANY($3::bigint[]) ORDER BY due LIMIT 1";

/// Claims entries of each destination that is demanded, at most `limit` in all.
pub(crate) async fn claim(
    shared: &Shared,
    demand: &[Demand],
    limit: usize,
) -> Result<Vec<Claimed>, StoreError> {
    if shared.ownership_now() == Ownership::Lost {
        return Err(StoreError::Failed);
    }
    let _alone = shared.claiming.lock().await;
    let (mut left, mut claimed) = (limit, Vec::with_capacity(demand.len()));
    for one in demand {
        match claim_at(shared, &one.destination, one.most.min(left)).await {
            Ok(found) => {
                left = left.saturating_sub(found.entries.len());
                claimed.push(found);
            }
            Err(error) => {
                for (one, claimed) in demand.iter().zip(claimed) {
                    for entry in claimed.entries {
                        shared.give_back(&one.destination, entry.id, shared.now());
                    }
                }
                return Err(error.into());
            }
        }
    }
    Ok(claimed)
}

/// Claims entries of one destination.
async fn claim_at(shared: &Shared, destination: &str, most: usize) -> Result<Claimed, QueryError> {
    let now = shared.now();
    let (free, me) = (shared.free_for_claims(), shared.identity().token());
    let (ids, numbers) = keys(&shared.held().closed(destination, now));
    let (limit, at) = (i64::try_from(most).unwrap_or(i64::MAX), big(now));
    let session = shared.claimer.session().await?;
    let wanted: [Parameter<'_>; 7] = [&destination, &at, &free, &ids, &numbers, &limit, &me];
    let behind: [Parameter<'_>; 3] = [&destination, &at, &free];
    let (rows, next) = tokio::join!(session.query(CLAIM, &wanted), session.query(NEXT, &behind));
    let (rows, next) = (rows?, next?);
    let (mut entries, mut taken) = (Vec::with_capacity(rows.len()), 0_i64);
    for row in &rows {
        let (id, entry) = rows::entry(row)?;
        taken = taken.saturating_add(i64::from(entry.owner != me));
        entries.push(queue_entry(id, &entry, row.try_get("record")?)?);
    }
    shared.owned.fetch_add(taken, Ordering::AcqRel);
    let mut held = shared.held();
    entries.iter().for_each(|entry| held.claim(destination, entry.id));
    let later = next.first().map(|row| row.try_get(0)).transpose()?.map(whole);
    let next = match (entries.len() < most, later.into_iter().chain(held.next(destination)).min()) {
        (false, _) => Next::Maybe,
        (true, Some(due)) => Next::Later(due),
        (true, None) => Next::Nothing,
    };
    Ok(Claimed { entries, next })
}

/// An entry as it is lent.
fn queue_entry(id: EntryId, entry: &Entry, record: &[u8]) -> Result<QueueEntry, QueryError> {
    let destination = entry.row.destination()?.clone();
    let recipients = entry.row.recipients.iter().map(|one| EntryRecipient {
        place: one.index,
        recipient: one.recipient.clone(),
        reason: one.reason.and_then(|which| entry.reason(which)),
        delay: one.delay,
    });
    Ok(QueueEntry {
        id,
        message: decode_message(record)?,
        destination,
        recipients: recipients.collect(),
        attempts: entry.row.attempts,
        by_hand: entry.row.by_hand,
    })
}
