//! Exceptions that operators grant while the relay runs: kept beside the mail, as durably, and in force
//! with the next decision.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clock::Clock;
use mail::in_full;
use mta_sts::{
    Exception, ExceptionEnding, ExceptionOrigin, ExceptionScope, Exceptions, Policies, PolicyDomain,
};
use queue::{Namespace, Queue, ReadValues, StoreError};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use tokio::time::{sleep, timeout};
use tracing::{debug, error, info, warn};

use crate::api::exceptions::{ListedException, ScopeQuery};
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

/// So many of them are for one domain at most.
const MOST_OF_DOMAIN: usize = 16;

/// How long it takes until an exception that could not be removed is tried again.
const AGAIN_AFTER: Duration = Duration::from_secs(60);

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

/// A granted exception as it is kept; its domain is in the key.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Grant {
    /// When it ends, in seconds since 1970.
    until: u64,
    reason: String,
    by: String,
    #[serde(flatten)]
    scope: ScopeQuery,
    #[serde(default)]
    keep: bool,
}

impl Grant {
    /// What is kept of an exception.
    fn of(exception: &Exception) -> Self {
        let until = exception.until().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let scope = match exception.scope() {
            ExceptionScope::Certificate(digest) => {
                ScopeQuery { certificate: Some(digest.to_string()), ..ScopeQuery::default() }
            }
            ExceptionScope::Host(host) => {
                ScopeQuery { host: Some(host.as_str().to_owned()), ..ScopeQuery::default() }
            }
            ExceptionScope::Domain(lifts) => {
                ScopeQuery { what: Some(lifts.words().join(",")), ..ScopeQuery::default() }
            }
        };
        let (by, keep) = match exception.origin() {
            ExceptionOrigin::Granted { by, ending } => {
                (by.clone(), *ending == ExceptionEnding::AtItsTime)
            }
            ExceptionOrigin::Settings => (String::new(), false),
        };
        Self { until, reason: exception.reason().to_owned(), by, scope, keep }
    }

    /// Whether it ends before its time.
    const fn ending(&self) -> ExceptionEnding {
        if self.keep { ExceptionEnding::AtItsTime } else { ExceptionEnding::OncePassed }
    }

    /// The exception; it was found to be one when it was granted, so it is as long as it may be.
    fn exception(&self, domain: PolicyDomain) -> Option<Exception> {
        let until = UNIX_EPOCH.checked_add(Duration::from_secs(self.until))?;
        let exception = Exception::new(domain, until, &self.reason, until).ok()?;
        let scope = self.scope.read().ok().flatten()?;
        Some(exception.of(scope).granted(&self.by, self.ending()))
    }
}

/// The exceptions that are granted, and those of the settings beside them.
#[derive(Debug)]
pub struct Grants {
    values: Namespace,
    policies: Arc<Policies>,
    rule: RwLock<GrantRule>,
    /// Those that are kept, whether they count or not.
    kept: RwLock<Exceptions>,
    /// One change at a time.
    turn: Mutex<()>,
    clock: Arc<dyn Clock>,
}

impl Grants {
    /// Those that are kept beside the mail of `queue`, and count for `policies`, once they are
    /// [loaded](Self::load).
    pub fn of(queue: &Queue, policies: Arc<Policies>, clock: Arc<dyn Clock>) -> Self {
        let values = queue.values(NAMESPACE);
        let (rule, kept, turn) = (RwLock::default(), RwLock::default(), Mutex::default());
        Self { values, policies, rule, kept, turn, clock }
    }

    /// Goes by another rule from now on: where exceptions are made in the settings alone, none of those
    /// that were granted counts.
    pub fn reload(&self, rule: GrantRule) {
        *self.rule.write().unwrap_or_else(PoisonError::into_inner) = rule;
        self.enforce();
    }

    /// Has those that are kept count, where the rule lets them.
    fn enforce(&self) {
        let rule = *self.rule.read().unwrap_or_else(PoisonError::into_inner);
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner).clone();
        self.policies.grant(match rule {
            GrantRule::All => kept,
            GrantRule::Settings => Exceptions::default(),
        });
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

    /// Removes those that are needed no longer, as soon as that is so; never ends.
    pub async fn keep_ending(&self) {
        loop {
            let ended = self.policies.next_passed().await;
            let (domain, what, reason) = (ended.domain(), ended.scope(), ended.reason());
            info!(%domain, %what, reason, "exception ended");
            while let Err(error) = self.end(&ended).await {
                error!(error = in_full(&error), "ended exception not removed: tried again");
                sleep(AGAIN_AFTER).await;
            }
        }
    }

    /// Removes one that has ended, unless it was made anew meanwhile.
    async fn end(&self, ended: &Exception) -> Result<(), StoreError> {
        let _turn = self.turn.lock().await;
        let kept = kept(&self.values).await?;
        if kept.iter().any(|one| one == ended) {
            self.values.remove(&ended.id()).await?;
        }
        self.take_over().await
    }

    /// Grants an exception, which counts when this returns and is durable by then; or says why not.
    ///
    /// # Errors
    ///
    /// [`AdminError`]: it could not be kept, and does not count.
    pub(crate) async fn add(
        &self,
        exception: Exception,
    ) -> Result<Result<ListedException, Refusal>, AdminError> {
        let _turn = self.turn.lock().await;
        self.forget_ended().await?;
        if let Some(refusal) = self.refusal(&exception, &kept(&self.values).await?) {
            return Ok(Err(refusal));
        }
        let grant = Grant::of(&exception);
        let bytes = serde_json::to_vec(&grant).map_err(AdminError::Encoding)?;
        self.values.put(&exception.id(), bytes).await?;
        self.take_over().await?;
        let (domain, what) = (exception.domain(), exception.scope());
        let (until, reason) = (clock::Timestamp::of(exception.until()), exception.reason());
        info!(%domain, %what, %until, reason, by = grant.by, "exception added");
        Ok(Ok(ListedException::of(&exception, Some(0))))
    }

