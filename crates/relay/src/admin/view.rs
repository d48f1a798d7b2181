//! The answers, from the queue and the policies themselves: what the running relay gives, and what
//! the command line finds on disk when none runs.

use std::sync::Arc;

use clock::Clock;
use mta_sts::{PolicyDomain, PolicyStore as _};
use queue::{Filter, Queue, QueueId, Selection, StoreError};
use thiserror::Error;
use tokio::task::JoinError;

use super::answer::{FullMessage, ListedPolicy, Message, Policy, QueueStats, Retried};
use crate::error_text::in_full;
use crate::policy_shelf::PolicyShelf;

/// What can be asked about the queue and the policies.
#[derive(Clone, Debug)]
pub(crate) struct View {
    queue: Queue,
    policies: Arc<PolicyShelf>,
    clock: Arc<dyn Clock>,
}

/// An answer cannot be given.
#[derive(Debug, Error)]
pub(crate) enum ViewError {
    /// The policies cannot be read.
    #[error("the policy cannot be read")]
    Policy(#[from] mta_sts::StoreError),
    /// The queue cannot be read.
    #[error("the queue cannot be read")]
    Queue(#[from] StoreError),
    /// Our own mistake.
    #[error("the look into the queue failed")]
    Task(#[from] JoinError),
}

impl View {
    /// A view of `queue` and the policies on its shelf.
    pub(crate) fn of(queue: Queue, clock: Arc<dyn Clock>) -> Self {
        let policies = Arc::new(PolicyShelf::of(&queue));
        Self { queue, policies, clock }
    }

    /// At most `limit` messages after `after`, oldest first.
    pub(crate) async fn messages(
        &self,
        after: Option<QueueId>,
        limit: usize,
    ) -> Result<Vec<Message>, ViewError> {
        let list = move |view: Self| view.queue.list(&Filter::default(), after, limit);
        let found = self.read(list).await??;
        Ok(found.into_iter().map(Message::from).collect())
    }

    /// One message.
    pub(crate) async fn message(&self, id: QueueId) -> Result<Option<FullMessage>, ViewError> {
        let found = self.read(move |view| view.queue.show(id)).await??;
        Ok(found.map(FullMessage::from))
    }

    /// How much waits for whom.
    pub(crate) async fn stats(&self) -> Result<QueueStats, ViewError> {
        Ok(self.read(|view| view.queue.stats()).await??.into())
    }

    /// Has messages tried now; `None` where the one that is named is not there.
    pub(crate) async fn retry(&self, selection: Selection) -> Result<Option<Retried>, ViewError> {
        if let Selection::Message(id) = selection
            && self.message(id).await?.is_none()
        {
            return Ok(None);
        }
        Ok(Some(Retried { retried: self.queue.retry(selection).await? }))
    }

    /// At most `limit` cached policies after `after`, by domain.
    pub(crate) async fn policies(
        &self,
        after: Option<PolicyDomain>,
        limit: usize,
    ) -> Result<Vec<ListedPolicy>, ViewError> {
        let list = move |view: Self| -> Result<Vec<ListedPolicy>, ViewError> {
            let domains = view.policies.list(after.as_ref(), limit)?;
            Ok(domains.iter().filter_map(|domain| view.listed(domain)).collect())
        };
        self.read(list).await?
    }

    /// The cached policy of one domain.
    pub(crate) async fn policy(&self, domain: PolicyDomain) -> Result<Option<Policy>, ViewError> {
        let find = move |view: Self| {
            let now = view.clock.now();
            let found = view.policies.find(&domain)?;
            Ok(found.map(|cached| Policy::of(&cached, now)))
        };
        self.read(find).await?
    }

    /// The entry of one domain; none where it was dropped meanwhile.
    fn listed(&self, domain: &PolicyDomain) -> Option<ListedPolicy> {
        match self.policies.find(domain) {
            Ok(found) => {
                found.map(|cached| ListedPolicy::Cached(Policy::of(&cached, self.clock.now())))
            }
            Err(error) => Some(ListedPolicy::unreadable(domain, in_full(&error))),
        }
    }

    /// Reads the disk where that holds nobody up.
    async fn read<T: Send + 'static>(
        &self,
        look: impl FnOnce(Self) -> T + Send + 'static,
    ) -> Result<T, JoinError> {
        let view = self.clone();
        tokio::task::spawn_blocking(move || look(view)).await
    }
}
