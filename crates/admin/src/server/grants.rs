//! Exceptions that operators grant while the relay runs: kept beside the mail, as durably, and in force
//! with the next decision.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clock::Clock;
use mail::in_full;
use mta_sts::{Exception, Exceptions, Lifts, Policies, PolicyDomain};
use queue::{Namespace, Queue, ReadValues, StoreError};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use tokio::time::{sleep, timeout};
use tracing::{debug, error, info, warn};

use crate::api::exceptions::ListedException;
use crate::api::refusal::Refusal;
use crate::server::error::AdminError;
use crate::server::operator::Operator;

/// The namespace's name.
const NAMESPACE: &str = "exceptions";

/// So many are granted at most.
const MOST: usize = 1000;

/// How often it is looked after what other processes have granted and withdrawn.
const FOLLOW: Duration = Duration::from_secs(1);

/// How long what was read counts while it cannot be read again.
const FRESH: Duration = Duration::from_secs(5);

/// So long a reason is kept, in octets.
const REASON_MOST: usize = 500;

/// Who may make exceptions.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum GrantRule {
    /// Whoever reaches the admin socket, and the settings.
    #[default]
    All,
    /// The settings alone.
    Settings,
}

/// A granted exception as it is kept; its domain is the key.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Grant {
    /// When it ends, in seconds since 1970.
    until: u64,
    reason: String,
    what: String,
    by: String,
}

impl Grant {
    /// The exception; it was found to be one when it was granted, so it is as long as it may be.
    fn exception(&self, domain: PolicyDomain) -> Option<Exception> {
        let until = UNIX_EPOCH.checked_add(Duration::from_secs(self.until))?;
        let exception = Exception::new(domain, until, &self.reason, until).ok()?;
        Some(exception.lifting(Lifts::parse(&self.what)?))
    }
}

/// The exceptions that are granted, and those of the settings beside them.
#[derive(Debug)]
pub struct Grants {
    values: Namespace,
    policies: Arc<Policies>,
    rule: RwLock<GrantRule>,
    /// One change at a time.
    turn: Mutex<()>,
    clock: Arc<dyn Clock>,
}

impl Grants {
    /// Those that are kept beside the mail of `queue`, and count for `policies`, once they are
    /// [loaded](Self::load).
    pub fn of(queue: &Queue, policies: Arc<Policies>, clock: Arc<dyn Clock>) -> Self {
        let values = queue.values(NAMESPACE);
        Self { values, policies, rule: RwLock::default(), turn: Mutex::default(), clock }
    }

    /// Goes by another rule from now on.
    pub fn reload(&self, rule: GrantRule) {
        *self.rule.write().unwrap_or_else(PoisonError::into_inner) = rule;
    }

    /// Has what is kept count. Where it cannot be read none counts, and mail is held as the policies
    /// say.
    pub async fn load(&self) {
        let _turn = self.turn.lock().await;
        if let Err(error) = self.take_over().await {
            error!(error = in_full(&error), "exceptions unreadable: none granted counts");
        }
    }

    /// Has what other processes grant and withdraw count, within a second, until this is dropped. What has
    /// not been read for five seconds counts no longer, for it may have been withdrawn.
    pub async fn follow(&self) {
        let mut read_at = self.clock.since_boot();
        loop {
            sleep(FOLLOW).await;
            let _turn = self.turn.lock().await;
            match timeout(FRESH, self.take_over()).await {
                Ok(Ok(())) => read_at = self.clock.since_boot(),
                Ok(Err(error)) => debug!(error = in_full(&error), "exceptions not read"),
                Err(_elapsed) => debug!("exceptions not read in time"),
            }
            if self.clock.since_boot().saturating_sub(read_at) >= FRESH {
                self.policies.grant(Exceptions::default());
            }
        }
    }

    /// Grants an exception, which counts when this returns and is durable by then; or says why not.
    ///
    /// # Errors
    ///
    /// [`AdminError`]: it could not be kept, and does not count.
    pub(crate) async fn add(
        &self,
        exception: &Exception,
        by: &Operator,
    ) -> Result<Result<ListedException, Refusal>, AdminError> {
        let _turn = self.turn.lock().await;
        let domain = exception.domain();
        self.forget_ended().await?;
        let kept = kept(&self.values).await?;
        let is_new = kept.iter().all(|(other, _)| other != domain);
        if let Some(refusal) = self.refusal(domain) {
            return Ok(Err(refusal));
        }
        if is_new && kept.len() >= MOST {
            return Ok(Err(said(format!("{MOST} exceptions are granted, and no more may be"))));
        }
        if exception.reason().len() > REASON_MOST {
            return Ok(Err(said(format!("a reason has at most {REASON_MOST} octets"))));
        }
        let until = exception.until().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let (reason, by) = (exception.reason().to_owned(), by.to_string());
        let what = exception.lifts().words().join(",");
        let grant = Grant { until, reason, what, by };
        let bytes = serde_json::to_vec(&grant).map_err(AdminError::Encoding)?;
        self.values.put(domain.as_str(), bytes).await?;
        self.take_over().await?;
        let (until, reason, by) =
            (clock::Timestamp::of(exception.until()), exception.reason(), grant.by);
        info!(%domain, %until, reason, by, "exception added");
        Ok(Ok(ListedException::granted(exception, &by)))
    }

