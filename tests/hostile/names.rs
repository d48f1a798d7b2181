//! Forged answers of the DNS for a domain whose enforced policy is known.
//!
//! The policy came over HTTPS from a host that proved its name; the answers prove nothing. So they
//! may keep mail waiting, and must not have it returned (RFC 8461 §5 and §10.1).

use std::time::Duration;

use queue::{Filter, QueueId};
use testbed::{Fault, MxBehaviour, MxHost, RecordType};

use crate::world::{PATIENCE, RelayInWorld, looked};

const DAY: Duration = Duration::from_secs(86_400);

/// The hosts are looked up for each message, and no sender gets a notice of delay.
const SETTINGS: &str = "delivery.connection_idle = \"0s\"\ndelivery.delay_notice = \"0s\"";

/// What somebody says of a domain in its name.
#[derive(Clone, Copy, Debug)]
enum Forgery {
    /// Its CNAME records form a loop.
    AliasLoop,
    /// It is an alias of a name that does not exist.
    AliasOfNothing,
    /// Its MX record names an address, as text.
    MxIsAnAddress,
    /// Its MX records name no host: one by the root, others by an address.
    MxWithoutHost,
    /// It exists and has no records.
    NoData,
    /// It does not exist.
    NoSuchDomain,
    /// It exists, and its MX host does not.
    NoSuchHost,
    /// It takes no mail (RFC 7505).
    NullMx,
    /// Its only MX host is this relay.
    OurName,
    /// So is its best one.
    OurNameFirst,
    /// Its MX host has the address of this relay.
    OurAddress,
    /// Its MX hosts are none that the policy names.
    OtherHosts,
    /// Its MX records cannot be looked up.
    ServFail,
}

const FORGERIES: [Forgery; 13] = [
    Forgery::AliasLoop,
    Forgery::AliasOfNothing,
    Forgery::MxIsAnAddress,
    Forgery::MxWithoutHost,
    Forgery::NoData,
    Forgery::NoSuchDomain,
    Forgery::NoSuchHost,
    Forgery::NullMx,
    Forgery::OurName,
    Forgery::OurNameFirst,
    Forgery::OurAddress,
    Forgery::OtherHosts,
    Forgery::ServFail,
];

/// The name of the relay of these tests.
const OURS: &str = "relay.test";

/// A domain that somebody speaks for.
#[derive(Debug)]
struct Victim {
    forgery: Forgery,
    domain: String,
    mx: MxHost,
}

impl Victim {
    /// A domain with an enforced policy.
    async fn enforcing(relay: &RelayInWorld, forgery: Forgery) -> Self {
        let domain = format!("{forgery:?}.test").to_lowercase();
        let mx = relay.enforcing_domain(&domain, MxBehaviour::valid()).await;
        Self { forgery, domain, mx }
    }

    /// A domain without a policy.
    async fn open(relay: &RelayInWorld, forgery: Forgery) -> Self {
        let domain = format!("open-{forgery:?}.test").to_lowercase();
        let mx = relay.domain(&domain, MxBehaviour::valid()).await;
        Self { forgery, domain, mx }
    }

    async fn submit(&self, relay: &RelayInWorld) -> QueueId {
        relay.submit(&[&format!("<bob@{}>", self.domain)]).await
    }

    fn forge(&self, relay: &RelayInWorld) {
        let (names, domain) = (relay.world.names(), self.domain.as_str());
        let mx = |preference, exchange: &str| {
            drop(relay.world.domain(domain).mx_named(preference, exchange));
        };
        let alone = |exchange: &str| {
            names.remove_all(domain);
            mx(10, exchange);
        };
        match self.forgery {
            Forgery::AliasLoop => {
                names.remove_all(domain);
                names.add_cname(domain, "round.test");
                names.add_cname("round.test", domain);
            }
            Forgery::AliasOfNothing => {
                names.remove_all(domain);
                names.add_cname(domain, "nowhere.test");
            }
            Forgery::MxIsAnAddress => alone("192.0.2.1"),
            Forgery::MxWithoutHost => {
                alone(".");
                mx(20, "192.0.2.1");
                mx(30, "192.0.2.2");
            }
            Forgery::NoData => names.fail(domain, Fault::NoData),
            Forgery::NoSuchDomain => names.fail(domain, Fault::NxDomain),
            Forgery::NoSuchHost => names.fail(self.mx.name(), Fault::NxDomain),
            Forgery::NullMx => drop(relay.world.domain(domain).null_mx()),
            Forgery::OurName => alone(OURS),
            Forgery::OurNameFirst => mx(1, OURS),
            Forgery::OurAddress => {
                names.remove(self.mx.name(), RecordType::A);
                names.add_address(self.mx.name(), relay.listener().ip());
            }
            Forgery::OtherHosts => {
                alone("mx.other.test");
                mx(20, "mx.another.test");
            }
            Forgery::ServFail => names.fail(domain, Fault::ServFail),
        }
    }

