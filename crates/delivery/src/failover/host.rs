//! One host: an idle session with it, or a new one at the first of its addresses that has one.

use std::net::SocketAddr;

use tls_policy::{Admission, HostRequirement, Inputs, Refusal};

use super::pass::{Host, Pass};
use super::trusted::Trusted;
use super::walk::Walk;
use crate::client::Client;
use crate::connection_cache::Rank;
use crate::failure::SessionFailure;
use crate::host_failure::HostFailure;
use crate::target::Target;

impl Pass<'_> {
    /// Tries a host, in the way that is asked of sessions with it.
    pub(super) async fn try_host(&self, walk: Walk, host: Host<'_>) -> Walk {
        let Host { target, .. } = host;
        let inputs =
            Inputs { decision: self.decision, route: &target.requirement, host: &target.host };
        match inputs.requirement() {
            Ok(HostRequirement::Demanded(admission)) => {
                Box::pin(self.try_admitted(walk, &admission, host)).await
            }
            Ok(HostRequirement::Open(admission)) => {
                Box::pin(self.try_admitted(walk, &admission, host)).await
            }
            Ok(HostRequirement::Verified(admission)) => {
                Box::pin(self.try_admitted(walk, &admission, host)).await
            }
            Err(refusal) => refused(walk, refusal),
        }
    }

    /// Sends over a session with a host that is there already, or over a new one with the first of its
    /// addresses at which there is one.
    async fn try_admitted<T: Trusted>(
        &self,
        mut walk: Walk,
        admission: &Admission<'_, T>,
        host: Host<'_>,
    ) -> Walk {
        let (settings, target) = (&self.client.settings, host.target);
        if walk.effort.is_spent(settings) {
            walk.effort.leave_out();
            return walk;
        }
        walk.effort.begin_host();
        let licence = admission.licence();
        walk = self.go_on::<T>(walk, licence, host.rank, |idle, _| idle == target).await;
        if walk.has_asked(target) {
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
                Err(refusal) => return refused(walk, refusal),
            };
            match T::open(self, &mut walk.effort, (route, admission), target, address).await {
                Ok(session) => {
                    self.client.observer.opened(T::protection(&session));
                    return self.converse(walk, host, session, licence).await;
                }
                Err(failure) => {
                    log(target, address, &failure);
                    walk.effort.failed(&failure);
                    walk = walk.failed(HostFailure::no_session(&target.name(), address, &failure));
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
    pub(super) async fn go_on<T: Trusted>(
        &self,
        mut walk: Walk,
        licence: &T::Licence,
        rank: Rank,
        fits: impl Fn(&Target, Rank) -> bool,
    ) -> Walk {
        while !self.is_over(&walk) {
            let Client { idle, settings, clock, .. } = self.client;
            let taken = idle.take(T::cache(idle), licence, &fits, clock.now(), settings);
            let Some((target, session)) = taken else { break };
            walk = self.converse(walk, Host { target: &target, rank }, session, licence).await;
            if walk.has_asked(&target) {
                break;
            }
            tracing::debug!(mx = target.name(), "idle connection lost");
        }
        walk
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

/// Notes why a host is not tried.
fn refused(walk: Walk, refusal: Refusal) -> Walk {
    walk.failed(match refusal {
        Refusal::NoName(address) => {
            let text = "an address can prove no name".to_owned();
            HostFailure::no_proof(&address.to_string(), text)
        }
        Refusal::NotNamed(mismatch) => HostFailure::not_named(&mismatch),
    })
}
