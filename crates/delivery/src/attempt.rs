//! One attempt to deliver a lease: decide, route, try the hosts; and what comes at the end of a
//! message's life.

use std::sync::Arc;
use std::time::SystemTime;

use mta_sts::{Decision, NextHop, PolicyDomain, Purpose, Recheck, Undecided};
use queue::{Lease, Outcome, Reason, ReasonClass};
use smtp::{Class, MailboxDomain};

use crate::client::{Client, now_of};
use crate::hop::{Hop, Manner, in_words};
use crate::observation::of_fetch;
use crate::observer::Terms;
use crate::outcome::{expire, no_domain, no_hosts};
use crate::patience::{Overdue, Patience};
use crate::round::{Elsewhere, Ending, Round};
use crate::route::{ConfiguredHop, Routes, SmartHost};
use crate::routing::hosts;
use crate::status;
use crate::transaction::Reports;

/// How often a policy that changed in the last attempt of a message is followed anew.
const LAST_PASSES: usize = 2;

/// What became of one recipient.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Ended {
    /// What the queue is told.
    pub(crate) outcome: Outcome,
    /// What the way there was like.
    pub(crate) terms: Terms,
    /// Who answers for reports, where a host has taken the message.
    pub(crate) reports: Reports,
}

impl Ended {
    /// The end of a way that led to no host.
    const fn nowhere(outcome: Outcome, terms: Terms) -> Self {
        Self { outcome, terms, reports: Reports::Ours }
    }
}

/// Tries to deliver `lease`; what becomes of its recipients, in their order.
pub(crate) async fn attempt(
    client: &Client,
    lease: &Lease,
    patience: &Arc<Patience>,
) -> Vec<Ended> {
    let everyone: Vec<usize> = (0..lease.recipients().len()).collect();
    let now = client.clock.now();
    let Some(way) = Way::find(&client.settings.routes, lease) else {
        let outcome = no_domain(lease.destination());
        let terms = Terms { policy: "undecided", why: "", tls: "none" };
        return everyone.iter().map(|_| Ended::nowhere(outcome.clone(), terms)).collect();
    };
    let attempt = Attempt { client, lease, patience, way, now };
    let (ended, decisions) = attempt.pass(&everyone).await;
    if lease.expired(now) { attempt.last(ended, decisions).await } else { ended }
}

/// Which way a message goes.
#[derive(Debug)]
enum Way<'a> {
    /// To its destination's own hosts.
    Direct(NextHop),
    /// To the next hops of a route, one after the other.
    Routed(&'a [ConfiguredHop]),
}

impl<'a> Way<'a> {
    /// The way of a message; none where its destination cannot be a name.
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
    way: Way<'a>,
    now: SystemTime,
}

/// What became of recipients with one next hop.
struct Asked {
    ended: Vec<(Ended, Elsewhere)>,
    decision: Option<Decision>,
}

