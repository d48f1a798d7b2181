//! What is there at the moment of a scrape: set by it, and by nobody else.

use std::time::{Duration, SystemTime};

use clock::Doubt;
use delivery::PaceStatus;
use dkim::{KeyState, SigningTable};
use mta_sts::Exceptions;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use queue::{Counted, Counts, ReasonClass, StateKind, Totals, Waiting};
use reporting::Reporting;

use super::series::{Gauges, level, unix_seconds};
use crate::api::state_word::state_word;
use crate::readiness::Readiness;

/// What is there at the moment of a scrape.
#[derive(Debug, Default)]
pub struct State {
    messages: Gauges<1>,
    oldest: Gauges<1>,
    recipients: Gauge,
    waiting: Gauges<1>,
    bytes: Gauge,
    attempts: Gauge,
    paced: Gauge,
    slowed: Gauge,
    none_left: Gauge,
    ready: Gauge,
    checks: Gauges<1>,
    staging: Gauge,
    exceptions: Gauges<1>,
    build: Gauges<1>,
    started: Gauge,
    clock_doubt: Gauge,
    dkim_keys: Gauges<1>,
    reports: Gauges<1>,
    oldest_report: Gauge,
    report_key: Gauge,
}

impl State {
    /// All unknown, in `registry`, for a relay that starts at `now`.
    pub(crate) fn registered(registry: &mut Registry, now: SystemTime) -> Self {
        let new = Self::default();
        registry.register("queue_messages", "Messages in the queue", new.messages.clone());
        registry.register_with_unit(
            "queue_oldest_age",
            "How long the oldest message has been in the queue, 0 without one",
            Unit::Seconds,
            new.oldest.clone(),
        );
        let recipients = "Recipients in the queue";
        registry.register("queue_recipients", recipients, new.recipients.clone());
        registry.register(
            "queue_waiting_recipients",
            "Recipients who wait for another attempt, by what the last one met",
            new.waiting.clone(),
        );
        let size = "What the messages in the queue take up in the spool";
        registry.register_with_unit("queue_size", size, Unit::Bytes, new.bytes.clone());
        registry.register("attempts_open", "Deliveries being tried now", new.attempts.clone());
        let paced = "Destinations whose mail waits for its turn under a limit";
        registry.register("paced_destinations", paced, new.paced.clone());
        let slowed = "Limits, and destinations under none, whose rate hosts have halved";
        registry.register("slowed_rates", slowed, new.slowed.clone());
        registry.register_with_unit(
            "none_left",
            "How long mail has been due and none has left, 0 while some does or none is due",
            Unit::Seconds,
            new.none_left.clone(),
        );
        registry.register("ready", "Whether /readyz reports ready", new.ready.clone());
        registry.register("ready_check", "Each check of /readyz", new.checks.clone());
        let staging = "Whether [staging] keeps mail from those it is for";
        registry.register("staging", staging, new.staging.clone());
        registry.register(
            "exceptions",
            "Exceptions, of the settings and granted",
            new.exceptions.clone(),
        );
        registry.register("build_info", "The version that runs; always 1", new.build.clone());
        let started = "When the relay was started, since 1970";
        registry.register_with_unit("start_time", started, Unit::Seconds, new.started.clone());
        let doubt = "How far the wall clock is ahead of the time that has passed, or below 0 behind it, \
                     while it is in doubt; 0 while it is not";
        registry.register_with_unit("clock_doubt", doubt, Unit::Seconds, new.clock_doubt.clone());
        let keys = "DKIM keys in the settings, by what the DNS says of their records";
        registry.register("dkim_keys", keys, new.dkim_keys.clone());
        let reports = "Domains counted today, with TLS reports that are not made yet, or with a \
                       destination that is to be tried";
        registry.register("tls_report_domains", reports, new.reports.clone());
        registry.register_with_unit(
            "tls_report_oldest_due",
            "How long the oldest TLS report that is not made has been due, 0 without one",
            Unit::Seconds,
            new.oldest_report.clone(),
        );
        let key = "Whether a DKIM key of the domain of tls_rpt.contact signs TLS reports";
        registry.register("tls_report_key_ok", key, new.report_key.clone());
        new.build.get_or_create(&[("version", env!("CARGO_PKG_VERSION"))]).set(1);
        new.started.set(unix_seconds(now));
        new
    }

