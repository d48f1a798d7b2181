//! One attempt to deliver a lease: decide, route, try the hosts; and what comes at the end of a
//! message's life.

use std::time::SystemTime;

use mta_sts::{Decision, NextHop, PolicyDomain, Purpose, Recheck, Undecided};
use queue::{Lease, Outcome, Reason};
use smtp::MailboxDomain;

use crate::client::Client;
use crate::observation::of_fetch;
use crate::observer::Terms;
use crate::outcome::{expire, no_domain};
use crate::round::{Ending, Round};
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
pub(crate) async fn attempt(client: &Client, lease: &Lease) -> Vec<Ended> {
    let everyone: Vec<usize> = (0..lease.recipients().len()).collect();
    let now = client.clock.now();
    let Some(next_hop) = next_hop(lease.destination()) else {
        let outcome = no_domain(lease.destination());
        let terms = Terms { policy: "undecided", why: "", tls: "none" };
        return everyone.iter().map(|_| Ended::nowhere(outcome.clone(), terms)).collect();
    };
    let attempt = Attempt { client, lease, next_hop, now };
    let (ended, decision) = attempt.pass(&everyone).await;
    if lease.expired(now) { attempt.last(ended, decision).await } else { ended }
}

/// The next hop of a destination: whose policy counts (RFC 8461 §3.4).
fn next_hop(destination: &MailboxDomain) -> Option<NextHop> {
    match destination {
        MailboxDomain::Domain(domain) => {
            PolicyDomain::parse(domain.as_str()).ok().map(NextHop::Domain)
        }
        MailboxDomain::Literal(address) => Some(NextHop::Literal(*address)),
    }
}

/// An attempt in progress.
struct Attempt<'a> {
    client: &'a Client,
    lease: &'a Lease,
    next_hop: NextHop,
    now: SystemTime,
}

impl Attempt<'_> {
    /// Decides by the policy, and tries the hosts for the recipients at `places`.
    async fn pass(&self, places: &[usize]) -> (Vec<Ended>, Option<Decision>) {
        let decision = match self.decide().await {
            Ok(decision) => decision,
            Err(undecided) => return (self.undecided(places, &undecided), None),
        };
        let terms = terms(&decision);
        let (dns, settings) = (self.client.dns.as_ref(), &self.client.settings);
        let endings = match hosts(dns, self.lease.destination(), settings).await {
            Ok(hosts) => {
                let round = Round::new(self.client, self.lease, places);
                Box::pin(round.run(&decision, &hosts)).await
            }
            Err(outcome) => {
                let reports = Reports::Ours;
                let ending = || Ending { outcome: outcome.clone(), tls: "none", reports };
                places.iter().map(|_| ending()).collect()
            }
        };
        let ended = |Ending { outcome, tls, reports }| {
            let terms = Terms { tls, ..terms };
            Ended { outcome, terms, reports }
        };
        (endings.into_iter().map(ended).collect(), Some(decision))
    }

    async fn decide(&self) -> Result<Decision, Undecided> {
        let purpose = match self.lease.message().purpose {
            queue::Purpose::Mail => {
                Purpose::Delivery { queued_for: self.lease.queued_for(self.now) }
            }
            queue::Purpose::TlsReport => Purpose::TlsReport,
        };
        let decision = self.client.policies.decide(&self.next_hop, purpose, self.now).await?;
        if let Some(domain) = self.next_hop.domain()
            && let Some(observation) = of_fetch(domain, decision.evidence())
        {
            self.client.observer.observed(&observation);
        }
        Ok(decision)
    }

    fn undecided(&self, places: &[usize], undecided: &Undecided) -> Vec<Ended> {
        let status = match undecided {
            Undecided::CacheUnreadable { .. } => status::OWN_SYSTEM,
            Undecided::NamesFailed { .. } => status::NO_DIRECTORY,
        };
        tracing::warn!(domain = %self.lease.destination(), error = %undecided, "policy undecided");
        let outcome = Outcome::Deferred(Reason::new(status, undecided.to_string()));
        let terms = Terms { policy: "undecided", why: undecided.label(), tls: "none" };
        places.iter().map(|_| Ended::nowhere(outcome.clone(), terms)).collect()
    }

    /// Ends the life of a message: who is still deferred is given up.
    ///
    /// Mail that a policy holds back is given up only after the policy has been looked at once
    /// more; if it has changed, it is followed in another pass (RFC 8461 §5.1).
    async fn last(&self, mut ended: Vec<Ended>, mut decision: Option<Decision>) -> Vec<Ended> {
        let waited = self.lease.queued_for(self.now);
        for _ in 0..LAST_PASSES {
            ended = map_deferred(ended, |reason| expire(reason, waited, None));
            let held = deferred(&ended);
            let Some(Decision::Require(required)) = &decision else { break };
            if held.is_empty() {
                break;
            }
            match self.client.policies.recheck(required, self.now).await {
                Ok(Recheck::Confirmed(token)) => {
                    ended = map_deferred(ended, |reason| expire(reason, waited, Some(&token)));
                    break;
                }
                Ok(Recheck::Changed(_)) => {
                    let (again, anew) = self.pass(&held).await;
                    for (place, one) in held.into_iter().zip(again) {
                        if let Some(slot) = ended.get_mut(place) {
                            *slot = one;
                        }
                    }
                    decision = anew;
                }
                Err(undecided) => {
                    tracing::warn!(error = %undecided, "policy not rechecked");
                    break;
                }
            }
        }
        ended
    }
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