    /// Has the names say again what is true.
    fn mend(&self, relay: &RelayInWorld) {
        let (names, host) = (relay.world.names(), self.mx.name());
        for name in [self.domain.as_str(), host] {
            names.mend(name);
            names.remove_all(name);
        }
        names.add_address(host, self.mx.address().ip());
        drop(relay.world.domain(&self.domain).mx(10, &self.mx));
    }
}

/// The ids of what is in the queue.
fn queued(relay: &RelayInWorld) -> Vec<QueueId> {
    let messages = looked(relay.queue().store().list(&Filter::default(), None, 100)).unwrap();
    messages.into_iter().map(|message| message.id).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_the_dns_alone_says_returns_mail_while_a_policy_is_in_force() {
    let relay = RelayInWorld::start_with(SETTINGS).await;
    let sender = relay.domain("sender.test", MxBehaviour::valid()).await;
    let mut victims = Vec::new();
    for forgery in FORGERIES {
        let victim = Victim::enforcing(&relay, forgery).await;
        let id = victim.submit(&relay).await;
        victims.push((victim, id));
    }
    // The policy of each is known from the first message on.
    for (victim, id) in &victims {
        victim.mx.wait_for_messages(1, PATIENCE).await.unwrap();
        relay.gone(*id).await;
        victim.forge(&relay);
    }
    relay.world.forget_messages();
    relay.world.tap().forget();

    let mut held = Vec::new();
    for (victim, _) in &victims {
        held.push(victim.submit(&relay).await);
    }
    for (attempt, wait) in [(1, None), (2, Some(DAY)), (3, Some(3 * DAY))] {
        if let Some(wait) = wait {
            relay.pass(wait).await;
        }
        for ((victim, _), id) in victims.iter().zip(&held) {
            let reasons = relay.deferred(*id, attempt).await;
            let [reason] = &reasons[..] else { panic!("{victim:?}: {reasons:?}") };
            assert!(reason.enhanced.to_string().starts_with("4."), "{victim:?}: {reason:?}");
            assert!(reason.text.contains(&victim.domain), "{victim:?}: {reason:?}");
        }
    }
    let mut waiting = queued(&relay);
    waiting.sort_unstable();
    held.sort_unstable();
    assert_eq!(waiting, held, "{}", relay.story());
    assert_eq!(sender.messages(), [], "{}", relay.story());
    assert!(relay.world.tap().envelope().is_empty(), "{}", relay.story());

    for (victim, _) in &victims {
        victim.mend(&relay);
    }
    relay.retry().await;
    for (victim, _) in &victims {
        let messages = victim.mx.wait_for_messages(1, PATIENCE).await.unwrap();
        let sni = messages[0].tls.as_ref().and_then(|tls| tls.sni.as_deref());
        assert_eq!(sni, Some(victim.mx.name()), "{victim:?}");
    }
    relay.empty().await;
    relay.is_well_behaved();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_domain_with_a_policy_that_is_gone_for_good_is_told_at_the_end_of_the_lifetime() {
    for (forgery, words) in [
        (Forgery::NoSuchDomain, "nosuchdomain.test does not exist"),
        (Forgery::NullMx, "nullmx.test does not accept mail"),
        (Forgery::OurName, "loops back to this relay"),
    ] {
        let relay = RelayInWorld::start_with(SETTINGS).await;
        let sender = relay.domain("sender.test", MxBehaviour::valid()).await;
        let victim = Victim::enforcing(&relay, forgery).await;
        let id = victim.submit(&relay).await;
        relay.gone(id).await;
        victim.forge(&relay);

        let id = victim.submit(&relay).await;
        let reasons = relay.deferred(id, 1).await;
        assert!(reasons[0].text.contains("MTA-STS policy"), "{reasons:?}");
        relay.pass(5 * DAY + DAY / 24).await;
        let returned = sender.wait_for_messages(1, PATIENCE).await.unwrap();
        let text = returned[0].text().replace("\r\n", " ");
        assert!(text.contains(words), "{text}");
        assert!(text.contains("MTA-STS policy"), "{text}");
        relay.empty().await;
    }
}

/// Without a policy there is nothing but the DNS to go by (RFC 5321 §5.1, RFC 7505 §4.1).
#[tokio::test(flavor = "multi_thread")]
async fn without_a_policy_the_same_answers_return_mail_at_once() {
    let relay = RelayInWorld::start().await;
    let sender = relay.domain("sender.test", MxBehaviour::valid()).await;
    let forgeries = [
        Forgery::AliasOfNothing,
        Forgery::MxIsAnAddress,
        Forgery::MxWithoutHost,
        Forgery::NoData,
        Forgery::NoSuchDomain,
        Forgery::NullMx,
        Forgery::OurName,
        Forgery::OurAddress,
    ];
    for forgery in forgeries {
        let victim = Victim::open(&relay, forgery).await;
        victim.forge(&relay);
        victim.submit(&relay).await;
    }
    sender.wait_for_messages(forgeries.len(), PATIENCE).await.unwrap();
    relay.empty().await;
}
