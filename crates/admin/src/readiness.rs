//! Whether the relay can do its work, check by check: `GET /readyz`.

use std::fmt::Display;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use clock::{Clock, Doubt};
use delivery::{Delivery, PaceStatus};
use dkim::SigningTable;
use dns::{Dns, LookupError, Validation};
use pkix::Roots;
use queue::{Health, Queue, ReasonClass};
use serde::Serialize;
use smtp::Domain;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::api::check_name::CheckName;

/// How long mail may be due and none leave before that is no accident.
const NONE_LEFT_FOR: Duration = Duration::from_secs(15 * 60);

/// How long the resolver may take for the question of this check.
const RESOLVER_PATIENCE: Duration = Duration::from_secs(2);

/// How long an answer may be given again, so that whoever may ask cannot make us ask others.
const FRESH: Duration = Duration::from_secs(1);

/// A name that exists (RFC 2606 §3), for a relay whose own name is in no working zone.
const ANY_NAME: &str = "example.com";

/// A clock that shows an earlier time was never set: 1 January 2026, before this version was made.
const EARLIEST: Duration = Duration::from_secs(1_767_225_600);

/// A clock that shows a later time is wrong: 1 January 2100.
const LATEST: Duration = Duration::from_secs(4_102_444_800);

/// What is looked at.
#[derive(Debug)]
pub struct Checks {
    queue: Queue,
    dns: Arc<dyn Dns>,
    clock: Arc<dyn Clock>,
    delivery: Delivery,
    /// Cancelled when the relay stops.
    stop: CancellationToken,
    bearings: RwLock<Bearings>,
    /// What was seen last, and when.
    last: Mutex<Option<(Instant, Readiness)>>,
}

/// What of the settings is looked at.
#[derive(Clone, Debug)]
pub struct Bearings {
    /// The relay's own name, which the resolver is asked for.
    hostname: Domain,
    roots: Roots,
    /// The keys that sign mail.
    signing: Arc<SigningTable>,
    validators: Validators,
    /// What staging does, where it is on.
    staging: Option<String>,
}

/// Whether mail waits unless a resolver validates DNSSEC.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Validators {
    /// It does (`dane.mode` is `required`).
    Needed,
    /// It goes as without DANE then.
    #[default]
    NotNeeded,
}

impl Bearings {
    /// The relay is called `hostname`, trusts `roots`, and signs with the keys of `signing`.
    pub const fn new(hostname: Domain, roots: Roots, signing: Arc<SigningTable>) -> Self {
        Self { hostname, roots, signing, validators: Validators::NotNeeded, staging: None }
    }

    /// The same, with what staging does, where it is on.
    #[must_use]
    pub fn with_staging(self, staging: Option<String>) -> Self {
        Self { staging, ..self }
    }

    /// The same, with resolvers that validate or without.
    #[must_use]
    pub fn with_validators(self, validators: Validators) -> Self {
        Self { validators, ..self }
    }
}

/// The answer of `/readyz`.
#[derive(Clone, Debug, Serialize)]
pub struct Readiness {
    /// Whether all checks went well.
    pub ready: bool,
    /// The checks.
    pub checks: Vec<Check>,
    /// What staging does, where it is on: mail does not reach those it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub staging: Option<String>,
}

/// One check.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// What was looked at.
    pub name: CheckName,
    /// Whether it is as it should be.
    pub ok: bool,
    /// How it is, in words.
    pub detail: String,
}

impl Check {
    fn new(name: CheckName, seen: Result<impl Display, impl Display>) -> Self {
        match seen {
            Ok(detail) => Self { name, ok: true, detail: detail.to_string() },
            Err(detail) => Self { name, ok: false, detail: detail.to_string() },
        }
    }
}

impl Checks {
    /// What is looked at in a relay of these parts, which is stopped by `stop`. `dns` is asked
    /// past all counting.
    pub fn of(
        queue: &Queue,
        dns: Arc<dyn Dns>,
        clock: &Arc<dyn Clock>,
        delivery: &Delivery,
        stop: &CancellationToken,
        bearings: Bearings,
    ) -> Self {
        let (bearings, last) = (RwLock::new(bearings), Mutex::default());
        let clock = Arc::clone(clock);
        let (queue, delivery, stop) = (queue.clone(), delivery.clone(), stop.clone());
        Self { queue, dns, clock, delivery, stop, bearings, last }
    }

