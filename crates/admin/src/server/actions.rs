//! The answers, from the queue and the policies themselves: what a process gives that has the queue
//! open. What it reads it reads by its [`Reads`].

use std::sync::{Arc, PoisonError, RwLock};

use clock::{Clock, millis};
use delivery::{Delivery, ReportingMta, now_of, removal_notice};
use history::{Act, Activity, ActivityLog, Messages};
use mta_sts::{Exception, ExceptionScope, Policies, PolicyDomain, PolicyStore};
use queue::{BodyReader, Queue, QueueId, Selection};
use tracing::field::display;

use crate::api::answers::{Changed, FullMessage, Headline, QueueStats, Removed, Retried, Verified};
use crate::api::change::Bounce;
use crate::api::exceptions::ListedException;
use crate::api::limit_stats::LimitStats;
use crate::api::policy_answers::{Purged, Refreshed};
use crate::api::refusal::Refusal;
use crate::server::error::AdminError;
use crate::server::grants::Grants;
use crate::server::operator::Operator;
use crate::server::reads::Reads;
use crate::server::refresh::look_anew;

/// What can be asked about the queue and the policies.
#[derive(Clone, Debug)]
pub struct Actions {
    /// What it reads.
    pub reads: Reads,
    pub(crate) queue: Queue,
    /// The policies as delivery finds them.
    in_use: Arc<Policies>,
    /// How fast mail leaves.
    delivery: Delivery,
    /// Who writes to senders.
    mta: Arc<RwLock<ReportingMta>>,
    /// What staging does, where it is on.
    staging: Arc<RwLock<Option<String>>>,
    /// What is set aside for a while.
    pub grants: Arc<Grants>,
    pub(crate) clock: Arc<dyn Clock>,
    /// Where it is kept what operators do.
    activity: ActivityLog,
}

impl Actions {
    /// Actions on a queue, on the policies as they are `kept`, and on those `in_use` by `delivery`.
    pub fn of(
        queue: Queue,
        kept: Arc<dyn PolicyStore>,
        in_use: Arc<Policies>,
        delivery: Delivery,
        mta: ReportingMta,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let mta = Arc::new(RwLock::new(mta));
        let reads = Reads::in_use(&queue, kept, Arc::clone(&clock));
        let grants = Grants::of(&queue, Arc::clone(&in_use), Arc::clone(&clock));
        let (staging, grants) = (Arc::default(), Arc::new(grants));
        let activity = ActivityLog::disabled();
        Self { reads, queue, in_use, delivery, mta, staging, grants, clock, activity }
    }

    /// The same, with what operators do kept in `activity`.
    #[must_use]
    pub fn recorded_in(self, activity: ActivityLog) -> Self {
        Self { activity, ..self }
    }

    /// Keeps what an operator has done.
    pub async fn record(&self, by: &Operator, act: Act) {
        let at = millis(self.clock.now());
        self.activity.record(Activity { at, by: by.to_string(), act }).await;
    }

    /// The header and body of a message, which `by` reads; `None` where there is none.
    pub async fn body(&self, id: QueueId, by: &Operator) -> Result<Option<BodyReader>, AdminError> {
        let body = self.reads.body(id).await?;
        if body.is_some() {
            self.record(by, Act::BodyRead { queue_id: id.to_string() }).await;
        }
        Ok(body)
    }

    /// Says from now on what staging does, or nothing where it is off.
    pub fn tell_staging(&self, staging: Option<String>) {
        *self.staging.write().unwrap_or_else(PoisonError::into_inner) = staging;
    }

    /// How much waits for whom, and whether staging or a limit is why.
    pub async fn stats(&self) -> Result<QueueStats, AdminError> {
        let staging = self.staging.read().unwrap_or_else(PoisonError::into_inner).clone();
        let limits = self.delivery.paces();
        let limits = limits.into_iter().map(|pace| LimitStats::of(pace, &*self.clock)).collect();
        Ok(QueueStats { staging, limits, ..self.reads.stats().await? })
    }

    /// Writes to senders as `mta` from now on.
    pub fn reload(&self, mta: ReportingMta) {
        *self.mta.write().unwrap_or_else(PoisonError::into_inner) = mta;
    }

