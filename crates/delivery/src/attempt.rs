//! One attempt to deliver a lease.
//!
//! 1. [`attempt`] takes the recipients of the lease and finds the route: to the destination's own
//!    hosts, or to the next hops of a configured route.
//! 2. `ask` has the policy of a next hop decided, and its hosts looked up, within the time that the
//!    attempt has.
//! 3. [`fail_over`] asks the hosts in their order; each recipient comes back with what came of it.
//! 4. `follow` asks the next one of a route's next hops for those whom none has settled.
//! 5. `last` ends the life of a message whose time has run out, after another look at a policy that
//!    holds it back (RFC 8461 §5.1).
//! 6. What is left is a [`RecipientResult`] for each recipient, in the order of the lease; it is
//!    [`crate::settling`] that tells the queue, the log and the sender.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use mail::{
    AttemptRecord, DeliveryRecord, DeliveryResult, Failure, FailureCause, NextHopRecord,
    PolicyDecision, Reason, ReasonClass, RouteTaken, TlsRequired,
};
use mta_sts::danger::TlsRequiredNo;
use mta_sts::{Decision, NextHop, PolicyDomain, Purpose, Recheck, Undecided};
use queue::Lease;
use smtp::{Class, MailboxDomain};

use crate::attempt_pace::AttemptPace;
use crate::client::{Client, now_of};
use crate::failover::fail_over;
use crate::mx_hosts::hosts;
use crate::outcome::{expire, no_domain, no_hosts};
use crate::patience::{Overdue, Patience};
use crate::policy_facts::{of_decision, of_exception, of_txt, of_undecided};
use crate::recipient::{Elsewhere, HopResult, LeasedRecipient, RecipientResult};
use crate::route::{ConfiguredHop, Routes, SmartHost};
use crate::status::Status;
use crate::target::{Target, TlsRequirement, in_words};
use crate::tls_required_no::honoured;

/// How often a policy that changed in the last attempt of a message is followed anew.
const LAST_PASSES: usize = 2;

/// Tries to deliver `lease`; what becomes of its recipients, in their order.
pub(crate) async fn attempt(
    client: &Client,
    lease: &Lease,
    patience: &Arc<Patience>,
    pace: &AttemptPace,
) -> Vec<RecipientResult> {
    let everyone = LeasedRecipient::all(lease);
    let now = client.clock.now();
    let record = Arc::new(AttemptRecord {
        queue_id: lease.id(),
        destination: lease.destination().clone(),
        number: lease.attempts().saturating_add(1),
        received_at: lease.message().received_at,
        began_at: now,
    });
    let Some(routing) = Routing::find(&client.settings.routes, lease) else {
        let result = no_domain(lease.destination());
        let (route, decision) = (RouteTaken::Direct, PolicyDecision::NotLookedUp);
        let next_hop = Arc::new(nowhere(route, decision));
        let (session, ended_at) = (None, now);
        let record = DeliveryRecord { attempt: record, next_hop, session, result, ended_at };
        let one = |recipient| RecipientResult { recipient, record: record.clone() };
        return everyone.into_iter().map(one).collect();
    };
    let licence = honoured(lease.message(), &client.settings);
    if lease.message().tls == TlsRequired::No && licence.is_none() {
        tracing::info!(
            queue_id = %lease.id(), from = %lease.message().reverse_path,
            "TLS-Required: No not honoured"
        );
    }
    let attempt = Attempt { client, lease, patience, pace, routing, licence, now, record };
    let (results, decisions) = attempt.pass(everyone).await;
    let is_last = lease.expired(now) && !pace.is_turned_away();
    let mut results =
        if is_last { Box::pin(attempt.last(results, decisions)).await } else { results };
    results.sort_by_key(|result| result.recipient.number);
    results
}

/// By which route a message goes.
#[derive(Debug)]
enum Routing<'a> {
    /// To its destination's own hosts.
    Direct(NextHop),
    /// To the next hops of a route, one after the other.
    Routed(&'a [ConfiguredHop]),
}

impl<'a> Routing<'a> {
    /// The routing of a message; none where its destination cannot be a name.
    fn find(routes: &'a Routes, lease: &Lease) -> Option<Self> {
        let destination = lease.destination();
        if let Some(route) = routes.find(&lease.message().reverse_path, destination) {
            return Some(Self::Routed(&route.next_hops));
        }
        match destination {
            MailboxDomain::Domain(domain) => {
                let domain = PolicyDomain::parse(domain.as_str()).ok()?;
                Some(Self::Direct(NextHop::Domain(domain)))
            }
            MailboxDomain::Literal(address) => Some(Self::Direct(NextHop::Literal(*address))),
        }
    }
}

