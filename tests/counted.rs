//! A relay that counts deliveries for TLS reports, and what it has counted.

use std::sync::Arc;

use clock::SystemClock;
use reporting::Tallies;
use store::Store;
use store_embedded::{Embedded, StoreSettings};
use testbed::{MxBehaviour, MxHost, PolicyBehaviour, PolicyText, World};
use tls_rpt::{AppliedPolicy, Day, DomainName, DomainTally, Row};

use crate::left_reports::leave;
use crate::world::RelayInWorld;

/// The settings with which reports are made.
pub(crate) const REPORTS: &str = "tls_rpt.contact = \"tls@relay.test\"";

/// A record that asks for reports.
pub(crate) const RECORD: &str = "v=TLSRPTv1; rua=mailto:tls@reports.test";

/// What becomes of the mail of a case.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Mail {
    Delivered,
    Waits,
}

/// A relay that counts, and what it is expected to have counted.
pub(crate) struct Counted {
    pub(crate) relay: RelayInWorld,
    /// By domain: policy type, result type and reason, and how often.
    pub(crate) expected: Vec<(String, Vec<String>)>,
}

impl Counted {
    pub(crate) async fn start(settings: &str) -> Self {
        let relay = RelayInWorld::start_with(&format!("{REPORTS}\n{settings}")).await;
        Self { relay, expected: Vec::new() }
    }

    /// Publishes a record for a domain whose host behaves like this.
    pub(crate) async fn domain(&self, domain: &str, behaviour: MxBehaviour) -> MxHost {
        let mx = self.relay.domain(domain, behaviour).await;
        self.relay.world.domain(domain).tls_rpt_record(RECORD);
        mx
    }

    /// The same, with a policy.
    pub(crate) async fn policy(
        &self,
        domain: &str,
        behaviour: MxBehaviour,
        policy: impl Into<PolicyBehaviour>,
    ) -> MxHost {
        let mx = self.domain(domain, behaviour).await;
        self.relay.world.domain(domain).sts("1").policy(policy).await;
        mx
    }

    /// The same, with an enforced policy that names the host.
    pub(crate) async fn enforced(&self, domain: &str, behaviour: MxBehaviour) -> MxHost {
        let policy = PolicyText::enforce([format!("mx.{domain}")]);
        self.policy(domain, behaviour, policy).await
    }

    /// Sends mail to a domain and waits for what comes of it.
    pub(crate) async fn send(&mut self, domain: &str, mail: Mail, rows: &[&str]) {
        let id = self.relay.submit(&[&format!("<bob@{domain}>")]).await;
        match mail {
            Mail::Delivered => self.relay.gone(id).await,
            Mail::Waits => drop(self.relay.deferred(id, 1).await),
        }
        let rows = rows.iter().map(|row| (*row).to_owned()).collect();
        self.expected.push((domain.to_owned(), rows));
    }

    /// Stops the relay; what it has left in the store.
    pub(crate) async fn stop(&mut self) -> Kept {
        self.relay.stop().await;
        Kept::open(&self.relay)
    }

    /// Stops the relay, and compares what it has counted.
    pub(crate) async fn check(self) {
        drop(self.compared().await);
    }

    /// The same, of hosts that were skipped before there was a policy to quote.
    pub(crate) async fn check_without_a_policy(self) {
        for (domain, tally) in self.compared().await {
            let quoted = tally.rows().flat_map(|(row, _)| row.policy.strings());
            assert_eq!(quoted.count(), 0, "{domain}");
        }
    }

    /// Stops the relay, and gives what it has counted, which is as expected.
    async fn compared(mut self) -> Vec<(String, DomainTally)> {
        let kept = self.stop().await;
        let mut tallies = Vec::new();
        for (domain, expected) in self.expected {
            assert_eq!(kept.rows(&domain).await, expected, "{domain}\n{}", self.relay.world.tap());
            tallies.extend(kept.tally(&domain).await.map(|tally| (domain, tally)));
        }
        tallies
    }
}

/// The store of a relay that does not run.
pub(crate) fn open_store(world: &World) -> Arc<dyn Store> {
    let settings = StoreSettings::new(world.directory().join("data/queue"));
    Arc::new(Embedded::open(settings, Arc::new(SystemClock)).unwrap())
}

/// So many sessions with hosts of a domain without a policy, which succeeded.
pub(crate) fn succeeded(domain: &str, sessions: u64) -> DomainTally {
    let name = DomainName::parse(domain).unwrap();
    let policy = Arc::new(AppliedPolicy::none(name.clone()));
    let mut tally = DomainTally::new(name);
    tally.count(Row { policy, failure: None }, sessions);
    tally
}

/// What is kept of a relay that was stopped.
pub(crate) struct Kept {
    pub(crate) tallies: Tallies,
    pub(crate) day: Day,
}

impl Kept {
    pub(crate) fn open(relay: &RelayInWorld) -> Self {
        Self::open_in(&relay.world, Day::parse("2030-01-01").unwrap())
    }

    pub(crate) fn open_in(world: &World, day: Day) -> Self {
        Self { tallies: Tallies::new(&open_store(world)), day }
    }

    pub(crate) async fn tally(&self, domain: &str) -> Option<DomainTally> {
        let domain = DomainName::parse(domain).unwrap();
        let tally = self.tallies.read(self.day, &domain).await.unwrap();
        tally.iter().for_each(|tally| leave(self.day, tally));
        tally
    }

    /// What was counted for a domain, in words.
    pub(crate) async fn rows(&self, domain: &str) -> Vec<String> {
        let tally = self.tally(domain).await;
        let words = tally.iter().flat_map(DomainTally::rows).map(|(row, sessions)| {
            let mut words = vec![row.policy.policy_type().to_string()];
            match &row.failure {
                None => words.push("success".to_owned()),
                Some(failure) => {
                    words.push(failure.result_type.to_string());
                    words.extend(failure.failure_reason_code.map(|reason| reason.to_string()));
                }
            }
            format!("{} {sessions}", words.join(" "))
        });
        words.collect()
    }
}