impl Attempt<'_> {
    /// Asks one next hop after the other until the recipients at `places` are settled.
    async fn pass(&self, places: &[usize]) -> (Vec<Ended>, Vec<Decision>) {
        match &self.way {
            Way::Direct(next_hop) => {
                let hosts = hosts(
                    self.client.dns.as_ref(),
                    (self.lease.destination(), &Manner::AsPolicy),
                    &self.client.settings,
                );
                let Asked { ended, decision } = self.ask(next_hop, hosts, places).await;
                (
                    ended.into_iter().map(|(ended, _)| ended).collect(),
                    decision.into_iter().collect(),
                )
            }
            Way::Routed(next_hops) => Box::pin(self.follow(next_hops, places)).await,
        }
    }

    /// Asks the next hops of a route in their order.
    async fn follow(
        &self,
        next_hops: &[ConfiguredHop],
        places: &[usize],
    ) -> (Vec<Ended>, Vec<Decision>) {
        let (mut ended, mut decisions): (Vec<Option<Ended>>, Vec<Decision>) =
            (vec![None; places.len()], Vec::new());
        let mut open: Vec<(usize, usize)> = places.iter().copied().enumerate().collect();
        for hop in next_hops {
            let asked: Vec<usize> = open.iter().map(|(_, place)| *place).collect();
            let hosts = hosts_of(hop, self.client);
            let asked = Box::pin(self.ask(&hop.to.next_hop(), hosts, &asked)).await;
            decisions.extend(asked.decision);
            let mut left = Vec::new();
            for ((slot, place), (one, elsewhere)) in open.into_iter().zip(asked.ended) {
                match elsewhere {
                    Elsewhere::MayHelp | Elsewhere::MayTake => left.push((slot, place)),
                    Elsewhere::Settled => {}
                }
                if let Some(known) = ended.get_mut(slot) {
                    *known = Some(with_next_hop(one, hop, elsewhere, known.take()));
                }
            }
            open = left;
            if open.is_empty() {
                break;
            }
        }
        (ended.into_iter().flatten().collect(), decisions)
    }

    /// Decides by the policy of one next hop, and tries its hosts.
    async fn ask(
        &self,
        next_hop: &NextHop,
        hosts: impl Future<Output = Result<Vec<Hop>, Outcome>>,
        places: &[usize],
    ) -> Asked {
        let decision = match self.patience.wait_for(self.decide(next_hop)).await {
            Err(overdue) => return self.overdue(places, next_hop, overdue),
            Ok(Ok(decision)) => decision,
            Ok(Err(undecided)) => {
                let ended = undecided_for(places, &undecided);
                let ended = ended.into_iter().map(|one| (one, Elsewhere::MayHelp)).collect();
                return Asked { ended, decision: None };
            }
        };
        let terms = terms(&decision);
        let hosts = match self.patience.wait_for(hosts).await {
            Ok(hosts) => hosts,
            Err(overdue) => Err(no_hosts_yet(next_hop, overdue)),
        };
        let endings = match hosts {
            Ok(hosts) => {
                let round = Round::new(self.client, self.lease, self.patience, places);
                Box::pin(round.run(&decision, &hosts)).await
            }
            Err(outcome) => {
                let outcome = match &decision {
                    Decision::Require(required) => no_hosts(required, outcome),
                    Decision::Permit(_) => outcome,
                };
                let (elsewhere, reports) = (Elsewhere::MayHelp, Reports::Ours);
                let ending =
                    |_| Ending { outcome: outcome.clone(), tls: "none", reports, elsewhere };
                places.iter().map(ending).collect()
            }
        };
        let ended = |Ending { outcome, tls, reports, elsewhere }| {
            (Ended { outcome, terms: Terms { tls, ..terms }, reports }, elsewhere)
        };
        Asked { ended: endings.into_iter().map(ended).collect(), decision: Some(decision) }
    }

    /// What is known when the time of the attempt has ended in the lookup of the policy.
    fn overdue(&self, places: &[usize], next_hop: &NextHop, overdue: Overdue) -> Asked {
        let text =
            format!("the policy of {} is not known yet: {}", in_words(next_hop), why(overdue));
        let outcome = Outcome::Deferred(Reason::new(ReasonClass::Dns, status::NO_DIRECTORY, text));
        let terms = Terms { policy: "undecided", why: "", tls: "none" };
        let ended = |_| (Ended::nowhere(outcome.clone(), terms), Elsewhere::MayHelp);
        Asked { ended: places.iter().map(ended).collect(), decision: None }
    }

    async fn decide(&self, next_hop: &NextHop) -> Result<Decision, Undecided> {
        let purpose = match self.lease.message().purpose {
            queue::Purpose::Mail => {
                Purpose::Delivery { queued_for: self.lease.queued_for(self.now) }
            }
            queue::Purpose::TlsReport => Purpose::TlsReport,
        };
        let decision =
            self.client.policies.decide(next_hop, purpose, now_of(&*self.client.clock)).await?;
        if let Some(domain) = next_hop.domain()
            && let Some(observation) = of_fetch(domain, decision.evidence())
        {
            self.client.observer.observed(&observation);
        }
        Ok(decision)
    }

    /// Ends the life of a message: who is still deferred is given up.
    ///
    /// Mail that a policy holds back is given up only after the policy has been looked at once
    /// more; if it has changed, it is followed in another pass (RFC 8461 §5.1).
    async fn last(&self, mut ended: Vec<Ended>, mut decisions: Vec<Decision>) -> Vec<Ended> {
        let waited = self.lease.queued_for(self.now);
        for _ in 0..LAST_PASSES {
            ended = map_deferred(ended, |reason| expire(reason, waited, None));
            let held = deferred(&ended);
            if held.is_empty() {
                break;
            }
            match self.recheck(&decisions).await {
                Some(Recheck::Confirmed(token)) => {
                    ended = map_deferred(ended, |reason| expire(reason, waited, Some(&token)));
                    break;
                }
                Some(Recheck::Changed(_)) => {
                    let (again, anew) = self.pass(&held).await;
                    for (place, one) in held.into_iter().zip(again) {
                        if let Some(slot) = ended.get_mut(place) {
                            *slot = one;
                        }
                    }
                    decisions = anew;
                }
                None => break,
            }
        }
        ended
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

/// What becomes of recipients whose hosts were not looked up when the time of the attempt ended.
fn no_hosts_yet(next_hop: &NextHop, overdue: Overdue) -> Outcome {
    let text =
        format!("the mail hosts of {} are not known yet: {}", in_words(next_hop), why(overdue));
    Outcome::Deferred(Reason::new(ReasonClass::Dns, status::NO_DIRECTORY, text))
}

/// Why an attempt has ended in a lookup, in words.
const fn why(overdue: Overdue) -> &'static str {
    match overdue {
        Overdue::Attempt | Overdue::Step => "the attempt timed out",
        Overdue::Displaced => "its connection was needed for other mail",
    }
}