    /// Goes by other settings from now on.
    pub fn reload(&self, bearings: Bearings) {
        *self.bearings.write().unwrap_or_else(PoisonError::into_inner) = bearings;
    }

    fn bearings(&self) -> Bearings {
        self.bearings.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The keys that sign mail.
    pub(crate) fn signing(&self) -> Arc<SigningTable> {
        self.bearings().signing
    }

    /// Looks at everything; within a second the same answer is given again.
    pub async fn look(&self) -> Readiness {
        let mut last = self.last.lock().await;
        if let Some((at, readiness)) = &*last
            && at.elapsed() < FRESH
            && !self.stop.is_cancelled()
        {
            return readiness.clone();
        }
        let checks = vec![
            Check::new(CheckName::Clock, clock_seen(self.clock.wall(), self.clock.doubt())),
            Check::new(CheckName::Delivery, self.delivery_seen()),
            Check::new(CheckName::Queue, queue_seen(self.queue.health())),
            Check::new(CheckName::Resolver, self.resolver_seen().await),
            Check::new(CheckName::Running, self.running_seen()),
            Check::new(CheckName::Trust, self.trust_seen()),
        ];
        let staging = self.bearings().staging;
        let readiness = Readiness { ready: checks.iter().all(|check| check.ok), checks, staging };
        *last = Some((Instant::now(), readiness.clone()));
        readiness
    }

    /// Whether the queue can do its work.
    pub fn health(&self) -> Health {
        self.queue.health()
    }

    /// For how long mail has been due and none has left; none where that is not so.
    pub fn none_left_for(&self) -> Option<Duration> {
        self.delivery.departures().none_for(self.clock.now())
    }

    /// How limits stand, and what hosts have slowed.
    pub(crate) fn paces(&self) -> Vec<PaceStatus> {
        self.delivery.paces()
    }

    /// Whether mail leaves.
    pub fn delivery_seen(&self) -> Result<&'static str, String> {
        delivery_seen(self.none_left_for(), |class| self.queue.waiting().of(class))
    }

    fn running_seen(&self) -> Result<&'static str, &'static str> {
        if self.stop.is_cancelled() { Err("stopping") } else { Ok("running") }
    }

    fn trust_seen(&self) -> Result<String, &'static str> {
        match self.bearings().roots.len() {
            0 => Err("no certificate authority is trusted"),
            1 => Ok("1 trusted certificate authority".to_owned()),
            roots => Ok(format!("{roots} trusted certificate authorities")),
        }
    }

    /// Whether a resolver answers: that a name does not exist is an answer, too. One name is
    /// enough, for that of a relay may be in a zone that is broken itself.
    async fn resolver_seen(&self) -> Result<&'static str, String> {
        let Bearings { hostname, validators, .. } = self.bearings();
        if let Err(first) = self.asked(hostname.as_str()).await
            && self.asked(ANY_NAME).await.is_err()
        {
            return Err(first);
        }
        match (validators, self.dns.validation()) {
            (Validators::Needed, Validation::Inactive) => {
                Err("none validates DNSSEC, and dane.mode is \"required\"".to_owned())
            }
            (Validators::Needed, Validation::Active) | (Validators::NotNeeded, _) => Ok("answers"),
        }
    }

    async fn asked(&self, name: &str) -> Result<(), String> {
        match timeout(RESOLVER_PATIENCE, self.dns.txt_fresh(name)).await {
            Ok(Ok(_known)) => Ok(()),
            Ok(Err(error)) => Err(in_words(name, &error)),
            Err(_elapsed) => Err(in_words(name, &LookupError::TimedOut)),
        }
    }
}

