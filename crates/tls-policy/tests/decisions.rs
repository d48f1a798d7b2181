//! Decisions of a world in which at most `example.org` has a policy.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use mta_sts::{
    CachedPolicy, Decision, Fallback, FetchSettings, Fetcher, Names, NamesError, NextHop, Policies,
    Policy, PolicyDomain, PolicyId, PolicySettings, PolicyStore, Purpose, StoreError,
};
use rustls::RootCertStore;

/// A day in 2026, when the policy was fetched.
fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000)
}

/// The next hop that may have a policy.
pub(crate) fn next_hop() -> NextHop {
    NextHop::Domain(PolicyDomain::parse("example.org").unwrap())
}

/// A policy for `example.org` that names `mx.example.org`, in this mode.
fn cached(mode: &str) -> CachedPolicy {
    let text = format!("version: STSv1\nmode: {mode}\nmx: mx.example.org\nmax_age: 86400\n");
    let policy = Policy::parse(text.as_bytes()).unwrap().value;
    let domain = PolicyDomain::parse("example.org").unwrap();
    CachedPolicy::new(domain, PolicyId::parse("a1").unwrap(), policy, now())
}

/// What is decided about mail to `next_hop`, where `example.org` has a policy in this mode.
pub(crate) async fn decide(mode: Option<&str>, next_hop: &NextHop) -> Decision {
    let roots = Arc::new(RootCertStore::empty());
    let policies = Policies::new(
        PolicySettings::default(),
        Arc::new(NoNames),
        Arc::new(OnePolicy(mode.map(cached))),
        Fetcher::new(FetchSettings::new(roots)).unwrap(),
    );
    let purpose = Purpose::Delivery { queued_for: Duration::ZERO };
    policies.decide(next_hop, purpose, now()).await.unwrap()
}

/// Leave to send to `example.org`, whose policy is not enforced.
pub(crate) async fn fallback(mode: Option<&str>) -> Fallback {
    permitted(decide(mode, &next_hop()).await)
}

/// Leave to send to this next hop, which has no policy.
pub(crate) async fn fallback_to(next_hop: &NextHop) -> Fallback {
    permitted(decide(None, next_hop).await)
}

fn permitted(decision: Decision) -> Fallback {
    let Decision::Permit(fallback) = decision else { panic!("{decision:?}") };
    fallback
}

/// A store that holds at most one policy.
#[derive(Debug)]
struct OnePolicy(Option<CachedPolicy>);

#[async_trait]
impl PolicyStore for OnePolicy {
    async fn find(&self, domain: &PolicyDomain) -> Result<Option<CachedPolicy>, StoreError> {
        Ok(self.0.clone().filter(|cached| cached.domain() == domain))
    }

    async fn keep(&self, _policy: &CachedPolicy) -> Result<(), StoreError> {
        Ok(())
    }

    async fn remove(&self, _domain: &PolicyDomain) -> Result<(), StoreError> {
        Ok(())
    }

    async fn list(
        &self,
        _after: Option<&PolicyDomain>,
        _limit: usize,
    ) -> Result<Vec<PolicyDomain>, StoreError> {
        Ok(Vec::new())
    }
}

/// A DNS without a name.
#[derive(Debug)]
struct NoNames;

#[async_trait]
impl Names for NoNames {
    async fn txt(&self, _name: &str) -> Result<Option<Vec<Vec<u8>>>, NamesError> {
        Ok(None)
    }

    async fn txt_fresh(&self, _name: &str) -> Result<Option<Vec<Vec<u8>>>, NamesError> {
        Ok(None)
    }

    async fn addresses(&self, _host: &str) -> Result<Vec<IpAddr>, NamesError> {
        Ok(Vec::new())
    }
}