/// What becomes of recipients while it cannot be told whether a policy is in force.
fn undecided_for(places: &[usize], undecided: &Undecided) -> Vec<Ended> {
    let (class, status) = match undecided {
        Undecided::CacheUnreadable { .. } | Undecided::ClockDoubted { .. } => {
            (ReasonClass::Other, status::OWN_SYSTEM)
        }
        Undecided::NamesFailed { .. } => (ReasonClass::Dns, status::NO_DIRECTORY),
    };
    let outcome = Outcome::Deferred(Reason::new(class, status, undecided.in_full()));
    let terms = Terms { policy: "undecided", why: undecided.label(), tls: "none" };
    places.iter().map(|_| Ended::nowhere(outcome.clone(), terms)).collect()
}

/// The hosts of a configured next hop.
async fn hosts_of(hop: &ConfiguredHop, client: &Client) -> Result<Vec<Hop>, Outcome> {
    match (hop.host(), &hop.to) {
        (Some(host), _) => Ok(vec![host]),
        (None, SmartHost::Domain(domain) | SmartHost::Host(_, domain, _)) => {
            let domain = MailboxDomain::parse(domain.as_str()).map_err(|_not_a_domain| {
                let text = format!("{} is no domain", hop.to);
                Outcome::Deferred(Reason::new(ReasonClass::Other, status::NO_ROUTE, text))
            })?;
            hosts(client.dns.as_ref(), (&domain, &hop.manner), &client.settings).await
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
    one: Ended,
    hop: &ConfiguredHop,
    elsewhere: Elsewhere,
    before: Option<Ended>,
) -> Ended {
    let Ended { outcome, terms, reports } = one;
    let (reason, is_unfit) = match (outcome, elsewhere) {
        (Outcome::Bounced(reason), Elsewhere::MayTake) => (reason, true),
        (Outcome::Bounced(reason) | Outcome::Deferred(reason), Elsewhere::MayHelp) => {
            (reason, false)
        }
        (settled, _) => return Ended { outcome: settled, terms, reports },
    };
    // What was bounced before and is asked again was unfit.
    let (before, was_unfit) = match before.map(|before| before.outcome) {
        Some(Outcome::Bounced(reason)) => (Some(reason), true),
        Some(Outcome::Deferred(reason)) => (Some(reason), false),
        Some(Outcome::Delivered { .. }) | None => (None, true),
    };
    let here = format!("next hop {}: {}", hop.to, reason.text);
    let text = match &before {
        Some(before) => format!("{}; {here}", before.text),
        None => here,
    };
    let policy = reason.policy.or_else(|| before.and_then(|before| before.policy));
    let class = if policy.is_some() { ReasonClass::Policy } else { reason.class };
    let outcome = if is_unfit && was_unfit {
        Outcome::Bounced(Reason { class, text, policy, ..reason })
    } else {
        let enhanced = reason.enhanced.with_class(Class::PersistentTransient);
        Outcome::Deferred(Reason { enhanced, class, text, policy, ..reason })
    };
    Ended { outcome, terms, reports }
}

/// The places of those who are deferred.
fn deferred(ended: &[Ended]) -> Vec<usize> {
    let is_deferred = |(place, ended): (usize, &Ended)| match ended.outcome {
        Outcome::Deferred(_) => Some(place),
        Outcome::Bounced(_) | Outcome::Delivered { .. } => None,
    };
    ended.iter().enumerate().filter_map(is_deferred).collect()
}

fn map_deferred(ended: Vec<Ended>, mut f: impl FnMut(Reason) -> Outcome) -> Vec<Ended> {
    let mut one = |ended: Ended| Ended {
        outcome: match ended.outcome {
            Outcome::Deferred(reason) => f(reason),
            other @ (Outcome::Bounced(_) | Outcome::Delivered { .. }) => other,
        },
        terms: ended.terms,
        reports: ended.reports,
    };
    ended.into_iter().map(&mut one).collect()
}

fn terms(decision: &Decision) -> Terms {
    let mode = decision.evidence().policy.as_ref().map(|cached| cached.policy().mode().as_str());
    match decision {
        Decision::Require(_) => Terms { policy: "enforce", why: "", tls: "none" },
        Decision::Permit(fallback) => {
            Terms { policy: mode.unwrap_or("none"), why: fallback.why().label(), tls: "none" }
        }
    }
}
