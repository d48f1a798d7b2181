use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hickory_resolver::proto::op::{Edns, Message, ResponseCode};
use hickory_resolver::proto::rr::rdata::opt::EdnsOption;
use hickory_resolver::proto::rr::rdata::{A, SOA};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use smtp::Domain;
use tokio::sync::watch;
use tokio::time::timeout;

use super::{found, label};
use crate::name_server::{Reply, Scripted, let_pass, response_to, settings, text};
use crate::servers::{SHORTEST_REST, SPACING};
use crate::standing::{Change, ServerState};
use crate::{Dns, DnsSettings, Dnssec, Resolver, Security, Validation};

/// How a server stands to DNSSEC, which may change while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// It validates; `forged.test` is a forgery, `failing.test` has servers that fail, and
    /// `silent.test` is not answered for.
    Validates,
    /// The zone of the tests is no longer signed.
    Leaves,
    /// It knows nothing of DNSSEC.
    ClearsAd,
    /// It calls everything secure.
    SetsAd,
    /// It lets forgeries through, as insecure.
    Permits,
    /// It turns NXDOMAIN into an address of its own.
    RewritesNxDomain,
    /// It turns NXDOMAIN into SERVFAIL.
    FailsNxDomain,
    /// The signatures that it gets have been stripped, so it calls everything forged.
    FindsAllForged,
    /// It is not there.
    Silent,
}

/// A server that goes a way.
struct Wayward {
    server: Scripted,
    way: Arc<Mutex<Way>>,
}

impl Wayward {
    async fn new(way: Way) -> Self {
        let way = Arc::new(Mutex::new(way));
        let current = Arc::clone(&way);
        let server = Scripted::serve(move |request, _| {
            let way = *current.lock().unwrap();
            answer_in(way, request)
        })
        .await;
        Self { server, way }
    }

    fn turns(&self, way: Way) {
        *self.way.lock().unwrap() = way;
    }

    /// How often it was asked for a name of the tests.
    fn asked(&self) -> usize {
        self.server.log.all().iter().filter(|asked| asked.record_type == RecordType::TXT).count()
    }

    /// How often it was tested.
    fn tests(&self) -> usize {
        self.server.log.all().iter().filter(|asked| asked.record_type == RecordType::SOA).count()
    }
}

fn answer_in(way: Way, request: &Message) -> Reply {
    let mut response = response_to(request);
    let name = request.queries[0].name().to_ascii();
    let checked = !request.metadata.checking_disabled;
    let is_forged = matches!(name.as_str(), "forged.test." | "bogus.test.");
    let finds_forgery =
        matches!(way, Way::Validates | Way::Leaves) && is_forged || way == Way::FindsAllForged;
    if way == Way::Silent || way == Way::Validates && name == "silent.test." {
        return Reply::KeepSilent;
    }
    if way == Way::Validates && name == "failing.test." {
        response.metadata.response_code = ResponseCode::ServFail;
        return Reply::Say(response);
    }
    if finds_forgery && checked {
        response.metadata.response_code = ResponseCode::ServFail;
        let mut edns = Edns::new();
        edns.options_mut().insert(EdnsOption::Unknown(15, vec![0, 6]));
        response.edns = Some(edns);
        return Reply::Say(response);
    }
    response.metadata.authentic_data = match way {
        Way::Validates | Way::RewritesNxDomain | Way::SetsAd => true,
        Way::Permits => !is_forged,
        Way::Leaves => name != "leaves.test.",
        Way::ClearsAd | Way::FailsNxDomain | Way::FindsAllForged | Way::Silent => false,
    };
    if name.starts_with("_25._tcp.") {
        response.metadata.response_code = match way {
            Way::RewritesNxDomain => ResponseCode::NoError,
            Way::FailsNxDomain => ResponseCode::ServFail,
            Way::Validates
            | Way::Leaves
            | Way::ClearsAd
            | Way::SetsAd
            | Way::Permits
            | Way::FindsAllForged
            | Way::Silent => ResponseCode::NXDomain,
        };
    } else if request.queries[0].query_type() == RecordType::SOA {
        let root = SOA::new(Name::root(), Name::root(), 1, 2, 3, 4, 5);
        response.add_answer(Record::from_rdata(Name::root(), 300, RData::SOA(root)));
        response.metadata.authentic_data |= way == Way::FailsNxDomain;
    } else if request.queries[0].query_type() == RecordType::A {
        let owner = request.queries[0].name().clone();
        let address = RData::A(A([192, 0, 2, 1].into()));
        response.add_answer(Record::from_rdata(owner, 300, address));
    } else {
        let dnssec_ok = request.edns.as_ref().is_some_and(|edns| edns.flags().dnssec_ok);
        text(&mut response, if dnssec_ok { "do" } else { "plain" });
    }
    Reply::Say(response)
}

