//! One domain, its DNS, its policy host, and a sender with a cache.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use mta_sts::{
    CachedPolicy, Decision, FetchSettings, Fetcher, NextHop, Now, Policies, PolicyDomain,
    PolicySettings, PolicyStore, PrivateHosts, Purpose, RequiredTls, Trust, Undecided, WhyFallback,
};

use crate::authority::{Authority, Kind};
use crate::memory::Memory;
use crate::policy_host::{Behaviour, PolicyHost};
use crate::zone::Zone;

/// The domain most tests are about.
pub(crate) const DOMAIN: &str = "example.test";

pub(crate) const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const HOUR: Duration = Duration::from_secs(60 * 60);
pub(crate) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A policy file that lives for a week.
pub(crate) fn file(mode: &str) -> String {
    format!("version: STSv1\nmode: {mode}\nmx: mx.example.test\nmax_age: 604800\n")
}

/// The parts, and what time it is.
#[derive(Debug)]
pub(crate) struct Scene {
    pub(crate) zone: Arc<Zone>,
    pub(crate) store: Arc<Memory>,
    pub(crate) host: PolicyHost,
    pub(crate) authority: Authority,
    pub(crate) policies: Policies,
    now: Mutex<SystemTime>,
    trust: Mutex<Trust>,
}

impl Scene {
    /// A domain that publishes an enforced policy with the id `1`.
    pub(crate) async fn enforce() -> Self {
        Self::publishing(&file("enforce")).await
    }

    /// A domain that publishes this policy with the id `1`.
    pub(crate) async fn publishing(text: &str) -> Self {
        Self::publishing_by(Kind::Valid, text).await
    }

    /// The same, by a policy host with such a certificate.
    pub(crate) async fn publishing_by(kind: Kind, text: &str) -> Self {
        let authority = Authority::new();
        let names = ["mta-sts.example.test", "mta-sts.other.test"];
        let tls = authority.server(kind, &names);
        let host = PolicyHost::start(tls, Behaviour::policy(text)).await;
        let zone = Arc::new(Zone::default());
        zone.sts(DOMAIN, &["v=STSv1; id=1;"]);
        zone.policy_host(DOMAIN, &[host.ip()]);
        let store = Arc::new(Memory::default());
        let policies = policies(&authority, &host, &zone, &store, PolicySettings::default());
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let (now, trust) = (Mutex::new(now), Mutex::new(Trust::Believed));
        Self { zone, store, host, authority, policies, now, trust }
    }

    /// Starts the sender anew with these settings; what is stored stays.
    pub(crate) fn restart(&mut self, settings: PolicySettings) {
        self.policies = self.another_sender(settings);
    }

    /// Another sender with these settings, and the same store.
    pub(crate) fn another_sender(&self, settings: PolicySettings) -> Policies {
        policies(&self.authority, &self.host, &self.zone, &self.store, settings)
    }

    pub(crate) fn now(&self) -> SystemTime {
        *self.now.lock().unwrap()
    }

    /// The same, with what is thought of the wall clock.
    pub(crate) fn judged_at(&self) -> Now {
        Now::new(self.now(), self.now(), *self.trust.lock().unwrap())
    }

    /// From now on the wall clock is thought of like this.
    pub(crate) fn trust(&self, trust: Trust) {
        *self.trust.lock().unwrap() = trust;
    }

    pub(crate) fn advance(&self, by: Duration) {
        *self.now.lock().unwrap() += by;
    }

    pub(crate) fn turn_back(&self, by: Duration) {
        *self.now.lock().unwrap() -= by;
    }

    /// Publishes this policy with this id.
    pub(crate) fn publish(&self, id: &str, text: &str) {
        self.zone.sts(DOMAIN, &[&format!("v=STSv1; id={id};")]);
        self.host.behave(Behaviour::policy(text));
    }

    /// Lets every fetch fail.
    pub(crate) fn fetch_fails(&self) {
        self.host.behave(Behaviour::status("404 Not Found", ""));
    }

    pub(crate) async fn cached(&self) -> Option<CachedPolicy> {
        self.store.find(&domain(DOMAIN)).await.unwrap()
    }

    /// Decides about a message that has just come in.
    pub(crate) async fn decide(&self) -> Result<Decision, Undecided> {
        self.decide_after(Duration::ZERO).await
    }

    /// Decides about a message that came in `queued_for` ago.
    pub(crate) async fn decide_after(&self, queued_for: Duration) -> Result<Decision, Undecided> {
        self.decide_for(&NextHop::Domain(domain(DOMAIN)), Purpose::Delivery { queued_for }).await
    }

    pub(crate) async fn decide_for(
        &self,
        next_hop: &NextHop,
        purpose: Purpose<'_>,
    ) -> Result<Decision, Undecided> {
        self.policies.decide(next_hop, purpose, self.judged_at()).await
    }

    /// The decision, which is to be an enforced policy.
    pub(crate) async fn required(&self) -> RequiredTls {
        match self.decide().await.unwrap() {
            Decision::Require(required) => required,
            Decision::Permit(fallback) => panic!("permitted: {fallback:?}"),
        }
    }

    /// The decision, which is to be a fallback, and why.
    pub(crate) async fn why(&self) -> WhyFallback {
        match self.decide().await.unwrap() {
            Decision::Permit(fallback) => fallback.why().clone(),
            Decision::Require(required) => panic!("required: {required:?}"),
        }
    }
}

fn policies(
    authority: &Authority,
    host: &PolicyHost,
    zone: &Arc<Zone>,
    store: &Arc<Memory>,
    settings: PolicySettings,
) -> Policies {
    let fetcher = Fetcher::new(FetchSettings {
        port: host.port(),
        private_hosts: PrivateHosts::Allowed,
        ..FetchSettings::new(authority.roots())
    });
    Policies::new(settings, Arc::<Zone>::clone(zone), Arc::<Memory>::clone(store), fetcher.unwrap())
}

pub(crate) fn domain(text: &str) -> PolicyDomain {
    PolicyDomain::parse(text).unwrap()
}
