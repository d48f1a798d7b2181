//! Resolvers that get DNSSEC wrong, and that stop and start, under load: no mail to a signed domain waits
//! for a resolver of ours, and while one validates none leaves to a host that does not match its
//! TLSA records.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use testbed::{Fault, MxBehaviour, MxHost, Resolver, ResolverBehaviour, Sender, World};
use tokio::task::JoinSet;

use crate::process_in_world::ProcessInWorld;
use crate::world::{MESSAGE, PATIENCE, SENDER, submit};

/// The zone that is signed; what is not in it is not.
const SIGNED: &str = "signed.test";

/// Where Docker has its forwarder in each container.
const DOCKER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 11));

/// How many hand in mail at the same time, and how many messages each of them has for each domain.
const CLIENTS: usize = 4;
const MESSAGES: usize = 8;

/// What is taken of each domain while it is under load once.
const ALL: usize = CLIENTS * MESSAGES;

/// What becomes of mail to a host that matches none of its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unmatched {
    Held,
    Leaves,
}

/// The domains that mail is sent to.
struct Domains {
    /// Signed; its host matches its TLSA record.
    matching: MxHost,
    /// Signed; its host matches none.
    unmatched: MxHost,
    /// Signed, without TLSA records.
    bare: MxHost,
    /// Not signed, with a record that its host does not match.
    unsigned: MxHost,
}

impl Domains {
    async fn new(world: &World) -> Self {
        let host = async |domain: &str| {
            let host = world.mx(&format!("mx.{domain}"), MxBehaviour::valid()).await;
            world.domain(domain).mx(10, &host);
            // A policy that cannot be told makes mail wait by itself; here all can tell that there is none.
            world.names().add_txt(&format!("_mta-sts.{domain}"), "none");
            host
        };
        let domains = Self {
            matching: host(&format!("matching.{SIGNED}")).await,
            unmatched: host(&format!("unmatched.{SIGNED}")).await,
            bare: host(&format!("bare.{SIGNED}")).await,
            unsigned: host("unsigned.test").await,
        };
        let leaf = domains.matching.certificate_chain().remove(0);
        for host in [&domains.matching, &domains.unmatched, &domains.unsigned] {
            world.add_tlsa(host.name(), (3, 0, 0), &leaf);
        }
        domains
    }

    /// Those whose mail never waits.
    fn never_held(&self) -> [&MxHost; 3] {
        [&self.matching, &self.bare, &self.unsigned]
    }

    /// Waits until each whose mail never waits has taken so much, and no more.
    async fn have_taken(&self, messages: usize, relay: &ProcessInWorld) {
        for host in self.never_held() {
            let taken = host.wait_for_messages(messages, PATIENCE).await;
            assert!(taken.is_ok(), "{}: {}", host.name(), relay.relay.said());
            assert_eq!(host.messages().len(), messages, "{}", host.name());
        }
    }
}

/// A world with a signed zone, and a name that is forged.
async fn world() -> World {
    let world = World::new().await;
    world.names().authenticate(SIGNED);
    world.names().add_address("dnssec-failed.org", world.address());
    world.names().fail("dnssec-failed.org", Fault::Bogus);
    world
}

/// Hands in mail to all domains, from many clients at the same time.
async fn load(listener: SocketAddr) {
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        clients.spawn(async move {
            let mut client = Sender::connect(listener).await.unwrap();
            assert!(client.ehlo("client.test").await.unwrap().is_positive());
            for _ in 0..MESSAGES {
                for domain in ["matching", "unmatched", "bare"] {
                    let to = format!("<bob@{domain}.{SIGNED}>");
                    submit(&mut client, SENDER, &[&to], MESSAGE).await;
                }
                submit(&mut client, SENDER, &["<bob@unsigned.test>"], MESSAGE).await;
            }
        });
    }
    drop(clients.join_all().await);
}

/// How many lines the relay has logged with this in them.
fn logged(relay: &ProcessInWorld, text: &str) -> usize {
    relay.relay.log_lines().iter().filter(|line| line.contains(text)).count()
}

const ACTIVE: &str = "DANE active";
const INACTIVE: &str = "DANE inactive";

