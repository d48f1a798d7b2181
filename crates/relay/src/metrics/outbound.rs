//! What delivery sends, puts off and gives up, and how its sessions are protected.

use delivery::{Handover, Observer, Protection, Terms};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use queue::{Outcome, Reason};
use tls_rpt::{Observation, ObservedPolicy, PolicyType, ResultType, Verdict};

use super::{Counters, count};

/// Seconds from acceptance to delivery: from an idle relay's milliseconds to a message's lifetime.
const LATENCIES: [f64; 14] = [
    0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 60.0, 300.0, 1800.0, 3600.0, 14_400.0, 86_400.0,
    432_000.0,
];

/// What delivery sends, puts off and gives up.
#[derive(Debug)]
pub(crate) struct Outbound {
    sessions: Counters<1>,
    tls_results: Counters<3>,
    tls_failures: Counters<1>,
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
    pub(super) fn registered(registry: &mut Registry) -> Self {
        let new = Self {
            sessions: Counters::default(),
            tls_results: Counters::default(),
            tls_failures: Counters::default(),
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
        for protection in [Protection::Plaintext, Protection::Tls, Protection::Verified] {
            drop(self.sessions.get_or_create(&[("protection", protection.label())]));
        }
        let verified = [("protection", "verified"), ("policy", "enforce"), ("why", "")];
        drop(self.delivered.messages.get_or_create(&verified));
        drop(self.delivered.recipients.get_or_create(&verified));
        let proved = [("policy_type", "sts"), ("mode", "enforce"), ("result", "success")];
        drop(self.tls_results.get_or_create(&proved));
        for reason in ["alert", "certificate", "closed", "timeout"] {
            drop(self.tls_failures.get_or_create(&[("reason", reason)]));
        }
        let held = [("reason", HELD_BY_POLICY), ("policy", "enforce")];
        for tally in [&self.deferred, &self.bounced] {
            drop(tally.messages.get_or_create(&held));
            drop(tally.recipients.get_or_create(&held));
        }
    }
}

impl Observer for Outbound {
    fn observed(&self, observation: &Observation) {
        // A policy that could not be had is counted where it is fetched.
        if observation.receiving_mx.is_none() {
            return;
        }
        let ObservedPolicy { policy_type, text, .. } = &observation.policy;
        let result = match &observation.verdict {
            Verdict::Success => "success",
            Verdict::Failure { result_type, .. } => ResultType::as_str(*result_type),
        };
        let labels = [
            ("policy_type", PolicyType::as_str(*policy_type)),
            ("mode", text.as_ref().map_or("none", |text| text.mode())),
            ("result", result),
        ];
        self.tls_results.get_or_create(&labels).inc_by(observation.attempts.into());
    }

    fn tls_failed(&self, reason: &'static str) {
        self.tls_failures.get_or_create(&[("reason", reason)]).inc();
    }

    fn opened(&self, protection: Protection) {
        self.sessions.get_or_create(&[("protection", protection.label())]).inc();
    }

    fn finished(&self, handover: &Handover<'_>) {
        let Handover { recipients, outcome, terms, queued_for, .. } = *handover;
        let Terms { policy, why, .. } = terms;
        match outcome {
            Outcome::Delivered { .. } => {
                let protection = terms.protection().label();
                let labels = [("protection", protection), ("policy", policy), ("why", why)];
                self.delivered.count(labels, recipients);
                self.latency.observe(queued_for.as_secs_f64());
            }
            Outcome::Deferred(reason) => {
                let labels = [("reason", label(terms, reason)), ("policy", policy)];
                self.deferred.count(labels, recipients);
            }
            Outcome::Bounced(reason) => {
                let labels = [("reason", label(terms, reason)), ("policy", policy)];
                self.bounced.count(labels, recipients);
            }
        }
    }
}

/// An enforced policy let no session come about.
const HELD_BY_POLICY: &str = "policy";

/// The kind of reason for which mail was not delivered.
///
/// A policy comes first, and then a host's own word, because they say who has to act.
fn label(terms: Terms, reason: &Reason) -> &'static str {
    if terms.policy == "undecided" && !terms.why.is_empty() {
        return "undecided";
    }
    if reason.policy.is_some() {
        return HELD_BY_POLICY;
    }
    // RFC 3463 §3, as delivery uses it.
    let status = (reason.enhanced.subject(), reason.enhanced.detail());
    if status == (4, 7) {
        return "expired";
    }
    if reason.reply.is_some() {
        return "refused";
    }
    match status {
        (1, 10) => "null-mx",
        (1, _) => "no-such-domain",
        (3, 0) => "own-system",
        (3, 4) => "too-large",
        (3, _) => "not-accepting",
        (4, 3) => "dns",
        (4, 4) => "no-host",
        (4, 6) => "loop",
        (4, _) => "unreachable",
        (5, _) => "protocol",
        (6, _) => "conversion",
        (7, _) => "tls",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use queue::ReasonClass;
    use smtp::EnhancedCode;

    use super::*;

    const OPEN: Terms = Terms { policy: "none", why: "no-policy", tls: "none" };

    fn because(status: &str) -> Reason {
        Reason::new(ReasonClass::Other, EnhancedCode::parse(status).unwrap(), "a test wants it")
    }

    #[test]
    fn a_policy_is_the_reason_before_the_reply_that_shows_it() {
        let reply = Some("454 no TLS today".to_owned());
        let refused = Reason { reply, ..because("4.7.10") };
        assert_eq!(label(OPEN, &refused), "refused");
        let held = Reason { policy: Some("sts id=1 mode=enforce".to_owned()), ..refused };
        assert_eq!(label(OPEN, &held), "policy");
        // It stays so when the message's time has run out.
        let given_up = Reason { enhanced: EnhancedCode::parse("5.7.10").unwrap(), ..held };
        assert_eq!(label(OPEN, &given_up), "policy");
    }

    #[test]
    fn each_status_of_our_own_has_a_reason() {
        for (status, expected) in [
            ("5.1.10", "null-mx"),
            ("5.1.2", "no-such-domain"),
            ("4.3.0", "own-system"),
            ("4.4.1", "unreachable"),
            ("4.4.3", "dns"),
            ("5.4.7", "expired"),
            ("4.7.0", "tls"),
        ] {
            assert_eq!(label(OPEN, &because(status)), expected, "{status}");
        }
        let undecided = Terms { policy: "undecided", why: "names-failed", tls: "none" };
        assert_eq!(label(undecided, &because("4.4.3")), "undecided");
    }
}