/// An attempt in progress.
struct Attempt<'a> {
    client: &'a Client,
    lease: &'a Lease,
    patience: &'a Arc<Patience>,
    pace: &'a AttemptPace,
    routing: Routing<'a>,
    /// To pass over what policies and TLSA records ask for.
    licence: Option<TlsRequiredNo>,
    now: SystemTime,
    record: Arc<AttemptRecord>,
}

/// What became of recipients with one next hop.
struct Asked {
    results: Vec<(RecipientResult, Elsewhere)>,
    decision: Option<Decision>,
}

impl Attempt<'_> {
    /// Asks one next hop after the other until the recipients are settled.
    async fn pass(
        &self,
        recipients: Vec<LeasedRecipient>,
    ) -> (Vec<RecipientResult>, Vec<Decision>) {
        match &self.routing {
            Routing::Direct(next_hop) => {
                let hosts = hosts(
                    self.client.dns.as_ref(),
                    (self.lease.destination(), &TlsRequirement::AsPolicy),
                    &self.client.settings,
                );
                let asked = self.ask((next_hop, RouteTaken::Direct), hosts, recipients).await;
                let results = asked.results.into_iter().map(|(result, _)| result).collect();
                (results, asked.decision.into_iter().collect())
            }
            Routing::Routed(next_hops) => Box::pin(self.follow(next_hops, recipients)).await,
        }
    }

    /// Asks the next hops of a route in their order.
    async fn follow(
        &self,
        next_hops: &[ConfiguredHop],
        recipients: Vec<LeasedRecipient>,
    ) -> (Vec<RecipientResult>, Vec<Decision>) {
        // The last result of each recipient, by its number.
        let mut last: BTreeMap<usize, RecipientResult> = BTreeMap::new();
        let (mut open, mut decisions) = (recipients, Vec::new());
        for hop in next_hops {
            if open.is_empty() || self.pace.is_turned_away() {
                break;
            }
            let (next_hop, route) = (hop.to.next_hop(), RouteTaken::Configured(hop.to.to_string()));
            let asked = self.ask((&next_hop, route), hosts_of(hop, self.client), open);
            let Asked { results, decision } = Box::pin(asked).await;
            decisions.extend(decision);
            open = Vec::new();
            for (RecipientResult { recipient, record }, elsewhere) in results {
                match elsewhere {
                    Elsewhere::MayHelp | Elsewhere::MayTake => open.push(recipient.clone()),
                    Elsewhere::Settled => {}
                }
                let before = last.remove(&recipient.number).map(|before| before.record);
                let record = with_next_hop(record, hop, elsewhere, before);
                last.insert(recipient.number, RecipientResult { recipient, record });
            }
        }
        (last.into_values().collect(), decisions)
    }

    /// Decides by the policy of one next hop, and tries its hosts.
    async fn ask(
        &self,
        (next_hop, route): (&NextHop, RouteTaken),
        hosts: impl Future<Output = Result<Vec<Target>, DeliveryResult>>,
        recipients: Vec<LeasedRecipient>,
    ) -> Asked {
        let decision = match self.patience.wait_for(self.decide(next_hop)).await {
            Ok(Ok(decision)) => decision,
            Ok(Err(error)) => {
                let decision = PolicyDecision::Undecided(of_undecided(&error));
                let hop = nowhere(route, decision);
                return self.undecided(hop, recipients, undecided_because(&error));
            }
            Err(overdue) => {
                let hop = nowhere(route, PolicyDecision::NotLookedUp);
                return self.undecided(hop, recipients, no_policy_yet(next_hop, overdue));
            }
        };
        let hosts = match self.patience.wait_for(hosts).await {
            Ok(hosts) => hosts,
            Err(overdue) => Err(no_hosts_yet(next_hop, overdue)),
        };
        let (results, tried) = match hosts {
            Ok(hosts) => {
                let with = (self.client, self.patience, self.pace);
                let message = (self.lease, self.licence.as_ref());
                Box::pin(fail_over(with, message, &decision, &hosts, recipients)).await
            }
            Err(result) => {
                let result = match &decision {
                    Decision::Require(required) => no_hosts(required, result),
                    Decision::Permit(_) => result,
                };
                let nowhere = |recipient| HopResult::nowhere(recipient, result.clone());
                (recipients.into_iter().map(nowhere).collect(), Vec::new())
            }
        };
        let txt = of_txt(&decision);
        let exception = of_exception(&decision).map(Arc::new);
        let hop = NextHopRecord { route, decision: of_decision(&decision), exception, txt, tried };
        Asked { results: self.records(hop, results), decision: Some(decision) }
    }

    /// What has come of a next hop whose policy is not known.
    fn undecided(
        &self,
        hop: NextHopRecord,
        recipients: Vec<LeasedRecipient>,
        failure: Failure,
    ) -> Asked {
        let result = DeliveryResult::Deferred(failure);
        let nowhere = |recipient| HopResult::nowhere(recipient, result.clone());
        let results = recipients.into_iter().map(nowhere).collect();
        Asked { results: self.records(hop, results), decision: None }
    }

    /// Records what has come of a next hop.
    fn records(
        &self,
        hop: NextHopRecord,
        results: Vec<HopResult>,
    ) -> Vec<(RecipientResult, Elsewhere)> {
        let (next_hop, ended_at) = (Arc::new(hop), self.client.clock.now());
        let record = |HopResult { recipient, result, session, elsewhere }| {
            let (attempt, next_hop) = (Arc::clone(&self.record), Arc::clone(&next_hop));
            let record = DeliveryRecord { attempt, next_hop, session, result, ended_at };
            (RecipientResult { recipient, record }, elsewhere)
        };
        results.into_iter().map(record).collect()
    }

    /// Has the policy of a next hop decided.
    async fn decide(&self, next_hop: &NextHop) -> Result<Decision, Undecided> {
        let queued_for = self.lease.queued_for(self.now);
        let purpose = match (self.lease.message().purpose, &self.licence) {
            (queue::Purpose::Mail, Some(licence)) => Purpose::TlsRequiredNo { queued_for, licence },
            (queue::Purpose::Mail, None) => Purpose::Delivery { queued_for },
            (queue::Purpose::TlsReport, _) => Purpose::TlsReport,
        };
        self.client.policies.decide(next_hop, purpose, now_of(&*self.client.clock)).await
    }

    /// Ends the life of a message: who is still deferred is given up.
    ///
    /// Mail that a policy holds back is given up only after the policy has been looked at once
    /// more; if it has changed, it is followed in another pass (RFC 8461 §5.1).
    async fn last(
        &self,
        mut results: Vec<RecipientResult>,
        mut decisions: Vec<Decision>,
    ) -> Vec<RecipientResult> {
        let waited = self.lease.queued_for(self.now);
        for _ in 0..LAST_PASSES {
            results = map_deferred(results, |failure| expire(failure, waited, None));
            if !results.iter().any(is_deferred) {
                break;
            }
            match self.recheck(&decisions).await {
                Some(Recheck::Confirmed(token)) => {
                    let expired = |failure| expire(failure, waited, Some(&token));
                    results = map_deferred(results, expired);
                    break;
                }
                Some(Recheck::Changed(_)) => {
                    let (held, ended): (Vec<_>, Vec<_>) =
                        results.into_iter().partition(is_deferred);
                    let held = held.into_iter().map(|result| result.recipient).collect();
                    let (again, anew) = self.pass(held).await;
                    results = ended.into_iter().chain(again).collect();
                    decisions = anew;
                }
                None => break,
            }
        }
        results
    }

    /// Looks once more at every policy that was enforced; the first one that has changed counts.
    async fn recheck(&self, decisions: &[Decision]) -> Option<Recheck> {
        let mut confirmed = None;
        for decision in decisions {
            let Decision::Require(required) = decision else { continue };
            match self.client.policies.recheck(required, now_of(&*self.client.clock)).await {
                Ok(changed @ Recheck::Changed(_)) => return Some(changed),
                Ok(same @ Recheck::Confirmed(_)) => confirmed = Some(same),
                Err(undecided) => {
                    tracing::warn!(
                        error = undecided.in_full(),
                        "policy recheck failed: mail deferred"
                    );
                    return None;
                }
            }
        }
        confirmed
    }
}

