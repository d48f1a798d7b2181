//! Changes of many messages at once: part by part, so that mail on its way never waits behind them
//! for longer than one part takes.

use history::{Act, Messages};
use queue::{Filter, QueueId, Summary};
use tokio::task::JoinSet;

use crate::api::answers::{Matched, Message, PartChanged};
use crate::api::change::{Bounce, Change};
use crate::api::query::Part;
use crate::server::actions::Actions;
use crate::server::error::AdminError;
use crate::server::operator::Operator;

/// A part has at most so many messages: fewer than the committer takes in a commit group, so that mail that
/// comes in meanwhile shares its groups.
pub(crate) const PART: usize = 256;

impl Actions {
    /// How many messages are meant.
    pub async fn matching(&self, part: Part) -> Result<Matched, AdminError> {
        let found = self.queue.store().matching(&part.filter).await?;
        Ok(Matched { messages: found.messages, last: found.last.map(|id| id.to_string()) })
    }

    /// Changes the next messages of a part, at most `limit` and `PART`.
    pub async fn change_part(
        &self,
        change: Change,
        part: Part,
        limit: usize,
        by: &Operator,
    ) -> Result<PartChanged, AdminError> {
        let limit = limit.min(PART);
        let Part { filter, after, until } = part.clone();
        let mut found = self.queue.store().list(&filter, after, limit).await?;
        let is_full = found.len() >= limit;
        found.retain(|message| until.is_none_or(|until| message.id <= until));
        let last = found.last().map(|message| message.id);
        let next = last.filter(|last| is_full && Some(*last) != until);
        let matched = u64::try_from(found.len()).unwrap_or(u64::MAX);
        let changed = match change {
            Change::Retry => self.retry_part(&found, &part, by).await?,
            Change::Delete(_) | Change::Hold | Change::Release => {
                self.change_each(change, found.into_iter().map(|one| one.id), by).await?
            }
        };
        if changed > 0 {
            let domain = part.filter.destination.as_ref().map(ToString::to_string);
            let messages = Messages { queue_id: None, domain, count: changed };
            self.record(by, act(change, messages)).await;
        }
        Ok(PartChanged { matched, changed, after: next.map(|id| id.to_string()) })
    }

    /// Changes all messages of a part, one small part after the other: how many met it, and how many
    /// of them were changed.
    pub(crate) async fn change_all(
        &self,
        change: Change,
        mut part: Part,
        by: &Operator,
    ) -> Result<(u64, u64), AdminError> {
        let (mut matched, mut changed) = (0_u64, 0_u64);
        loop {
            let next = self.change_part(change, part.clone(), PART, by).await?;
            matched = matched.saturating_add(next.matched);
            changed = changed.saturating_add(next.changed);
            part.after = next.after.and_then(|id| id.parse().ok());
            if part.after.is_none() {
                return Ok((matched, changed));
            }
        }
    }

    /// Changes these messages; how many were changed, or, of attempts, how many will be made.
    pub(crate) async fn change_picked(
        &self,
        change: Change,
        ids: &[QueueId],
        by: &Operator,
    ) -> Result<u64, AdminError> {
        let count = match change {
            Change::Retry => {
                let retried = self.queue.retry_messages(ids, &Filter::default()).await?;
                tracing::info!(messages = ids.len(), retried, %by, "retry requested");
                u64::try_from(retried).unwrap_or(u64::MAX)
            }
            Change::Delete(_) | Change::Hold | Change::Release => {
                self.change_each(change, ids.iter().copied(), by).await?
            }
        };
        if count > 0 {
            let queue_id = ids.first().filter(|_| ids.len() == 1).map(ToString::to_string);
            self.record(by, act(change, Messages { queue_id, domain: None, count })).await;
        }
        Ok(count)
    }

    /// Those of these messages that are in the queue.
    pub(crate) async fn there(&self, ids: &[QueueId]) -> Result<Vec<Message>, AdminError> {
        let mut there = Vec::with_capacity(ids.len());
        for id in ids {
            there.extend(self.reads.details(*id).await?.map(Message::from));
        }
        Ok(there)
    }

    /// Has those entries of some messages tried now that are meant.
    async fn retry_part(
        &self,
        found: &[Summary],
        part: &Part,
        by: &Operator,
    ) -> Result<u64, AdminError> {
        let ids: Vec<QueueId> = found.iter().map(|message| message.id).collect();
        let retried = self.queue.retry_messages(&ids, &part.filter).await?;
        let domain = part.filter.destination.as_ref().map(tracing::field::display);
        tracing::info!(domain, messages = ids.len(), retried, %by, "retry requested");
        Ok(u64::try_from(retried).unwrap_or(u64::MAX))
    }

    /// Changes messages one by one and all at once, so that they share the disk's syncs.
    async fn change_each(
        &self,
        change: Change,
        found: impl Iterator<Item = QueueId>,
        by: &Operator,
    ) -> Result<u64, AdminError> {
        let mut changes = JoinSet::new();
        for id in found {
            let (actions, by) = (self.clone(), by.clone());
            let _handle = changes.spawn(async move { actions.change_one(change, id, &by).await });
        }
        let mut changed = 0_u64;
        while let Some(one) = changes.join_next().await {
            changed = changed.saturating_add(one??.into());
        }
        Ok(changed)
    }

    /// Changes one message; whether that changed anything.
    async fn change_one(
        &self,
        change: Change,
        id: QueueId,
        by: &Operator,
    ) -> Result<bool, AdminError> {
        match change {
            Change::Delete(bounce) => Ok(self.delete_one(id, bounce, by).await?.is_some()),
            Change::Hold => self.hold_one(id, by).await,
            Change::Release => self.release_one(id, by).await,
            Change::Retry => Ok(false),
        }
    }
}

/// What was done to these messages.
fn act(change: Change, messages: Messages) -> Act {
    match change {
        Change::Delete(bounce) => Act::Delete { messages, bounce: bounce == Bounce::Sent },
        Change::Hold => Act::Hold { messages },
        Change::Release => Act::Release { messages },
        Change::Retry => Act::Retry { messages },
    }
}
