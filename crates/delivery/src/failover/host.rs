//! One host: an idle session with it, or a new one at the first of its addresses that has one.

use std::net::SocketAddr;

use tls_policy::{Admission, HostDane, HostRequirement, Inputs, MessageDemand, Refusal, is_named};

use super::pass::{Host, Keyword, Pass, Sessions};
use super::trusted::Trusted;
use super::walk::Walk;
use crate::client::Client;
use crate::connection_cache::Rank;
use crate::dane_lookup::TlsaAge;
use crate::dane_result::DaneResult;
use crate::failure::SessionFailure;
use crate::host_failure::HostFailure;
use crate::observation::of_refusal;
use crate::session::established::Session;
use crate::target::Target;

impl Pass<'_> {
    /// Tries a host, in the way that is asked of sessions with it.
    ///
    /// Where it does not match its TLSA records they are looked up once more, past whatever is
    /// remembered: a certificate may have been exchanged a moment ago (RFC 7671 §8). If there are
    /// others by now, the host is tried under them.
    pub(super) async fn try_host(&self, mut walk: Walk, host: Host<'_>) -> Walk {
        // A host that the policy does not name costs nothing, not even a lookup.
        if let Err(refusal) = is_named(self.decision, &host.target.host) {
            return self.refused(walk, host.target, &refusal);
        }
        if walk.effort.is_spent(&self.client.settings) {
            walk.effort.leave_out();
            return walk;
        }
        walk.effort.begin_host();
        let found = self.records(host.target, TlsaAge::Any).await;
        let skipped = match &found {
            HostDane::Skipped(why) => Some(Refusal::Skipped(why.clone())),
            HostDane::Dane(_) | HostDane::EncryptOnly(_) | HostDane::NoDane(_) => None,
        };
        let records = self.in_force(host.target, found);
        // With licence the host is tried all the same, and its domain learns why it would not be.
        if let (Some(skipped), HostDane::NoDane(_)) = (&skipped, &records) {
            self.observe_refusal(host.target, skipped);
        }
        walk = self.try_under(walk, host, &records, Sessions::All).await;
        if !walk.has_mismatched(host.target) || self.is_over(&walk) {
            return walk;
        }
        let newer = self.records(host.target, TlsaAge::Fresh).await;
        let newer = self.in_force(host.target, newer);
        if newer.binds_like(&records) {
            return walk;
        }
        tracing::debug!(mx = host.target.name(), "TLSA records changed: host tried again");
        let walk = walk.without_mismatch_of(host.target);
        self.try_under(walk, host, &newer, Sessions::All).await
    }

    /// Sends over sessions that are there already with a host that would be asked first.
    pub(super) async fn go_on_with(&self, walk: Walk, target: &Target) -> Walk {
        let found = self.records(target, TlsaAge::Any).await;
        let records = self.in_force(target, found);
        let host = Host { target, rank: Rank::First };
        match records {
            // Why not is told when the host is tried.
            HostDane::Skipped(_) => walk,
            HostDane::Dane(_) | HostDane::EncryptOnly(_) | HostDane::NoDane(_) => {
                self.try_under(walk, host, &records, Sessions::Idle).await
            }
        }
    }

    /// Whether the limit that mail to a host is under has room for it.
    fn may_ask(&self, walk: &mut Walk, target: &Target) -> bool {
        let has_room = self.pace.enter(&self.client.paces, &target.host, self.under()).is_ok();
        if !has_room {
            walk.effort.leave_out();
        }
        has_room
    }

    /// Tries a host that has these records.
    async fn try_under(
        &self,
        mut walk: Walk,
        host: Host<'_>,
        dane: &HostDane,
        sessions: Sessions,
    ) -> Walk {
        let target = host.target;
        if !self.may_ask(&mut walk, target) {
            return walk;
        }
        let inputs = Inputs {
            decision: self.decision,
            route: &target.requirement,
            host: &target.host,
            dane,
            demand: self.demand,
            message: match self.keyword {
                Keyword::None | Keyword::WhereOffered => MessageDemand::None,
                Keyword::Always => MessageDemand::Proof(&target.naming),
            },
        };
        match inputs.requirement() {
            Ok(HostRequirement::Demanded(admission)) => {
                Box::pin(self.try_admitted(walk, &admission, host, sessions)).await
            }
            Ok(HostRequirement::Encrypted(admission)) => {
                Box::pin(self.try_admitted(walk, &admission, host, sessions)).await
            }
            Ok(HostRequirement::Excepted(admission)) => {
                Box::pin(self.try_admitted(walk, &admission, host, sessions)).await
            }
            Ok(HostRequirement::Matched(admission)) => {
                Box::pin(self.try_admitted(walk, &admission, host, sessions)).await
            }
            Ok(HostRequirement::Open(admission)) => {
                Box::pin(self.try_admitted(walk, &admission, host, sessions)).await
            }
            Ok(HostRequirement::Verified(admission)) => {
                Box::pin(self.try_admitted(walk, &admission, host, sessions)).await
            }
            Ok(HostRequirement::VerifiedOrExcepted(verified, excepted)) => {
                Box::pin(self.try_with_exception(walk, (&verified, &excepted), host, sessions))
                    .await
            }
            Err(_) if sessions == Sessions::Idle => walk,
            Err(refusal) => self.refused(walk, target, &refusal),
        }
    }

    /// Sends over a session with a host that is there already, or over a new one with the first of its
    /// addresses at which there is one.
    pub(super) async fn try_admitted<T: Trusted>(
        &self,
        mut walk: Walk,
        admission: &Admission<'_, T>,
        host: Host<'_>,
        sessions: Sessions,
    ) -> Walk {
        let (settings, target) = (&self.client.settings, host.target);
        walk = self.go_on::<T>(walk, admission, host).await;
        if walk.has_asked(target) || sessions == Sessions::Idle {
            return walk;
        }
        let addresses = match self.addresses(target).await {
            Ok(addresses) => addresses,
            Err(failure) => return walk.failed(failure),
        };
        for address in addresses {
            // A route is for one connection.
            let route = match admission.route() {
                Ok(route) => route,
                Err(refusal) => return self.refused(walk, target, &refusal),
            };
            let opening = T::open(self, &mut walk.effort, (route, admission), target, address);
            // In a box: most messages leave over sessions that are there.
            match Box::pin(opening).await {
                Ok(session) if self.keyword == Keyword::Always && !session.offers_requiretls() => {
                    self.client.idle.close(session);
                    let failed = HostFailure::lacks_requiretls(&target.name(), address);
                    return walk.failed(failed);
                }
                Ok(session) => {
                    self.client.observer.opened(session.protection());
                    self.tell_of_need(target, &session);
                    if let Some(result) = DaneResult::of_session(session.channel()) {
                        self.client.observer.dane_host(result);
                    }
                    return self.converse(walk, host, session, admission.licence()).await;
                }
                Err(failure) => {
                    if let SessionFailure::Refused { reply, .. } = &failure {
                        self.hear(&target.name(), reply);
                    }
                    log(target, address, &failure);
                    walk.effort.failed(&failure);
                    let failed = HostFailure::no_session(&target.name(), address, &failure);
                    let failed = if T::IS_BOUND_BY_RECORDS { failed.of_records() } else { failed };
                    if failed.is_mismatch() {
                        self.client.observer.dane_host(DaneResult::Mismatch);
                    }
                    walk = walk.failed(failed);
                }
            }
            let goes_on = walk.effort.takes_another_address(settings);
            if self.is_over(&walk) || walk.has_met_ourselves() || !goes_on {
                return walk;
            }
        }
        walk
    }

    /// Sends over a session that is there already, if one was made for this mail.
    ///
    /// One that turns out to be dead is no failure of its host: another takes its place, and at
    /// last a new one.
    async fn go_on<T: Trusted>(
        &self,
        mut walk: Walk,
        admission: &Admission<'_, T>,
        host: Host<'_>,
    ) -> Walk {
        let limit = self.pace.limit();
        let may_go_on = |session: &Session<T>| {
            admission.covers(session.route())
                && session.kept_under() == limit.as_ref()
                && (self.keyword != Keyword::Always || session.offers_requiretls())
        };
        let fits = |idle: &Target, session: &Session<T>| idle == host.target && may_go_on(session);
        let licence = admission.licence();
        while !self.is_over(&walk) {
            let Client { idle, settings, clock, .. } = self.client;
            let taken = idle.take(T::cache(idle), licence, &fits, clock.now(), settings);
            let Some((target, session)) = taken else { break };
            let host = Host { target: &target, rank: host.rank };
            walk = self.converse(walk, host, session, licence).await;
            if walk.has_asked(&target) {
                break;
            }
            tracing::debug!(mx = target.name(), "idle connection lost");
        }
        walk
    }

    /// Notes why a host is not tried.
    fn refused(&self, walk: Walk, target: &Target, refusal: &Refusal) -> Walk {
        self.observe_refusal(target, refusal);
        walk.failed(HostFailure::refused(&target.name(), refusal))
    }

    /// Tells what a host is counted as that the policy does not name, or whose TLSA records cannot be
    /// used.
    fn observe_refusal(&self, target: &Target, refusal: &Refusal) {
        if let Some(observation) = of_refusal(self.decision, target, refusal) {
            self.client.observer.observed(&observation);
        }
    }
}

/// Says why there is no session with a host at one of its addresses.
fn log(target: &Target, addr: SocketAddr, failure: &SessionFailure) {
    let mx = target.name();
    let warns = matches!(failure, SessionFailure::Tls(failure) if failure.is_attack());
    if warns {
        tracing::warn!(mx, %addr, error = %failure, "STARTTLS injection detected");
    } else {
        tracing::debug!(mx, %addr, error = %failure, "no session");
    }
}
