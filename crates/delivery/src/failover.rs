//! Failover (RFC 5321 §5.1): one pass over the hosts of a next hop, in their order, until one has taken
//! the message.
//!
//! Under an enforced policy hosts that it does not name are passed over, and one that is named and
//! does not prove its name is as good as absent (RFC 8461 §5). Otherwise any host will do.
//!
//! What has been done so far is a [`Walk`]. Each step takes it and gives it back, and the recipients
//! move through it by value: from those for whom another host can be asked to those that are settled.

mod connect_host;
mod conversation;
mod effort;
mod exceptions;
mod host;
mod pass;
mod records;
mod trusted;
mod walk;

use std::sync::Arc;
use std::time::Duration;

use mail::{DeliveryResult, Failure, TriedHost};
use mta_sts::danger::TlsRequiredNo;
use mta_sts::{Decision, NextHop};
use queue::Lease;

use self::pass::{Host, Keyword, Pass};
use self::walk::Walk;
use crate::attempt_pace::AttemptPace;
use crate::client::Client;
use crate::concurrency::HostResult;
use crate::connection_cache::Rank;
use crate::disposition::NotTaken;
use crate::downgrade::Downgrade;
use crate::host_failure::{HostFailure, Kind};
use crate::outcome::{unfit_so_far, unmatched, unmet, unreached, without_requiretls};
use crate::patience::Patience;
use crate::recipient::{Elsewhere, HopResult, LeasedRecipient, OpenRecipient};
use crate::target::{Target, in_words};
use crate::trials::Tried;

/// How long a message that a host cannot take waits for others that may take it and cannot be asked.
/// Then its sender learns what is lacking, while it is worth knowing.
const OTHERS_WAIT: Duration = Duration::from_secs(4 * 60 * 60);

/// Tries the hosts of a next hop, and tells what has come of it for each recipient of `lease` that is
/// given, and which hosts were tried. There may be licence to pass over what their TLSA records ask for.
pub(crate) async fn fail_over(
    (client, patience, pace): (&Client, &Arc<Patience>, &AttemptPace),
    (lease, licence): (&Lease, Option<&TlsRequiredNo>),
    decision: &Decision,
    targets: &[Target],
    recipients: Vec<LeasedRecipient>,
) -> (Vec<HopResult>, Vec<TriedHost>) {
    let (patience, downgrade) = (Arc::clone(patience), Downgrade::default());
    let demand = client.settings.demand_of(decision.domain());
    let keyword = Keyword::of(lease.message(), client.settings.requiretls);
    let pass =
        Pass { client, lease, licence, decision, demand, keyword, patience, downgrade, pace };
    let walk = pass.go_on_with_any(Walk::new(recipients), targets).await;
    let walk = pass.go_through(walk, targets).await;
    let tried = walk.tried();
    if pace.is_turned_away() {
        return (pass.close(walk), tried);
    }
    let result = if walk.is_answered() { HostResult::Answered } else { HostResult::Failed };
    let Client { windows, settings, .. } = client;
    windows.record(lease.destination_name(), result, settings.per_domain, client.clock.now());
    let results = pass.close(walk);
    if lease.message().tls.is_yes() {
        results.iter().for_each(|one| client.observer.requiretls(&one.result));
    }
    (results, tried)
}

