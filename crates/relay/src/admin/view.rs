//! The answers, from the queue and the policies themselves: what the running relay gives, and what
//! the command line finds on disk when none runs.

use std::io;
use std::sync::{Arc, PoisonError, RwLock};

use clock::Clock;
use delivery::{RemovalError, removal_notice};
use mta_sts::{Policies, PolicyDomain, PolicyStore as _, Undecided};
use queue::{BodyError, BodyReader, Filter, Queue, QueueId, Selection, StoreError};
use smtp::Domain;
use thiserror::Error;
use tokio::task::JoinError;

use super::answer::{
    Changed, FullMessage, Headline, ListedPolicy, Message, Policy, QueueStats, Removed, Retried,
    Verified,
};
use super::policies::{self, Purged, Refreshed};
use crate::error_text::in_full;
use crate::policy_shelf::PolicyShelf;

/// What can be asked about the queue and the policies.
#[derive(Clone, Debug)]
pub(crate) struct View {
    queue: Queue,
    policies: Arc<PolicyShelf>,
    /// The policies as delivery finds them, where they can be looked up anew.
    in_use: Option<Arc<Policies>>,
    /// The relay's own name, for what it writes to senders.
    hostname: Arc<RwLock<Domain>>,
    clock: Arc<dyn Clock>,
}

/// Whether the sender of a message that is removed is told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Bounce {
    /// No.
    None,
    /// Yes, unless it has the null reverse-path.
    Sent,
}

/// An answer cannot be given.
#[derive(Debug, Error)]
pub(crate) enum ViewError {
    /// The message cannot be read.
    #[error("the message cannot be read")]
    Body(#[from] BodyError),
    /// The spool's quarantine cannot be read.
    #[error("the quarantine cannot be read")]
    Quarantine(#[source] io::Error),
    /// The sender cannot be told.
    #[error("the sender cannot be told, so the message stays")]
    Removal(#[from] RemovalError),
    /// The policies cannot be read.
    #[error("the policy cannot be read")]
    Policy(#[from] mta_sts::StoreError),
    /// Whether there is a policy cannot be told.
    #[error(transparent)]
    Undecided(#[from] Undecided),
    /// The queue cannot be read.
    #[error("the queue cannot be read")]
    Queue(#[from] StoreError),
    /// Our own mistake.
    #[error("the look into the queue failed")]
    Task(#[from] JoinError),
}

impl View {
    /// A view of `queue` and the policies on its shelf.
    pub(crate) fn of(queue: Queue, hostname: Domain, clock: Arc<dyn Clock>) -> Self {
        let policies = Arc::new(PolicyShelf::of(&queue));
        let hostname = Arc::new(RwLock::new(hostname));
        Self { queue, policies, in_use: None, hostname, clock }
    }

    /// Calls the relay by another name from now on.
    pub(crate) fn rename(&self, hostname: Domain) {
        *self.hostname.write().unwrap_or_else(PoisonError::into_inner) = hostname;
    }

    fn hostname(&self) -> Domain {
        self.hostname.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The same, that can look policies up anew.
    pub(crate) fn with_policies(self, in_use: Arc<Policies>) -> Self {
        Self { in_use: Some(in_use), ..self }
    }

    /// At most `limit` messages after `after` that meet `filter`, oldest first.
    pub(crate) async fn messages(
        &self,
        filter: Filter,
        after: Option<QueueId>,
        limit: usize,
    ) -> Result<Vec<Message>, ViewError> {
        let list = move |view: Self| view.queue.list(&filter, after, limit);
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
        let stats = self.read(|view| view.queue.stats()).await??;
        let damaged = self.read(|view| view.queue.quarantined_bytes()).await?;
        Ok(QueueStats::of(stats, &damaged.map_err(ViewError::Quarantine)?))
    }

    /// Compares the spool with the index.
    pub(crate) async fn verify(&self) -> Result<Verified, ViewError> {
        Ok(Verified::from(&self.read(|view| view.queue.verify()).await??))
    }

    /// The header and body of a message.
    pub(crate) async fn body(&self, id: QueueId) -> Result<Option<BodyReader>, ViewError> {
        match self.queue.body(id).await {
            Ok(body) => Ok(Some(body)),
            Err(BodyError::Gone) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Keeps a message from being sent; `None` where there is none.
    pub(crate) async fn hold(&self, id: QueueId) -> Result<Option<Changed>, ViewError> {
        let changed = self.queue.hold(id).await?;
        let found = self.message(id).await?;
        Ok(found.map(|FullMessage { headline: Headline { id, state, .. }, .. }| Changed {
            id,
            state,
            changed,
        }))
    }

    /// Lets a message go that was held or quarantined; `None` where there is none.
    pub(crate) async fn release(&self, id: QueueId) -> Result<Option<Changed>, ViewError> {
        let changed = self.queue.release(id).await?;
        let found = self.message(id).await?;
        Ok(found.map(|FullMessage { headline: Headline { id, state, .. }, .. }| Changed {
            id,
            state,
            changed,
        }))
    }

    /// Removes a message; `None` where there is none.
    pub(crate) async fn delete(
        &self,
        id: QueueId,
        bounce: Bounce,
    ) -> Result<Option<Removed>, ViewError> {
        let Some(message) = self.read(move |view| view.queue.show(id)).await?? else {
            return Ok(None);
        };
        let notice = match bounce {
            Bounce::None => None,
            Bounce::Sent => {
                let now = self.clock.now();
                removal_notice(&self.queue, &message, &self.hostname(), now).await?
            }
        };
        let bounce = notice.as_ref().map(|notice| notice.id().to_string());
        if !self.queue.delete(id, notice).await? {
            return Ok(None);
        }
        tracing::info!(queue_id = %id, bounce, "removed by an operator");
        Ok(Some(Removed { id: id.to_string(), bounce }))
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

    /// Fetches the policy of one domain anew; `None` where this view cannot.
    pub(crate) async fn refresh(
        &self,
        domain: PolicyDomain,
    ) -> Result<Option<Refreshed>, ViewError> {
        let Some(in_use) = &self.in_use else { return Ok(None) };
        let error = policies::look_anew(in_use, &domain, self.clock.now()).await?;
        Ok(Some(Refreshed { policy: self.policy(domain).await?, error }))
    }

    /// Forgets what is kept of one domain, readable or not; `None` where nothing is.
    pub(crate) async fn purge(&self, domain: PolicyDomain) -> Result<Option<Purged>, ViewError> {
        let name = domain.as_str().to_owned();
        let kept = {
            let domain = domain.clone();
            self.read(move |view| !matches!(view.policies.find(&domain), Ok(None))).await?
        };
        if !kept {
            return Ok(None);
        }
        self.policies.remove(&domain).await?;
        tracing::warn!(%domain, "policy purged");
        Ok(Some(Purged { domain: name }))
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