/// What is recorded of a next hop of which no host was tried.
const fn nowhere(route: RouteTaken, decision: PolicyDecision) -> NextHopRecord {
    NextHopRecord { route, decision, exception: None, txt: None, tried: Vec::new() }
}

/// The time of the attempt has ended in the lookup of the policy.
fn no_policy_yet(next_hop: &NextHop, overdue: Overdue) -> Failure {
    let text = format!("the policy of {} is not known yet: {}", in_words(next_hop), why(overdue));
    Status::NoDirectory.failure(ReasonClass::Dns, text)
}

/// What becomes of recipients whose hosts were not looked up when the time of the attempt ended.
fn no_hosts_yet(next_hop: &NextHop, overdue: Overdue) -> DeliveryResult {
    let text =
        format!("the mail hosts of {} are not known yet: {}", in_words(next_hop), why(overdue));
    DeliveryResult::Deferred(Status::NoDirectory.failure(ReasonClass::Dns, text))
}

/// Why an attempt has ended in a lookup, in words.
const fn why(overdue: Overdue) -> &'static str {
    match overdue {
        Overdue::Attempt | Overdue::Step => "the attempt timed out",
        Overdue::Displaced => "its connection was needed for other mail",
    }
}

/// It cannot be told whether a policy is in force.
fn undecided_because(undecided: &Undecided) -> Failure {
    let (class, status) = match undecided {
        Undecided::CacheUnreadable { .. } | Undecided::ClockDoubted { .. } => {
            (ReasonClass::Other, Status::OwnSystem)
        }
        Undecided::NamesFailed { .. } => (ReasonClass::Dns, Status::NoDirectory),
    };
    Failure { cause: FailureCause::Undecided, ..status.failure(class, undecided.in_full()) }
}