    /// How much is in the queue. What cannot be told is left out, rather than told as it was.
    pub fn set_queue(&self, totals: Totals, attempts: usize, counts: Option<Counts>) {
        self.recipients.set(level(totals.recipients));
        self.bytes.set(level(totals.bytes));
        self.attempts.set(i64::try_from(attempts).unwrap_or(i64::MAX));
        let Some(Counts { held_by_staging, on_hold, quarantined, queued }) = counts else {
            self.messages.clear();
            self.oldest.clear();
            return;
        };
        for (state, Counted { messages, oldest }) in [
            (StateKind::HeldByStaging, held_by_staging),
            (StateKind::OnHold, on_hold),
            (StateKind::Quarantined, quarantined),
            (StateKind::Queued, queued),
        ] {
            let labels = [("state", state_word(state))];
            self.messages.get_or_create(&labels).set(level(messages));
            self.oldest.get_or_create(&labels).set(level(oldest.as_secs()));
        }
    }

    /// What recipients wait for.
    pub fn set_waiting(&self, waiting: &Waiting) {
        for class in [
            ReasonClass::Connect,
            ReasonClass::Dane,
            ReasonClass::Dns,
            ReasonClass::Policy,
            ReasonClass::Reply,
            ReasonClass::Tls,
        ] {
            let labels = [("reason", class.word())];
            self.waiting.get_or_create(&labels).set(level(waiting.of(class)));
        }
        let unknown = waiting.of(ReasonClass::Unknown);
        let others = waiting.of(ReasonClass::Other).saturating_add(unknown);
        self.waiting.get_or_create(&[("reason", ReasonClass::Other.word())]).set(level(others));
    }

    /// Whether the relay can do its work.
    pub fn set_readiness(&self, readiness: &Readiness) {
        self.ready.set(readiness.ready.into());
        self.staging.set(readiness.staging.is_some().into());
        for check in &readiness.checks {
            self.checks.get_or_create(&[("check", check.name.word())]).set(check.ok.into());
        }
    }

    /// How long mail has been due and none has left.
    pub fn set_none_left(&self, since: Option<Duration>) {
        self.none_left.set(level(since.unwrap_or_default().as_secs()));
    }

    /// How many destinations wait for limits, and how many rates hosts have halved.
    pub fn set_paces(&self, paces: &[PaceStatus]) {
        let waiting = paces.iter().map(|pace| pace.waiting).sum::<usize>();
        let slowed = paces.iter().filter(|pace| pace.slowed.is_some()).count();
        self.paced.set(i64::try_from(waiting).unwrap_or(i64::MAX));
        self.slowed.set(i64::try_from(slowed).unwrap_or(i64::MAX));
    }

    /// Whether the wall clock is in doubt.
    pub fn set_clock(&self, doubt: Option<Doubt>) {
        self.clock_doubt.set(match doubt {
            None => 0,
            Some(Doubt::Ahead(by)) => level(by.as_secs()),
            Some(Doubt::Behind(by)) => level(by.as_secs()).saturating_neg(),
        });
    }

    /// What the DNS says of the keys that sign mail.
    pub fn set_dkim_keys(&self, table: &SigningTable) {
        let states: Vec<_> = table.keys().map(|key| key.state().word()).collect();
        for state in KeyState::ALL.map(KeyState::word) {
            let number = states.iter().filter(|found| **found == state).count();
            let number = i64::try_from(number).unwrap_or(i64::MAX);
            self.dkim_keys.get_or_create(&[("state", state)]).set(number);
        }
    }

    /// For how many domains TLS reports are in each state; what counts them sets one of them.
    pub(crate) fn report_domains(&self) -> Gauges<1> {
        self.reports.clone()
    }

    /// How many TLS reports are due, and whether a key signs them.
    pub fn set_reports(&self, reporting: &Reporting, now: SystemTime) {
        self.report_key.set(reporting.can_sign().into());
        let counts = reporting.counts();
        for (state, number) in [("due", counts.due), ("retrying", counts.retrying)] {
            let number = i64::try_from(number).unwrap_or(i64::MAX);
            self.reports.get_or_create(&[("state", state)]).set(number);
        }
        let overdue = counts.oldest_due.and_then(|due| now.duration_since(due).ok());
        self.oldest_report.set(level(overdue.unwrap_or_default().as_secs()));
    }

    /// How many exceptions there are.
    pub fn set_exceptions(&self, exceptions: &Exceptions, now: SystemTime) {
        let all = exceptions.iter().count();
        let active = exceptions.iter().filter(|one| now < one.until()).count();
        for (state, number) in [("active", active), ("ended", all.saturating_sub(active))] {
            let number = i64::try_from(number).unwrap_or(i64::MAX);
            self.exceptions.get_or_create(&[("state", state)]).set(number);
        }
    }
}
