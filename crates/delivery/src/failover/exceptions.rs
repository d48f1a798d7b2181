//! Hosts that an operator's exception lets pass, and what sessions show of the need for one.

use std::sync::Arc;

use mail::{Channel, DaneVerdict, ExceptionRecord, MtaStsVerdict};
use mta_sts::{OpenHost, SessionShown, Shown};
use tls_policy::{Admission, Excepted, Verified};

use super::pass::{Host, Pass, Sessions};
use super::trusted::Trusted;
use super::walk::Walk;
use crate::client::now_of;
use crate::policy_facts::{of_session, recorded};
use crate::session::established::Session;
use crate::target::Target;

impl Pass<'_> {
    /// Tries a host as the policy asks, and where TLS with it fails by the exception for its certificate:
    /// so mail leaves by an exception only while it is needed.
    pub(super) async fn try_with_exception(
        &self,
        walk: Walk,
        (verified, excepted): (&Admission<'_, Verified>, &Admission<'_, Excepted>),
        host: Host<'_>,
        sessions: Sessions,
    ) -> Walk {
        let walk = self.try_admitted(walk, excepted, host, Sessions::Idle).await;
        if walk.has_asked(host.target) || self.is_over(&walk) {
            return walk;
        }
        let walk = self.try_admitted(walk, verified, host, sessions).await;
        if walk.has_asked(host.target) || self.is_over(&walk) || !walk.has_failed_tls(host.target) {
            return walk;
        }
        self.try_admitted(walk, excepted, host, sessions).await
    }

    /// Tells that a message leaves over a session that an exception let come about, if it does; what is
    /// recorded of that exception.
    pub(super) fn tell_of_use<T: Trusted>(
        &self,
        session: &Session<T>,
    ) -> Option<Arc<ExceptionRecord>> {
        let exception = T::exception(session)?;
        if let OpenHost::Name(mx) = T::host(session.route()) {
            self.client.policies.exception_used(&exception, &mx);
        }
        Some(Arc::new(recorded(&exception)))
    }

    /// Tells what a session that has just begun shows of the need for exceptions.
    pub(super) fn tell_of_need<T: Trusted>(&self, target: &Target, session: &Session<T>) {
        let (Some(domain), OpenHost::Name(mx)) = (self.decision.domain(), &target.host) else {
            return;
        };
        let client = self.client;
        if !client.policies.has_granted(domain) {
            return;
        }
        let channel = session.channel();
        let verdict = of_session(self.decision, &target.host, (channel, session.proof()));
        let shown = SessionShown { mx, policy: by_policy(&verdict), records: by_records(channel) };
        client.policies.session_began(domain, shown, now_of(&*client.clock));
    }
}

/// Whether a session passes by the policy.
const fn by_policy(verdict: &MtaStsVerdict) -> Shown {
    match verdict {
        MtaStsVerdict::Met => Shown::Met,
        MtaStsVerdict::NotApplied => Shown::Unknown,
        MtaStsVerdict::NotMet { .. } => Shown::NotMet,
    }
}

/// Whether a session passes by the TLSA records of its host.
fn by_records(channel: &Channel) -> Shown {
    match channel {
        Channel::Clear(_) => Shown::NotMet,
        Channel::Tls(tls) => match &tls.dane {
            DaneVerdict::Matched { .. } => Shown::Met,
            DaneVerdict::NotApplied | DaneVerdict::Unusable { .. } => Shown::Unknown,
            DaneVerdict::NotMatched { .. } => Shown::NotMet,
        },
    }
}