/// The hosts of a configured next hop.
async fn hosts_of(hop: &ConfiguredHop, client: &Client) -> Result<Vec<Target>, DeliveryResult> {
    match (hop.host(), &hop.to) {
        (Some(host), _) => Ok(vec![host]),
        (None, SmartHost::Domain(domain) | SmartHost::Host(_, domain, _)) => {
            let domain = MailboxDomain::parse(domain.as_str()).map_err(|_not_a_domain| {
                let text = format!("{} is no domain", hop.to);
                DeliveryResult::Deferred(Status::NoRoute.failure(ReasonClass::Other, text))
            })?;
            hosts(client.dns.as_ref(), (&domain, &hop.requirement), &client.settings).await
        }
        (None, SmartHost::Address(..)) => Ok(Vec::new()),
    }
}

/// What became of a recipient with a next hop of a route, after those that were asked before.
///
/// A smart host that cannot be found says nothing about the recipient, so nobody is bounced for
/// it; and the reason names the next hops, because the destination is another. A message is returned
/// once none of them can take such a message.
fn with_next_hop(
    one: DeliveryRecord,
    hop: &ConfiguredHop,
    elsewhere: Elsewhere,
    before: Option<DeliveryRecord>,
) -> DeliveryRecord {
    let (Failure { cause, reason }, is_unfit) = match (one.result, elsewhere) {
        (DeliveryResult::Bounced(failure), Elsewhere::MayTake) => (failure, true),
        (
            DeliveryResult::Bounced(failure) | DeliveryResult::Deferred(failure),
            Elsewhere::MayHelp,
        ) => (failure, false),
        (settled, _) => return DeliveryRecord { result: settled, ..one },
    };
    // What was bounced before and is asked again was unfit.
    let (before, was_unfit) = match before.map(|before| before.result) {
        Some(DeliveryResult::Bounced(failure)) => (Some(failure.reason), true),
        Some(DeliveryResult::Deferred(failure)) => (Some(failure.reason), false),
        Some(DeliveryResult::Delivered { .. }) | None => (None, true),
    };
    let here = format!("next hop {}: {}", hop.to, reason.text);
    let text = match &before {
        Some(before) => format!("{}; {here}", before.text),
        None => here,
    };
    let policy = reason.policy.or_else(|| before.and_then(|before| before.policy));
    let (cause, class) = match (&policy, cause) {
        (Some(_), FailureCause::Undecided) => (cause, ReasonClass::Policy),
        (Some(_), _) => (FailureCause::Policy, ReasonClass::Policy),
        (None, _) => (cause, reason.class),
    };
    let failure = Failure { cause, reason: Reason { class, text, policy, ..reason } };
    let result = if is_unfit && was_unfit {
        DeliveryResult::Bounced(failure)
    } else {
        DeliveryResult::Deferred(failure.with_class(Class::PersistentTransient))
    };
    DeliveryRecord { result, ..one }
}

/// Whether a recipient is to be tried again.
const fn is_deferred(result: &RecipientResult) -> bool {
    match result.record.result {
        DeliveryResult::Deferred(_) => true,
        DeliveryResult::Bounced(_) | DeliveryResult::Delivered { .. } => false,
    }
}

/// The same results, but for what `f` makes of those that are deferred.
fn map_deferred(
    results: Vec<RecipientResult>,
    f: impl Fn(Failure) -> DeliveryResult,
) -> Vec<RecipientResult> {
    let one = |one: RecipientResult| {
        one.map(|result| match result {
            DeliveryResult::Deferred(failure) => f(failure),
            other @ (DeliveryResult::Bounced(_) | DeliveryResult::Delivered { .. }) => other,
        })
    };
    results.into_iter().map(one).collect()
}
