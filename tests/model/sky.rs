//! What policies come from in a world: its DNS, its policy hosts, and the store of the sender.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use mta_sts::{CachedPolicy, Names, NamesError, PolicyDomain, PolicyStore, StoreError};
use testbed::World;

use super::scenario::{Published, Served, Txt};

/// The domains of a world: neither has a part in the other's policy, one being its parent or not.
pub(super) const DOMAINS: [&str; 2] = ["example.test", "sub.example.test"];

/// Every policy host that was needed so far, each with its one behaviour for good: a world turns to
/// another host instead of changing one, so that worlds can share them.
#[derive(Debug)]
pub(super) struct Hosts {
    pub(super) world: World,
    pub(super) known: tokio::sync::Mutex<HashMap<Served, Vec<IpAddr>>>,
}

impl Hosts {
    /// The addresses of a host that does this.
    pub(super) async fn of(&self, served: Served) -> Vec<IpAddr> {
        let mut known = self.known.lock().await;
        if let Some(addresses) = known.get(&served) {
            return addresses.clone();
        }
        let names: Vec<_> = DOMAINS.iter().map(|domain| format!("mta-sts.{domain}")).collect();
        let addresses = match served.behaviour(&names) {
            Some(behaviour) => {
                let domain = format!("host{}.test", known.len());
                vec![self.world.policy_host(&domain, behaviour).await.address().ip()]
            }
            None if served == Served::Unreachable => vec![self.world.address()],
            None => Vec::new(),
        };
        known.insert(served, addresses.clone());
        addresses
    }
}

/// What the two domains publish, as the DNS tells it.
#[derive(Debug)]
pub(super) struct Sky {
    pub(super) published: [Published; 2],
    pub(super) addresses: [Vec<IpAddr>; 2],
    /// How often a policy host was looked for, which every fetch begins with.
    pub(super) fetches: [usize; 2],
}

/// The DNS of a world.
#[derive(Clone, Debug)]
pub(super) struct Zone(pub(super) Arc<Mutex<Sky>>);

impl Zone {
    pub(super) fn sky(&self) -> MutexGuard<'_, Sky> {
        self.0.lock().unwrap()
    }

    fn answer(&self, name: &str) -> Result<Option<Vec<Vec<u8>>>, NamesError> {
        let txt = self.sky().published[number_of(name, "_mta-sts.")].txt;
        match txt {
            Txt::Absent => Ok(None),
            Txt::ServFail => Err(NamesError::ServFail { server: RESOLVER }),
            Txt::TimedOut => Err(NamesError::TimedOut),
            Txt::BesideOthers(_) | Txt::Garbled | Txt::Id(_) | Txt::NotSts | Txt::Two(_) => {
                Ok(Some(txt.records().into_iter().map(String::into_bytes).collect()))
            }
        }
    }
}

/// The resolver that is said to answer.
const RESOLVER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 53);

/// Which of the domains a name belongs to; nothing but these names is ever to be asked for.
fn number_of(name: &str, prefix: &str) -> usize {
    let domain = name.strip_prefix(prefix).unwrap_or_else(|| panic!("asked for {name}"));
    DOMAINS.iter().position(|one| *one == domain).unwrap_or_else(|| panic!("asked for {name}"))
}

#[async_trait]
impl Names for Zone {
    async fn txt(&self, name: &str) -> Result<Option<Vec<Vec<u8>>>, NamesError> {
        self.answer(name)
    }

    async fn txt_fresh(&self, name: &str) -> Result<Option<Vec<Vec<u8>>>, NamesError> {
        self.answer(name)
    }

    async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, NamesError> {
        let number = number_of(host, "mta-sts.");
        let mut sky = self.sky();
        sky.fetches[number] += 1;
        if sky.published[number].served == Served::NoAnswerFromDns {
            return Err(NamesError::ServFail { server: RESOLVER });
        }
        Ok(sky.addresses[number].clone())
    }
}

/// A store that keeps bytes, as a real one does, and outlives the sender.
#[derive(Clone, Debug, Default)]
pub(super) struct Store(pub(super) Arc<Mutex<BTreeMap<PolicyDomain, Vec<u8>>>>);

#[async_trait]
impl PolicyStore for Store {
    async fn find(&self, domain: &PolicyDomain) -> Result<Option<CachedPolicy>, StoreError> {
        let bytes = self.0.lock().unwrap().get(domain).cloned();
        Ok(bytes.as_deref().map(CachedPolicy::from_bytes).transpose()?)
    }

    async fn keep(&self, policy: &CachedPolicy) -> Result<(), StoreError> {
        self.0.lock().unwrap().insert(policy.domain().clone(), policy.to_bytes());
        Ok(())
    }

    async fn remove(&self, domain: &PolicyDomain) -> Result<(), StoreError> {
        self.0.lock().unwrap().remove(domain);
        Ok(())
    }

    async fn list(
        &self,
        _after: Option<&PolicyDomain>,
        _limit: usize,
    ) -> Result<Vec<PolicyDomain>, StoreError> {
        unreachable!("nothing is listed here")
    }
}