    fn mta(&self) -> ReportingMta {
        self.mta.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Compares the spool with the index.
    pub async fn verify(&self) -> Result<Verified, AdminError> {
        Ok(Verified::from(&self.queue.store().verify().await?))
    }

    /// Keeps a message from being sent; whether it was on its way.
    pub(crate) async fn hold_one(&self, id: QueueId, by: &Operator) -> Result<bool, AdminError> {
        let changed = self.queue.hold(id).await?;
        if changed {
            tracing::info!(queue_id = %id, %by, "message put on hold");
        }
        Ok(changed)
    }

    /// Lets a message go that is held or quarantined; whether it was one.
    pub(crate) async fn release_one(&self, id: QueueId, by: &Operator) -> Result<bool, AdminError> {
        let changed = self.queue.release(id).await?;
        if changed {
            tracing::info!(queue_id = %id, %by, "message released");
        }
        Ok(changed)
    }

    /// Keeps a message from being sent; `None` where there is none.
    pub async fn hold(&self, id: QueueId, by: &Operator) -> Result<Option<Changed>, AdminError> {
        let changed = self.hold_one(id, by).await?;
        if changed {
            self.record(by, Act::Hold { messages: Messages::one(&id) }).await;
        }
        let found = self.reads.message(id).await?;
        Ok(found.map(|FullMessage { headline: Headline { id, state, .. }, .. }| Changed {
            id,
            state,
            changed,
        }))
    }

    /// Lets a message go that is held or quarantined; `None` where there is none.
    pub async fn release(&self, id: QueueId, by: &Operator) -> Result<Option<Changed>, AdminError> {
        let changed = self.release_one(id, by).await?;
        if changed {
            self.record(by, Act::Release { messages: Messages::one(&id) }).await;
        }
        let found = self.reads.message(id).await?;
        Ok(found.map(|FullMessage { headline: Headline { id, state, .. }, .. }| Changed {
            id,
            state,
            changed,
        }))
    }

    /// Removes a message; `None` where there is none.
    pub async fn delete(
        &self,
        id: QueueId,
        bounce: Bounce,
        by: &Operator,
    ) -> Result<Option<Removed>, AdminError> {
        let removed = self.delete_one(id, bounce, by).await?;
        if removed.is_some() {
            let bounce = bounce == Bounce::Sent;
            self.record(by, Act::Delete { messages: Messages::one(&id), bounce }).await;
        }
        Ok(removed)
    }

    /// Removes a message; `None` where there is none.
    pub(crate) async fn delete_one(
        &self,
        id: QueueId,
        bounce: Bounce,
        by: &Operator,
    ) -> Result<Option<Removed>, AdminError> {
        let Some(message) = self.reads.details(id).await? else {
            return Ok(None);
        };
        let notice = match bounce {
            Bounce::None => None,
            Bounce::Sent => {
                let now = self.clock.wall();
                removal_notice(&self.queue, &message, &self.mta(), now).await?
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
    pub async fn retry(
        &self,
        selection: Selection,
        by: &Operator,
    ) -> Result<Option<Retried>, AdminError> {
        let (queue_id, domain) = match &selection {
            Selection::All => (None, None),
            Selection::Destination(domain) => (None, Some(domain.clone())),
            Selection::Message(id) => (Some(*id), None),
        };
        let state = match queue_id {
            Some(id) => match self.reads.message(id).await? {
                Some(message) => Some(message.headline.state),
                None => return Ok(None),
            },
            None => None,
        };
        let retried = self.queue.retry(selection).await?;
        let count = u64::try_from(retried).unwrap_or(u64::MAX);
        let text = |id: &QueueId| id.to_string();
        let messages = Messages {
            queue_id: queue_id.as_ref().map(text),
            domain: domain.as_ref().map(ToString::to_string),
            count,
        };
        self.record(by, Act::Retry { messages }).await;
        let (queue_id, domain) = (queue_id.map(display), domain.map(display));
        tracing::info!(queue_id, domain, retried, %by, "retry requested");
        Ok(Some(Retried { retried: count, state }))
    }

    /// Fetches the policy of one domain anew.
    pub async fn refresh(
        &self,
        domain: PolicyDomain,
        by: &Operator,
    ) -> Result<Refreshed, AdminError> {
        let error = look_anew(&self.in_use, &domain, now_of(&*self.clock)).await?;
        let act = Act::PolicyRefresh { domain: domain.as_str().to_owned(), error: error.clone() };
        self.record(by, act).await;
        tracing::info!(%domain, error, %by, "policy refresh requested");
        Ok(Refreshed { policy: self.reads.policy(domain).await?, error })
    }

    /// Forgets what is kept of one domain, readable or not; `None` where nothing is.
    pub async fn purge(
        &self,
        domain: PolicyDomain,
        by: &Operator,
    ) -> Result<Option<Purged>, AdminError> {
        if matches!(self.reads.policies.find(&domain).await, Ok(None)) {
            return Ok(None);
        }
        self.reads.policies.remove(&domain).await?;
        self.record(by, Act::PolicyPurge { domain: domain.as_str().to_owned() }).await;
        tracing::warn!(%domain, %by, "policy purged");
        Ok(Some(Purged { domain: domain.as_str().to_owned() }))
    }

    /// Grants an exception, or says why not.
    pub(crate) async fn grant(
        &self,
        exception: Exception,
        by: &Operator,
    ) -> Result<Result<ListedException, Refusal>, AdminError> {
        let granted = self.grants.add(exception).await?;
        if let Ok(listed) = &granted {
            let act = Act::ExceptionAdd {
                domain: listed.domain.clone(),
                what: listed.scope_in_words(),
                until: listed.until.to_string(),
                reason: listed.reason.clone(),
            };
            self.record(by, act).await;
        }
        Ok(granted)
    }

    /// Withdraws the exceptions for a domain, of one scope or all; `None` where there is none, and a
    /// refusal where the settings have it.
    pub(crate) async fn withdraw(
        &self,
        domain: &PolicyDomain,
        scope: Option<&ExceptionScope>,
        by: &Operator,
    ) -> Result<Option<Result<Vec<ListedException>, Refusal>>, AdminError> {
        let withdrawn = self.grants.remove(domain, scope, by).await?;
        if let Some(Ok(_)) = &withdrawn {
            let domain = domain.as_str().to_owned();
            self.record(by, Act::ExceptionRemove { domain }).await;
        }
        Ok(withdrawn)
    }
}
