//! The answers, from the queue and the policies themselves: what a process gives that has the queue
//! open. What it reads it reads by its [`Look`].

use std::io;
use std::sync::{Arc, PoisonError, RwLock};

use clock::Clock;
use delivery::now_of;
use delivery::{RemovalError, removal_notice};
use mta_sts::{Policies, PolicyDomain, PolicyStore as _, Undecided};
use queue::{BodyError, Queue, QueueId, Selection, StoreError};
use smtp::Domain;
use thiserror::Error;
use tokio::task::JoinError;
use tracing::field::display;

use super::answer::{Changed, FullMessage, Headline, Removed, Retried, Verified};
use super::look::Look;
use super::operator::Operator;
use super::policies::{self, Purged, Refreshed};
use crate::policy_shelf::PolicyShelf;

/// What can be asked about the queue and the policies.
#[derive(Clone, Debug)]
pub(crate) struct View {
    /// What it reads.
    pub(crate) look: Look,
    pub(super) queue: Queue,
    policies: Arc<PolicyShelf>,
    /// The policies as delivery finds them.
    in_use: Arc<Policies>,
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
    #[error("the sender cannot be notified, so the message stays in the queue")]
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
    #[error("the queue could not be read")]
    Task(#[from] JoinError),
}

impl View {
    /// A view of `queue` and the policies on its shelf.
    pub(crate) fn of(
        queue: Queue,
        in_use: Arc<Policies>,
        hostname: Domain,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let policies = Arc::new(PolicyShelf::of(&queue));
        let hostname = Arc::new(RwLock::new(hostname));
        let look = Look::in_use(queue.clone(), Arc::clone(&policies), Arc::clone(&clock));
        Self { look, queue, policies, in_use, hostname, clock }
    }

    /// Calls the relay by another name from now on.
    pub(crate) fn rename(&self, hostname: Domain) {
        *self.hostname.write().unwrap_or_else(PoisonError::into_inner) = hostname;
    }

    fn hostname(&self) -> Domain {
        self.hostname.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Compares the spool with the index.
    pub(crate) async fn verify(&self) -> Result<Verified, ViewError> {
        Ok(Verified::from(&self.read(|view| view.queue.verify()).await??))
    }

    /// Keeps a message from being sent; whether it was on its way.
    pub(super) async fn hold_one(&self, id: QueueId, by: &Operator) -> Result<bool, ViewError> {
        let changed = self.queue.hold(id).await?;
        if changed {
            tracing::info!(queue_id = %id, %by, "message put on hold");
        }
        Ok(changed)
    }

    /// Lets a message go that is on hold or quarantined; whether it was one.
    pub(super) async fn release_one(&self, id: QueueId, by: &Operator) -> Result<bool, ViewError> {
        let changed = self.queue.release(id).await?;
        if changed {
            tracing::info!(queue_id = %id, %by, "message released");
        }
        Ok(changed)
    }

    /// Keeps a message from being sent; `None` where there is none.
    pub(crate) async fn hold(
        &self,
        id: QueueId,
        by: &Operator,
    ) -> Result<Option<Changed>, ViewError> {
        let changed = self.hold_one(id, by).await?;
        let found = self.look.message(id).await?;
        Ok(found.map(|FullMessage { headline: Headline { id, state, .. }, .. }| Changed {
            id,
            state,
            changed,
        }))
    }

    /// Lets a message go that is on hold or quarantined; `None` where there is none.
    pub(crate) async fn release(
        &self,
        id: QueueId,
        by: &Operator,
    ) -> Result<Option<Changed>, ViewError> {
        let changed = self.release_one(id, by).await?;
        let found = self.look.message(id).await?;
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
        by: &Operator,
    ) -> Result<Option<Removed>, ViewError> {
        let Some(message) = self.look.details(id).await? else {
            return Ok(None);
        };
        let notice = match bounce {
            Bounce::None => None,
            Bounce::Sent => {
                let now = self.clock.wall();
                removal_notice(&self.queue, &message, &self.hostname(), now).await?
            }
        };
        let bounce = notice.as_ref().map(|notice| notice.id().to_string());
        if !self.queue.delete(id, notice).await? {
            return Ok(None);
        }
        tracing::info!(queue_id = %id, bounce, %by, "message deleted");
        Ok(Some(Removed { id: id.to_string(), bounce }))
    }

    /// Has messages tried now; `None` where the one that is named is not there.
    pub(crate) async fn retry(
        &self,
        selection: Selection,
        by: &Operator,
    ) -> Result<Option<Retried>, ViewError> {
        let (queue_id, domain) = match &selection {
            Selection::All => (None, None),
            Selection::Destination(domain) => (None, Some(domain.clone())),
            Selection::Message(id) => (Some(*id), None),
        };
        let state = match queue_id {
            Some(id) => match self.look.message(id).await? {
                Some(message) => Some(message.headline.state),
                None => return Ok(None),
            },
            None => None,
        };
        let retried = self.queue.retry(selection).await?;
        let (queue_id, domain) = (queue_id.map(display), domain.map(display));
        tracing::info!(queue_id, domain, retried, %by, "retry requested");
        Ok(Some(Retried { retried: u64::try_from(retried).unwrap_or(u64::MAX), state }))
    }

    /// Fetches the policy of one domain anew.
    pub(crate) async fn refresh(
        &self,
        domain: PolicyDomain,
        by: &Operator,
    ) -> Result<Refreshed, ViewError> {
        let error = policies::look_anew(&self.in_use, &domain, now_of(&*self.clock)).await?;
        tracing::info!(%domain, error, %by, "policy refresh requested");
        Ok(Refreshed { policy: self.look.policy(domain).await?, error })
    }

    /// Forgets what is kept of one domain, readable or not; `None` where nothing is.
    pub(crate) async fn purge(
        &self,
        domain: PolicyDomain,
        by: &Operator,
    ) -> Result<Option<Purged>, ViewError> {
        let name = domain.as_str().to_owned();
        let kept = {
            let domain = domain.clone();
            self.read(move |view| !matches!(view.policies.kept(&domain), Ok(None))).await?
        };
        if !kept {
            return Ok(None);
        }
        self.policies.remove(&domain).await?;
        tracing::warn!(%domain, %by, "policy purged");
        Ok(Some(Purged { domain: name }))
    }

    /// Reads the disk where that holds nobody up.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        look: impl FnOnce(Self) -> T + Send + 'static,
    ) -> Result<T, JoinError> {
        let view = self.clone();
        tokio::task::spawn_blocking(move || look(view)).await
    }
}