    /// Withdraws the exceptions for a domain, of one scope or all; none where none is granted, and a
    /// refusal where the settings have it.
    ///
    /// # Errors
    ///
    /// [`AdminError`]: some still count.
    pub(crate) async fn remove(
        &self,
        domain: &PolicyDomain,
        scope: Option<&ExceptionScope>,
        by: &Operator,
    ) -> Result<Option<Result<Vec<ListedException>, Refusal>>, AdminError> {
        let _turn = self.turn.lock().await;
        let is_meant = |one: &Exception| {
            one.domain() == domain && scope.is_none_or(|scope| scope == one.scope())
        };
        let all = kept(&self.values).await?;
        let withdrawn: Vec<_> = all.into_iter().filter(|one| is_meant(one)).collect();
        if withdrawn.is_empty() {
            return Ok(self.of_settings(domain).map(Err));
        }
        let uses: Vec<_> = withdrawn.iter().map(|one| self.uses(one)).collect();
        for exception in &withdrawn {
            self.values.remove(&exception.id()).await?;
        }
        self.take_over().await?;
        for exception in &withdrawn {
            let what = exception.scope();
            let (until, reason) = (clock::Timestamp::of(exception.until()), exception.reason());
            info!(%domain, %what, %until, reason, %by, "exception removed");
        }
        let listed = withdrawn.iter().zip(uses).map(|(one, uses)| ListedException::of(one, uses));
        Ok(Some(Ok(listed.collect())))
    }

    /// How often an exception was used since the relay began.
    fn uses(&self, exception: &Exception) -> Option<u64> {
        Some(self.policies.exception_use(&Arc::new(exception.clone())).uses)
    }

    /// All that count: those of the settings, and those that are granted.
    pub(crate) async fn list(&self) -> Result<Vec<ListedException>, AdminError> {
        let now = self.clock.wall();
        let settings = self.policies.exceptions_in_settings();
        let rule = *self.rule.read().unwrap_or_else(PoisonError::into_inner);
        let granted = match rule {
            GrantRule::All => kept(&self.values).await?.into_iter().collect(),
            GrantRule::Settings => Exceptions::default(),
        };
        let lasting = settings.iter().chain(granted.iter()).filter(|one| now < one.until());
        Ok(lasting.map(|one| ListedException::of(one, self.uses(one))).collect())
    }

    /// Removes what has ended, for it takes up room.
    async fn forget_ended(&self) -> Result<(), StoreError> {
        let now = self.clock.wall();
        for (key, exception) in decoded(self.values.scan(None, MOST).await?) {
            if exception.is_none_or(|exception| exception.until() <= now) {
                self.values.remove(&key).await?;
            }
        }
        Ok(())
    }

    /// Why this exception cannot be granted beside those that are kept.
    fn refusal(&self, exception: &Exception, kept: &[Exception]) -> Option<Refusal> {
        let domain = exception.domain();
        match *self.rule.read().unwrap_or_else(PoisonError::into_inner) {
            GrantRule::All => {}
            GrantRule::Settings => {
                let text = "admin.exceptions is \"settings\": exceptions are made there alone";
                return Some(said(text.to_owned()));
            }
        }
        if let Some(refusal) = self.of_settings(domain) {
            return Some(refusal);
        }
        let is_new = kept.iter().all(|other| other.id() != exception.id());
        let of_domain = kept.iter().filter(|other| other.domain() == domain).count();
        if is_new && kept.len() >= MOST {
            return Some(said(format!("{MOST} exceptions are granted, and no more may be")));
        }
        if is_new && of_domain >= MOST_OF_DOMAIN {
            let text = format!(
                "{MOST_OF_DOMAIN} exceptions are granted for {domain}, and no more may be: \
                 remove some, or set its policy aside (--what mta-sts)"
            );
            return Some(said(text));
        }
        let is_long = exception.reason().len() > REASON_MOST;
        is_long.then(|| said(format!("a reason has at most {REASON_MOST} octets")))
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
        let exceptions = kept(&self.values).await?.into_iter().collect();
        *self.kept.write().unwrap_or_else(PoisonError::into_inner) = exceptions;
        self.enforce();
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
    let rows = decoded(values.scan(NAMESPACE, None, MOST).await?);
    let lasting = rows.into_iter().filter_map(|(_, one)| one).filter(|one| now < one.until());
    Ok(lasting.map(|one| ListedException::of(&one, None)).collect())
}

async fn kept(values: &Namespace) -> Result<Vec<Exception>, StoreError> {
    let rows = decoded(values.scan(None, MOST).await?);
    Ok(rows.into_iter().filter_map(|(_, exception)| exception).collect())
}

/// What can be read of these, by their keys; the rest does not count.
fn decoded(rows: Vec<(String, Vec<u8>)>) -> Vec<(String, Option<Exception>)> {
    let one = |(key, bytes): (String, Vec<u8>)| {
        let domain = key.split(' ').next().unwrap_or_default();
        let grant: Option<Grant> = serde_json::from_slice(&bytes).ok();
        let read = PolicyDomain::parse(domain).ok().zip(grant);
        let exception = read.and_then(|(domain, grant)| grant.exception(domain));
        if exception.is_none() {
            warn!(domain = key, "granted exception unreadable");
        }
        (key, exception)
    };
    rows.into_iter().map(one).collect()
}