/// Settings under which these servers are tested.
fn tested(servers: &[&Wayward]) -> DnsSettings {
    let addresses: Vec<SocketAddr> = servers.iter().map(|one| one.server.address).collect();
    DnsSettings {
        dnssec: Dnssec::Auto,
        bogus_probe: Domain::parse("bogus.test").ok(),
        timeout: Duration::from_millis(600),
        attempts: 1,
        ..settings(&addresses)
    }
}

fn state(state: &ServerState) -> String {
    match state {
        ServerState::Distrusted => "distrusted".to_owned(),
        ServerState::Fails(why) => why.to_string(),
        ServerState::Untested => "untested".to_owned(),
        ServerState::Validates => "validates".to_owned(),
    }
}

#[tokio::test]
async fn a_server_whose_word_cannot_count_is_found_out_and_holds_nothing_up() {
    let table = [
        (Way::Validates, "validates", Security::Secure, "do"),
        (
            Way::ClearsAd,
            "it does not vouch for the root zone, which is signed",
            Security::Insecure,
            "plain",
        ),
        (
            Way::SetsAd,
            "it resolves bogus.test, whose signatures are wrong on purpose",
            Security::Insecure,
            "plain",
        ),
        (
            Way::Permits,
            "it resolves bogus.test, whose signatures are wrong on purpose",
            Security::Insecure,
            "plain",
        ),
        (
            Way::RewritesNxDomain,
            "it says that a name exists which does not",
            Security::Insecure,
            "plain",
        ),
        (
            Way::FindsAllForged,
            "SOA lookup for the root zone failed: DNSSEC validation failed",
            Security::Insecure,
            "plain",
        ),
    ];
    for (way, expected, security, said) in table {
        let server = Wayward::new(way).await;
        let resolver = Resolver::new(tested(&[&server])).unwrap();
        let records = found(resolver.txt("example.test").await);
        let states = resolver.states().await;
        assert_eq!(state(&states[0].1), expected, "{way:?}");
        assert_eq!((records.security, records.records), (security, vec![said.into()]), "{way:?}");
        let validation = resolver.validation();
        assert_eq!(validation == Validation::Active, security == Security::Secure, "{way:?}");
    }
    let server = Wayward::new(Way::FailsNxDomain).await;
    let resolver = Resolver::new(tested(&[&server])).unwrap();
    let why = state(&resolver.states().await[0].1);
    assert!(why.starts_with("TLSA lookup for a name that does not exist failed"), "{why}");
    assert_eq!(found(resolver.txt("example.test").await).security, Security::Insecure);
}

#[tokio::test]
async fn whose_word_counts_is_a_matter_of_the_settings_too() {
    let server = Wayward::new(Way::Validates).await;
    let elsewhere: SocketAddr = "192.0.2.53:53".parse().unwrap();
    for (dnssec, security, said) in [
        (Dnssec::Auto, Security::Secure, "do"),
        (Dnssec::TrustAd, Security::Secure, "do"),
        (Dnssec::Off, Security::Insecure, "plain"),
    ] {
        let mut settings = tested(&[&server]);
        settings.dnssec = dnssec;
        let records = found(Resolver::new(settings.clone()).unwrap().txt("example.test").await);
        assert_eq!((records.security, records.records), (security, vec![said.into()]));
        // A server elsewhere is not even tested.
        settings.servers.push(elsewhere);
        let states = Resolver::new(settings).unwrap().states().await;
        let is_tested = !states[1].1.is_distrusted();
        assert_eq!(is_tested, dnssec == Dnssec::TrustAd);
    }
}

#[tokio::test]
async fn beside_a_server_that_validates_no_other_one_is_asked() {
    for first in [Way::Validates, Way::ClearsAd] {
        let second = if first == Way::Validates { Way::ClearsAd } else { Way::Validates };
        let (one, two) = (Wayward::new(first).await, Wayward::new(second).await);
        let resolver = Resolver::new(tested(&[&one, &two])).unwrap();
        assert_eq!(found(resolver.txt("example.test").await).security, Security::Secure);
        assert_eq!(label(resolver.txt("forged.test").await), "bogus");
        assert_eq!(label(resolver.txt("failing.test").await), "servfail");
        assert_eq!(label(resolver.txt("silent.test").await), "timeout");
        let other = if first == Way::Validates { &two } else { &one };
        assert_eq!(other.asked(), 0, "{first:?}");
    }
}

/// Runs the tests of a resolver's servers beside what a test does, which is told of every change.
async fn while_tested<T>(
    resolver: &Resolver,
    act: impl AsyncFnOnce(watch::Receiver<Vec<String>>) -> T,
) -> T {
    let (told, changes) = watch::channel(Vec::new());
    let kept = resolver.keep_testing(|states| {
        told.send_replace(states.iter().map(|(_, now)| state(now)).collect());
    });
    tokio::select! {
        () = kept => unreachable!(),
        done = act(changes) => done,
    }
}

