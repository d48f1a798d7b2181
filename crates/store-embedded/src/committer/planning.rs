//! What each piece of work makes of the index.

use mail::{QueueId, State};
use store::Settled;

use crate::batch::Batch;
use crate::index::EngineError;
use crate::message_changes;
use crate::namespace::{Versions, is_expected, put_value};
use crate::records;
use crate::rows::RecordLocation;
use crate::work::{Edit, Prepared, Work};

/// What is answered when a commit group is durable.
#[derive(Debug)]
pub(super) enum Done {
    /// So many were changed.
    Changed(usize),
    /// The message is in the queue.
    Committed(QueueId),
    /// Nothing is to be said.
    Nothing,
    /// The entries are settled.
    Settled(Vec<Settled>),
}

/// Enters one job's changes into the batch.
pub(super) fn plan(
    batch: &mut Batch<'_>,
    work: &Work,
    place: Option<RecordLocation>,
    versions: &Versions,
    now: u64,
) -> Result<Done, EngineError> {
    match work {
        Work::Accept(message, _) => {
            add_new(batch, message, place)?;
            Ok(Done::Committed(message.header.id))
        }
        Work::Settle(settlement, _) => {
            tell(batch, settlement.id, settlement.notice.as_deref(), place)?;
            let mut settled = Vec::new();
            for one in &settlement.entries {
                message_changes::delay_notices_sent(batch, one.entry, &one.notices_sent)?;
                settled.push(message_changes::settle(batch, one)?);
            }
            Ok(Done::Settled(settled))
        }
        Work::Edit(edit, _) => plan_edit(batch, edit, place, versions, now).map(Done::Changed),
        Work::Close(_) | Work::Damaged(..) => Ok(Done::Nothing),
    }
}

/// Enters an edit's changes into the batch; how many things it changes.
fn plan_edit(
    batch: &mut Batch<'_>,
    edit: &Edit,
    place: Option<RecordLocation>,
    versions: &Versions,
    now: u64,
) -> Result<usize, EngineError> {
    match edit {
        Edit::Delete(id, bounce) => {
            tell(batch, *id, bounce.as_deref(), place)?;
            message_changes::delete(batch, *id).map(usize::from)
        }
        Edit::Hold(id) => {
            message_changes::set_state(batch, *id, State::OnHold, now).map(usize::from)
        }
        Edit::Quarantine(id, why) => {
            let state = State::Quarantined { why: why.clone() };
            message_changes::set_state(batch, *id, state, now).map(usize::from)
        }
        Edit::Release(id) => {
            message_changes::set_state(batch, *id, State::Queued, now).map(usize::from)
        }
        Edit::Retry(entries, due) => {
            let mut moved = 0_usize;
            for entry in entries {
                moved =
                    moved.saturating_add(message_changes::reschedule(batch, *entry, *due)?.into());
            }
            Ok(moved)
        }
        Edit::PutValue(key, value, expected) => {
            if is_expected(batch, key, *expected, versions)? {
                put_value(batch, key, value.as_deref())
            } else {
                Ok(0)
            }
        }
        Edit::ForgetRecords(through) => records::forget(batch, *through),
        Edit::Void(ids) => {
            let mut removed = 0_usize;
            for id in ids {
                removed = removed.saturating_add(message_changes::delete(batch, *id)?.into());
            }
            Ok(removed)
        }
    }
}

/// Enters what tells the sender what becomes of message `of`. If that has left the queue meanwhile,
/// its sender knows, or an operator has decided otherwise: nothing is sent. What waited for the store
/// may come twice.
fn tell(
    batch: &mut Batch<'_>,
    of: QueueId,
    bounce: Option<&Prepared>,
    place: Option<RecordLocation>,
) -> Result<(), EngineError> {
    let Some(bounce) = bounce else { return Ok(()) };
    let id = bounce.header.id;
    match (batch.message(id)?, batch.message(of)?, place) {
        (None, Some(_), _) => add_new(batch, bounce, place),
        (None, None, Some(place)) => message_changes::leave_out(batch, id, place),
        (Some(_), _, _) | (None, None, None) => Ok(()),
    }
}

/// Enters a message into the batch that was never entered before.
fn add_new(
    batch: &mut Batch<'_>,
    message: &Prepared,
    place: Option<RecordLocation>,
) -> Result<(), EngineError> {
    let place =
        place.ok_or_else(|| EngineError::Damaged("a message without a record".to_owned()))?;
    let header = &message.header;
    message_changes::add(
        batch,
        header.id,
        place,
        header.envelope_size,
        message.message.clone(),
        &message.entries,
    )
}