    /// Withdraws the exception for a domain; none where none is granted, and a refusal where the
    /// settings have it.
    ///
    /// # Errors
    ///
    /// [`AdminError`]: it still counts.
    pub(crate) async fn remove(
        &self,
        domain: &PolicyDomain,
        by: &Operator,
    ) -> Result<Option<Result<ListedException, Refusal>>, AdminError> {
        let _turn = self.turn.lock().await;
        let granted = kept(&self.values).await?.into_iter().find(|(other, _)| other == domain);
        let Some((_, grant)) = granted else { return Ok(self.of_settings(domain).map(Err)) };
        self.values.remove(domain.as_str()).await?;
        self.take_over().await?;
        let Some(exception) = grant.exception(domain.clone()) else { return Ok(None) };
        let (until, reason) = (clock::Timestamp::of(exception.until()), exception.reason());
        info!(%domain, %until, reason, %by, "exception removed");
        Ok(Some(Ok(ListedException::granted(&exception, &grant.by))))
    }

    /// All that last: those of the settings, and those that are granted.
    pub(crate) async fn list(&self) -> Result<Vec<ListedException>, AdminError> {
        let now = self.clock.wall();
        let settings = self.policies.exceptions_in_settings();
        let lasting = settings.iter().filter(|one| now < one.until());
        let mut all: Vec<_> = lasting.map(ListedException::of_settings).collect();
        all.extend(granted(&self.values, now).await?);
        Ok(all)
    }

    /// Removes what has ended, for it takes up room.
    async fn forget_ended(&self) -> Result<(), StoreError> {
        let now = self.clock.wall();
        for (domain, grant) in kept(&self.values).await? {
            if grant.exception(domain.clone()).is_none_or(|exception| exception.until() <= now) {
                self.values.remove(domain.as_str()).await?;
            }
        }
        Ok(())
    }

    /// Why there can be no granted exception for a domain.
    fn refusal(&self, domain: &PolicyDomain) -> Option<Refusal> {
        match *self.rule.read().unwrap_or_else(PoisonError::into_inner) {
            GrantRule::All => self.of_settings(domain),
            GrantRule::Settings => {
                let text = "admin.exceptions is \"settings\": exceptions are made there alone";
                Some(said(text.to_owned()))
            }
        }
    }

    /// That the settings have an exception for a domain, if they do.
    fn of_settings(&self, domain: &PolicyDomain) -> Option<Refusal> {
        let settings = self.policies.exceptions_in_settings();
        settings.find(domain, self.clock.wall()).map(|_exception| {
            said(format!("the settings have an exception for {domain}: change or remove it there"))
        })
    }

    /// Has what is kept count from now on.
    async fn take_over(&self) -> Result<(), StoreError> {
        let kept = kept(&self.values).await?;
        let exceptions = kept.into_iter().filter_map(|(domain, grant)| grant.exception(domain));
        self.policies.grant(exceptions.collect());
        Ok(())
    }
}

fn said(error: String) -> Refusal {
    Refusal { error }
}

/// The granted exceptions among these values that last at `now`.
///
/// # Errors
///
/// [`AdminError`]: they cannot be read.
pub(crate) async fn granted_in(
    values: &dyn ReadValues,
    now: SystemTime,
) -> Result<Vec<ListedException>, AdminError> {
    Ok(listed(decoded(values.scan(NAMESPACE, None, MOST).await?), now))
}

async fn granted(values: &Namespace, now: SystemTime) -> Result<Vec<ListedException>, StoreError> {
    Ok(listed(kept(values).await?, now))
}

fn listed(kept: Vec<(PolicyDomain, Grant)>, now: SystemTime) -> Vec<ListedException> {
    let one = |(domain, grant): (PolicyDomain, Grant)| {
        let exception = grant.exception(domain).filter(|one| now < one.until())?;
        Some(ListedException::granted(&exception, &grant.by))
    };
    kept.into_iter().filter_map(one).collect()
}

async fn kept(values: &Namespace) -> Result<Vec<(PolicyDomain, Grant)>, StoreError> {
    Ok(decoded(values.scan(None, MOST).await?))
}

/// What can be read of these; the rest does not count.
fn decoded(rows: Vec<(String, Vec<u8>)>) -> Vec<(PolicyDomain, Grant)> {
    let one = |(domain, bytes): (String, Vec<u8>)| {
        let grant = serde_json::from_slice(&bytes).ok();
        let read = PolicyDomain::parse(&domain).ok().zip(grant);
        if read.is_none() {
            warn!(domain, "granted exception unreadable");
        }
        read
    };
    rows.into_iter().filter_map(one).collect()
}