#[tokio::test]
async fn when_the_server_that_validates_is_gone_the_others_are_asked_and_it_counts_again_later() {
    let (good, other) = (Wayward::new(Way::Validates).await, Wayward::new(Way::ClearsAd).await);
    let mut settings = tested(&[&good, &other]);
    settings.timeout = Duration::from_secs(3);
    settings.attempts = 2;
    let resolver = Resolver::new(settings).unwrap();
    while_tested(&resolver, async |mut changes| {
        changes.changed().await.unwrap();
        assert_eq!(found(resolver.txt("one.test").await).security, Security::Secure);
        let_pass(SPACING).await;
        good.turns(Way::Silent);
        assert_eq!(found(resolver.txt("two.test").await).security, Security::Insecure);
        assert_eq!(resolver.validation(), Validation::Inactive);
        good.turns(Way::Validates);
        let_pass(SHORTEST_REST).await;
        changes.wait_for(|states| states[0] == "validates").await.unwrap();
        // What was remembered meanwhile is not taken for insecure any longer.
        assert_eq!(found(resolver.txt("two.test").await).security, Security::Secure);
    })
    .await;
}

#[tokio::test]
async fn a_server_that_calls_everything_forged_all_at_once_is_tested_and_then_asked_unchecked() {
    let server = Wayward::new(Way::Validates).await;
    let mut settings = tested(&[&server]);
    settings.timeout = Duration::from_secs(3);
    let resolver = Resolver::new(settings).unwrap();
    while_tested(&resolver, async |mut changes| {
        changes.changed().await.unwrap();
        // A name that is forged indeed stays so.
        assert_eq!(label(resolver.txt("forged.test").await), "bogus");
        assert_eq!(resolver.validation(), Validation::Active);
        let_pass(SPACING).await;
        server.turns(Way::FindsAllForged);
        assert_eq!(found(resolver.txt("one.test").await).security, Security::Insecure);
        assert_eq!(resolver.validation(), Validation::Inactive);
    })
    .await;
}

#[tokio::test]
async fn an_answer_that_is_no_longer_secure_is_reason_to_test_at_once() {
    let (one, two) = (Wayward::new(Way::Validates).await, Wayward::new(Way::Validates).await);
    let mut settings = tested(&[&one, &two]);
    settings.timeout = Duration::from_secs(6);
    let resolver = Resolver::new(settings).unwrap();
    while_tested(&resolver, async |mut changes| {
        changes.changed().await.unwrap();
        assert_eq!(found(resolver.txt("one.test").await).security, Security::Secure);
        let_pass(SPACING).await;
        one.turns(Way::ClearsAd);
        // The other validates: no lookup that was secure goes without proof, and no other one later.
        for name in ["one.test", "two.test"] {
            let again = resolver.txt_fresh(name).await;
            assert_eq!(found(again).security, Security::Secure, "{name}");
        }
        let states = resolver.states().await.into_iter().map(|(_, now)| state(&now));
        let clears = "it does not vouch for the root zone, which is signed";
        assert_eq!(states.collect::<Vec<_>>(), [clears, "validates"]);
        assert_eq!(resolver.validation(), Validation::Active);
    })
    .await;
}

#[tokio::test]
async fn a_zone_that_is_no_longer_signed_costs_one_test_and_stays_insecure() {
    let server = Wayward::new(Way::Validates).await;
    let mut settings = tested(&[&server]);
    settings.timeout = Duration::from_secs(6);
    let resolver = Resolver::new(settings).unwrap();
    while_tested(&resolver, async |mut changes| {
        changes.changed().await.unwrap();
        assert_eq!(found(resolver.txt("leaves.test").await).security, Security::Secure);
        let_pass(SPACING).await;
        server.turns(Way::Leaves);
        for _ in 0..2 {
            let again = resolver.txt_fresh("leaves.test").await;
            assert_eq!(found(again).security, Security::Insecure);
        }
        assert_eq!(resolver.validation(), Validation::Active);
        assert_eq!(server.tests(), 2, "at first, and once when the proof was lost");
    })
    .await;
}

#[tokio::test]
async fn a_test_that_fails_once_changes_nothing() {
    let server = Wayward::new(Way::Validates).await;
    let resolver = Resolver::new(tested(&[&server])).unwrap();
    assert_eq!(found(resolver.txt("one.test").await).security, Security::Secure);
    server.turns(Way::ClearsAd);
    let servers = &resolver.servers;
    let mut again = std::pin::pin!(servers.test_again());
    // The second test is a while later.
    assert!(timeout(Duration::from_millis(100), &mut again).await.is_err());
    assert_eq!(resolver.validation(), Validation::Active);
    server.turns(Way::Validates);
    assert_eq!(again.await, Change::Unchanged);
    server.turns(Way::ClearsAd);
    assert_eq!(servers.test_again().await, Change::Changed);
    assert_eq!(resolver.validation(), Validation::Inactive);
}