/// Whether the relay has put off mail to anybody but the host that does not match.
fn nothing_else_is_put_off(relay: &ProcessInWorld) {
    let put_off = relay.relay.log_lines().into_iter().filter(|line| line.contains(" deferred "));
    let others: Vec<_> = put_off.filter(|line| !line.contains("to=\"bob@unmatched.")).collect();
    assert_eq!(others, Vec::<String>::new());
}

/// Puts a relay with these resolvers under load, and looks at what becomes of the mail.
async fn judge(world: World, resolvers: &[&Resolver], unmatched: Unmatched) {
    let addresses: Vec<SocketAddr> = resolvers.iter().map(|one| one.address()).collect();
    let relay = ProcessInWorld::start_with_resolvers(world, &addresses, "").await;
    let domains = Domains::new(&relay.world).await;
    load(relay.listener).await;
    domains.have_taken(ALL, &relay).await;
    let asked = |host: &MxHost| relay.world.names().queries(&relay.world.tlsa_name(host.name()));
    match unmatched {
        Unmatched::Held => {
            relay.relay.logged(" deferred ", ALL).await;
            assert_eq!(domains.unmatched.messages(), []);
            assert_eq!(logged(&relay, INACTIVE), 0, "{}", relay.relay.said());
            // Which record was matched, of whose data a line has a part.
            let matched = logged(&relay, &format!(" tlsa=\"{} 3 0 0 ", domains.matching.name()));
            let cut = logged(&relay, " octets)\" protection=\"dane\"");
            assert_eq!((matched, cut), (ALL, ALL), "{}", relay.relay.said());
        }
        Unmatched::Leaves => {
            domains.unmatched.wait_for_messages(ALL, PATIENCE).await.unwrap();
            assert_eq!(logged(&relay, INACTIVE), 1, "{}", relay.relay.said());
            let tlsa = [&domains.matching, &domains.unmatched, &domains.bare].map(asked);
            assert_eq!(tlsa, [0; 3], "records were asked for that nobody can vouch for");
        }
    }
    assert_eq!(asked(&domains.unsigned), 0, "an unsigned domain was asked for TLSA records");
    nothing_else_is_put_off(&relay);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resolver_that_gets_dnssec_wrong_holds_no_mail() {
    for behaviour in [
        ResolverBehaviour::ClearsAd,
        ResolverBehaviour::FailsNxDomain,
        ResolverBehaviour::FindsAllForged,
        ResolverBehaviour::KnowsNoDnssec,
        ResolverBehaviour::RewritesNxDomain,
        ResolverBehaviour::SetsAd,
    ] {
        let world = world().await;
        let resolver = world.resolver(world.address(), behaviour).await;
        judge(world, &[&resolver], Unmatched::Leaves).await;
    }
}

/// It passes on what a resolver says that validates; nobody knows which one.
#[tokio::test(flavor = "multi_thread")]
async fn docker_s_forwarder_holds_no_mail() {
    let world = world().await;
    let resolver = world.resolver(DOCKER, ResolverBehaviour::Validates).await;
    judge(world, &[&resolver], Unmatched::Leaves).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_one_that_validates_no_wrong_resolver_is_asked_for_mail() {
    let world = world().await;
    let wrong = world.resolver(world.address(), ResolverBehaviour::SetsAd).await;
    let right = world.resolver(world.address(), ResolverBehaviour::Validates).await;
    judge(world, &[&wrong, &right], Unmatched::Held).await;
    assert!(wrong.questions() < 10, "not only for its test: {}", wrong.questions());
}

/// A relay under load in a world with one resolver that validates, and maybe another one that does not.
async fn start(with: Option<ResolverBehaviour>) -> (ProcessInWorld, Domains, Vec<Resolver>) {
    let world = world().await;
    let mut resolvers = vec![world.resolver(world.address(), ResolverBehaviour::Validates).await];
    if let Some(behaviour) = with {
        resolvers.push(world.resolver(world.address(), behaviour).await);
    }
    let addresses: Vec<SocketAddr> = resolvers.iter().map(Resolver::address).collect();
    let relay = ProcessInWorld::start_with_resolvers(world, &addresses, "").await;
    let domains = Domains::new(&relay.world).await;
    relay.relay.logged(ACTIVE, 1).await;
    (relay, domains, resolvers)
}

/// One that is restarted holds up the lookups of a moment, and no mail.
#[tokio::test(flavor = "multi_thread")]
async fn a_validator_that_is_restarted_under_load_holds_no_mail() {
    let (relay, domains, resolvers) = start(None).await;
    let restart = async {
        domains.matching.wait_for_messages(1, PATIENCE).await.unwrap();
        resolvers[0].stop().await;
        let asked = resolvers[0].questions();
        resolvers[0].restart().await.unwrap();
        asked
    };
    let ((), asked) = tokio::join!(load(relay.listener), restart);
    domains.have_taken(ALL, &relay).await;
    assert!(resolvers[0].questions() > asked, "it was not asked again");
    relay.relay.logged(" deferred ", ALL).await;
    assert_eq!(domains.unmatched.messages(), []);
    nothing_else_is_put_off(&relay);
    assert_eq!(logged(&relay, INACTIVE), 0);
}

/// While it is gone the other is asked, and nothing waits; once it is back its word counts again.
#[tokio::test(flavor = "multi_thread")]
async fn a_validator_that_stops_under_load_holds_no_mail_and_counts_again_once_it_is_back() {
    let (relay, domains, resolvers) = start(Some(ResolverBehaviour::ClearsAd)).await;
    let stop = async {
        domains.matching.wait_for_messages(1, PATIENCE).await.unwrap();
        assert_eq!(domains.unmatched.messages(), []);
        resolvers[0].stop().await;
    };
    tokio::join!(load(relay.listener), stop);
    domains.have_taken(ALL, &relay).await;
    relay.relay.logged(INACTIVE, 1).await;
    // Nobody knows of its records any more.
    let before = domains.unmatched.messages().len();
    load(relay.listener).await;
    domains.have_taken(2 * ALL, &relay).await;
    domains.unmatched.wait_for_messages(before + ALL, PATIENCE).await.unwrap();
    resolvers[0].restart().await.unwrap();
    relay.relay.logged_within(2 * PATIENCE, ACTIVE, 2).await;
    let before = domains.unmatched.messages().len();
    let held = logged(&relay, " deferred ");
    load(relay.listener).await;
    domains.have_taken(3 * ALL, &relay).await;
    relay.relay.logged(" deferred ", held + ALL).await;
    assert_eq!(domains.unmatched.messages().len(), before, "{}", relay.relay.said());
    nothing_else_is_put_off(&relay);
}

/// Its upstream strips the signatures from now on.
#[tokio::test(flavor = "multi_thread")]
async fn a_validator_that_finds_everything_forged_under_load_holds_no_mail() {
    let (relay, domains, resolvers) = start(None).await;
    let strip = async {
        domains.matching.wait_for_messages(1, PATIENCE).await.unwrap();
        resolvers[0].behave(ResolverBehaviour::FindsAllForged);
    };
    tokio::join!(load(relay.listener), strip);
    domains.have_taken(ALL, &relay).await;
    relay.relay.logged(INACTIVE, 1).await;
    nothing_else_is_put_off(&relay);
}

/// A validator that clears AD from some moment on is found out by the first answer that was secure before:
/// beside another one nothing leaves unmatched meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn a_validator_that_begins_to_clear_ad_is_found_out_at_once() {
    let (relay, domains, resolvers) = start(Some(ResolverBehaviour::Validates)).await;
    // The lookups of one wave are not remembered for the next.
    relay.world.names().keep_for(std::time::Duration::ZERO);
    load(relay.listener).await;
    domains.have_taken(ALL, &relay).await;
    relay.relay.logged(" deferred ", ALL).await;
    resolvers[0].behave(ResolverBehaviour::ClearsAd);
    load(relay.listener).await;
    domains.have_taken(2 * ALL, &relay).await;
    relay.relay.logged("resolver no longer validates DNSSEC", 1).await;
    relay.relay.logged(" deferred ", 2 * ALL).await;
    assert_eq!(domains.unmatched.messages(), []);
    assert_eq!(logged(&relay, INACTIVE), 0);
    nothing_else_is_put_off(&relay);
}