impl Pass<'_> {
    /// Sends over sessions that are there already with hosts that would be asked first.
    async fn go_on_with_any(&self, mut walk: Walk, targets: &[Target]) -> Walk {
        let next_hop = match self.decision {
            Decision::Require(required) => NextHop::Domain(required.domain().clone()),
            Decision::Permit(fallback) => fallback.next_hop().clone(),
        };
        for target in self.client.idle.first(&next_hop) {
            if self.is_over(&walk) {
                break;
            }
            if targets.contains(&target) && !walk.has_asked(&target) {
                walk = Box::pin(self.go_on_with(walk, &target)).await;
            }
        }
        walk
    }

    /// Tries one host after the other.
    ///
    /// Where one of them is this relay, those behind it are not tried: they would only bring the mail
    /// back (RFC 5321 §5.1).
    async fn go_through(&self, mut walk: Walk, targets: &[Target]) -> Walk {
        let mut tried: Vec<usize> = Vec::new();
        let mut end = targets.len();
        for (place, target) in self.in_turn(targets) {
            if self.is_over(&walk) {
                walk.effort.leave_out();
                break;
            }
            if place >= end || walk.has_asked(target) {
                continue;
            }
            let better = tried.iter().filter(|tried| **tried < place).count();
            let rank = if better == place { Rank::First } else { Rank::Later };
            tried.push(place);
            walk = Box::pin(self.try_host(walk, Host { target, rank })).await;
            if walk.has_met_ourselves() {
                end = end.min(place);
            }
        }
        walk
    }

    /// The hosts and their places, best first; in a further attempt those first that have not failed
    /// since they were last tried.
    fn in_turn<'h>(&self, targets: &'h [Target]) -> Vec<(usize, &'h Target)> {
        let mut all: Vec<_> = targets.iter().enumerate().collect();
        if self.lease.attempts() > 0 {
            self.client.trials.in_turn(&mut all, |(_, target)| Tried::host(target));
        }
        all
    }

    /// Why hosts that may take what others cannot take were not asked; none where there is nothing to
    /// wait for.
    fn others<'w>(&self, walk: &'w Walk) -> Option<Vec<&'w HostFailure>> {
        let asked =
            |failure: &HostFailure| walk.asked.iter().any(|one| one.target.name() == failure.host);
        let others = walk.failures.iter().filter(|failure| failure.may_pass() && !asked(failure));
        let others: Vec<&HostFailure> = others.collect();
        let young = self.lease.queued_for(self.client.clock.now()) < OTHERS_WAIT;
        (young && (walk.effort.has_left_out() || !others.is_empty())).then_some(others)
    }

    /// Why a message that asks for proven TLS all its way is returned, once all hosts were asked; a
    /// policy that is not met is another matter, and waits.
    fn lacking_requiretls(&self, walk: &Walk) -> Option<DeliveryResult> {
        if self.keyword != Keyword::Always || walk.effort.has_left_out() {
            return None;
        }
        let lacks = |failure: &HostFailure| failure.kind == Kind::Lacks;
        match self.decision {
            Decision::Permit(fallback) => {
                without_requiretls(&in_words(fallback.next_hop()), &walk.failures)
            }
            Decision::Require(required) if walk.failures.iter().all(lacks) => {
                without_requiretls(required.domain(), &walk.failures)
            }
            Decision::Require(_) => None,
        }
    }

    /// What has come of the pass for those of whom no host has said anything.
    fn untold(&self, walk: &Walk) -> DeliveryResult {
        match self.decision {
            Decision::Require(required) => unmet(required, &walk.failures),
            Decision::Permit(fallback) => {
                let next_hop = in_words(fallback.next_hop());
                unmatched(&next_hop, &walk.failures)
                    .unwrap_or_else(|| unreached(&next_hop, &walk.failures))
            }
        }
    }

    /// What has come of the pass for those who are not settled, and for those who are.
    fn close(&self, mut walk: Walk) -> Vec<HopResult> {
        if walk.open.is_empty() {
            return walk.settled;
        }
        let (untold, untold_elsewhere) = match self.lacking_requiretls(&walk) {
            Some(bounced) => (bounced, Elsewhere::MayTake),
            None => (self.untold(&walk), Elsewhere::MayHelp),
        };
        let open = std::mem::take(&mut walk.open);
        let others = self.others(&walk);
        let unfit = |failure: Failure| match &others {
            Some(failures) => (unfit_so_far(failure, failures), Elsewhere::MayHelp),
            None => (DeliveryResult::Bounced(failure), Elsewhere::MayTake),
        };
        let ended = |OpenRecipient { recipient, answer, session }| {
            let (result, elsewhere) = match answer {
                Some(NotTaken::Unfit(failure)) => unfit(failure),
                Some(NotTaken::Later(failure)) => {
                    (DeliveryResult::Deferred(failure), Elsewhere::MayHelp)
                }
                None => (untold.clone(), untold_elsewhere),
            };
            HopResult { recipient, result, session, elsewhere }
        };
        let ended: Vec<HopResult> = open.into_iter().map(ended).collect();
        walk.settled.into_iter().chain(ended).collect()
    }
}
