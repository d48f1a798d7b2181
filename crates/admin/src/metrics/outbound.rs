//! What delivery sends, puts off and gives up, and how its sessions are protected.

use delivery::{DaneResult, Observer};
use mail::{DeliveryRecord, DeliveryResult, FailureCause, PolicyMode, Protection};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use tls_rpt::{Observation, PolicyType, ResultType};

use super::series::{Counters, count};

/// Seconds from acceptance to delivery: from an idle relay's milliseconds to a message's lifetime.
const LATENCIES: [f64; 14] = [
    0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 60.0, 300.0, 1800.0, 3600.0, 14_400.0, 86_400.0,
    432_000.0,
];

/// What delivery sends, puts off and gives up.
#[derive(Debug)]
pub struct Outbound {
    sessions: Counters<1>,
    tls_results: Counters<3>,
    tls_failures: Counters<1>,
    dane_hosts: Counters<1>,
    requiretls: Counters<1>,
    halvings: Counter,
    delivered: Tally<3>,
    deferred: Tally<2>,
    bounced: Tally<2>,
    latency: Histogram,
}

/// Messages, each with those of its recipients who share their fate, and the recipients.
#[derive(Debug, Default)]
struct Tally<const N: usize> {
    messages: Counters<N>,
    recipients: Counters<N>,
}

impl<const N: usize> Tally<N> {
    /// Counts one message for so many recipients.
    fn count(&self, labels: [(&'static str, &'static str); N], recipients: usize) {
        self.messages.get_or_create(&labels).inc();
        self.recipients.get_or_create(&labels).inc_by(count(recipients));
    }
}

impl Outbound {
    /// All at nought, in `registry`.
    pub(crate) fn registered(registry: &mut Registry) -> Self {
        let new = Self {
            sessions: Counters::default(),
            tls_results: Counters::default(),
            tls_failures: Counters::default(),
            dane_hosts: Counters::default(),
            requiretls: Counters::default(),
            halvings: Counter::default(),
            delivered: Tally::default(),
            deferred: Tally::default(),
            bounced: Tally::default(),
            latency: Histogram::new(LATENCIES),
        };
        let sessions = "Sessions with other hosts on which mail could go, by what protects them";
        registry.register("sessions", sessions, new.sessions.clone());
        let results = "Attempts at TLS with other hosts, by what a TLS report calls the result";
        registry.register("tls_results", results, new.tls_results.clone());
        let failures = "Attempts at TLS with other hosts that failed, by what failed";
        registry.register("tls_failures", failures, new.tls_failures.clone());
        let dane = "MX hosts by what DANE makes of them";
        registry.register("dane_hosts", dane, new.dane_hosts.clone());
        let requiretls = "Recipients of messages that ask for REQUIRETLS, by what attempts came to";
        registry.register("requiretls", requiretls, new.requiretls.clone());
        let halvings = "Times that a host's reply has halved a sending rate";
        registry.register("rate_halvings", halvings, new.halvings.clone());
        let (messages, recipients) = (&new.delivered.messages, &new.delivered.recipients);
        registry.register("delivered_messages", "Messages delivered", messages.clone());
        registry.register("delivered_recipients", "Their recipients", recipients.clone());
        let (messages, recipients) = (&new.deferred.messages, &new.deferred.recipients);
        registry.register(
            "deferred_messages",
            "Delivery attempts that were deferred",
            messages.clone(),
        );
        registry.register("deferred_recipients", "Their recipients", recipients.clone());
        let (messages, recipients) = (&new.bounced.messages, &new.bounced.recipients);
        registry.register("bounced_messages", "Messages bounced", messages.clone());
        registry.register("bounced_recipients", "Their recipients", recipients.clone());
        registry.register_with_unit(
            "delivery_latency",
            "From a message's acceptance to its delivery",
            Unit::Seconds,
            new.latency.clone(),
        );
        new.begin();
        new
    }

    /// What is watched is there from the start, so that a rate is seen from the first event on.
    fn begin(&self) {
        for protection in
            [Protection::Plaintext, Protection::Tls, Protection::Dane, Protection::Verified]
        {
            drop(self.sessions.get_or_create(&[("protection", protection.label())]));
        }
        let enforce = ("policy", PolicyMode::Enforce.word());
        let verified = [("protection", Protection::Verified.label()), enforce, ("why", "")];
        for result in ["bounced", "deferred", "delivered"] {
            drop(self.requiretls.get_or_create(&[("result", result)]));
        }
        for result in DaneResult::ALL {
            drop(self.dane_hosts.get_or_create(&[("result", result.label())]));
        }
        drop(self.delivered.messages.get_or_create(&verified));
        drop(self.delivered.recipients.get_or_create(&verified));
        let proved = [("policy_type", "sts"), ("mode", "enforce"), ("result", "success")];
        drop(self.tls_results.get_or_create(&proved));
        for reason in ["alert", "certificate", "closed", "timeout"] {
            drop(self.tls_failures.get_or_create(&[("reason", reason)]));
        }
        let held = [("reason", FailureCause::Policy.word()), enforce];
        for tally in [&self.deferred, &self.bounced] {
            drop(tally.messages.get_or_create(&held));
            drop(tally.recipients.get_or_create(&held));
        }
    }
}

impl Observer for Outbound {
    fn observed(&self, observation: &Observation) {
        let Observation { policy, failure, .. } = observation;
        let result_type = failure.as_ref().map(|failure| failure.result_type);
        let labels = [
            ("policy_type", PolicyType::as_str(policy.policy_type())),
            ("mode", policy.mode().unwrap_or("none")),
            ("result", result_type.map_or("success", ResultType::as_str)),
        ];
        self.tls_results.get_or_create(&labels).inc();
    }

    fn tls_failed(&self, reason: &'static str) {
        self.tls_failures.get_or_create(&[("reason", reason)]).inc();
    }

    fn dane_host(&self, result: DaneResult) {
        self.dane_hosts.get_or_create(&[("result", result.label())]).inc();
    }

    fn requiretls(&self, result: &DeliveryResult) {
        let result = match result {
            DeliveryResult::Bounced(_) => "bounced",
            DeliveryResult::Deferred(_) => "deferred",
            DeliveryResult::Delivered { .. } => "delivered",
        };
        self.requiretls.get_or_create(&[("result", result)]).inc();
    }

    fn slowed(&self) {
        self.halvings.inc();
    }

    fn opened(&self, protection: Protection) {
        self.sessions.get_or_create(&[("protection", protection.label())]).inc();
    }

    fn finished(&self, record: &DeliveryRecord, recipients: usize) {
        let decision = &record.next_hop.decision;
        let policy = ("policy", decision.policy_word());
        match &record.result {
            DeliveryResult::Delivered { .. } => {
                let protection = ("protection", record.protection().label());
                let labels = [protection, policy, ("why", record.why_word())];
                self.delivered.count(labels, recipients);
                self.latency.observe(record.queued_for().as_secs_f64());
            }
            DeliveryResult::Deferred(failure) => {
                self.deferred.count([("reason", failure.cause.word()), policy], recipients);
            }
            DeliveryResult::Bounced(failure) => {
                self.bounced.count([("reason", failure.cause.word()), policy], recipients);
            }
        }
    }
}