/// Whether mail leaves, where it has been due for so long and none has left; `waiting` says how many
/// recipients wait for reasons of a class.
fn delivery_seen(
    none_left_for: Option<Duration>,
    waiting: impl Fn(ReasonClass) -> u64,
) -> Result<&'static str, String> {
    let Some(since) = none_left_for.filter(|since| *since >= NONE_LEFT_FOR) else {
        return Ok("mail leaves, or none is due");
    };
    let minutes = since.as_secs() / 60;
    let most = ReasonClass::ALL.into_iter().max_by_key(|class| waiting(*class));
    let likely = most.filter(|class| waiting(*class) > 0).map_or("", likely_cause);
    Err(format!("mail is due and none has left for {minutes} minutes{likely}"))
}

/// What is likely wrong here, and not with others, where most mail waits for this.
const fn likely_cause(class: ReasonClass) -> &'static str {
    match class {
        ReasonClass::Connect => {
            ": most waits for a connection; outbound port 25 may be blocked, as with many providers \
             until they are asked to open it"
        }
        ReasonClass::Dns => ": most waits for DNS lookups; see the check `resolver`",
        ReasonClass::Dane
        | ReasonClass::Other
        | ReasonClass::Policy
        | ReasonClass::Reply
        | ReasonClass::Tls
        | ReasonClass::Unknown => "",
    }
}

/// What a queue of this health does.
pub const fn queue_seen(health: Health) -> Result<&'static str, &'static str> {
    match health {
        Health::Ready => Ok("takes mail"),
        Health::LowOnSpace => Err("refuses mail: the disk is nearly full"),
        Health::Failed => Err("cannot be written, and is being reopened"),
        Health::Closed => Err("is closed"),
    }
}

fn in_words(name: &str, error: &LookupError) -> String {
    format!("asked for {name}: {error}")
}

/// Certificates and policies are judged by the clock, so a wrong one stops all verified mail.
/// One that is in doubt takes no policy away, and certificates fail by it.
fn clock_seen(now: SystemTime, doubt: Option<Doubt>) -> Result<&'static str, String> {
    let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    match doubt {
        _ if since > LATEST => Err("shows a time after the year 2100".to_owned()),
        _ if since < EARLIEST => Err("shows a time before this version was made".to_owned()),
        None => Ok("plausible"),
        Some(doubt) => Err(format!("in doubt: {doubt}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_never_set_is_not_plausible() {
        let time = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let at = |seconds| clock_seen(time(seconds), None);
        assert!(at(0).is_err());
        assert!(at(1_767_225_599).is_err());
        assert!(at(1_767_225_600).is_ok());
        assert!(at(4_200_000_000).is_err());
        assert!(clock_seen(SystemTime::UNIX_EPOCH - Duration::from_secs(1), None).is_err());
        let doubt = Some(Doubt::Ahead(2 * Duration::from_secs(86_400)));
        let words = "in doubt: 2 days ahead of the time that has passed";
        assert_eq!(clock_seen(time(1_800_000_000), doubt), Err(words.to_owned()));
    }

    #[test]
    fn mail_that_has_not_left_for_a_quarter_of_an_hour_is_told_of() {
        let after = |seconds| delivery_seen(Some(Duration::from_secs(seconds)), |_| 0);
        assert!(delivery_seen(None, |_| 9).is_ok());
        assert!(after(899).is_ok());
        assert_eq!(after(1030).unwrap_err(), "mail is due and none has left for 17 minutes");
    }

    #[test]
    fn mail_that_waits_for_connections_alone_says_that_port_25_may_be_blocked() {
        let most = |most: ReasonClass| {
            let since = Some(Duration::from_secs(1200));
            delivery_seen(since, |class| if class == most { 3 } else { 1 }).unwrap_err()
        };
        assert!(most(ReasonClass::Connect).contains("20 minutes: most waits for a connection"));
        assert!(most(ReasonClass::Connect).contains("outbound port 25 may be blocked"));
        assert!(most(ReasonClass::Dns).contains("see the check `resolver`"));
        assert!(most(ReasonClass::Policy).ends_with("for 20 minutes"));
    }

    #[test]
    fn only_a_queue_that_takes_mail_is_ready() {
        assert!(queue_seen(Health::Ready).is_ok());
        for health in [Health::Closed, Health::Failed, Health::LowOnSpace] {
            assert!(queue_seen(health).is_err(), "{health:?}");
        }
    }
}
