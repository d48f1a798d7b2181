//! How exceptions end: at their time, and before it once the host has passed without them.

use std::time::Duration;

use admin::api::exceptions::{ListedException, exception_query};
use admin::client::Client;
use clock::Clock as _;
use mta_sts::{
    CertificateDigest, Exception, ExceptionEnding, ExceptionScope, Lifts, MxHost, PolicyDomain,
};
use testbed::{Certificate, MxBehaviour, MxHost as Host, PolicyText};

use crate::world::RelayInWorld;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);

const DOMAIN: &str = "bad.test";

async fn client(relay: &RelayInWorld) -> Client {
    Client::connect(&relay.settings().admin_socket).await.unwrap().unwrap()
}

/// Grants an exception for a day.
async fn grant(relay: &RelayInWorld, scope: ExceptionScope, ending: ExceptionEnding) {
    let (domain, now) = (PolicyDomain::parse(DOMAIN).unwrap(), relay.clock.now());
    let exception = Exception::new(domain, now + 24 * HOUR, "#4711", now).unwrap();
    let query = exception_query(&exception.of(scope).granted("", ending));
    let path = format!("/exceptions/{DOMAIN}{query}");
    let granted: Option<ListedException> = client(relay).await.post(&path).await.unwrap();
    assert!(granted.is_some());
}

async fn listed(relay: &RelayInWorld) -> Vec<ListedException> {
    client(relay).await.get("/exceptions").await.unwrap().unwrap()
}

/// The three kinds of exceptions from an enforced policy.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Certificate,
    Domain,
    Host,
}

/// A relay without idle connections, and the host of a domain that does not meet its policy.
async fn broken(kind: Kind) -> (RelayInWorld, Host) {
    let settings = "delivery.connection_idle = \"0s\"\n";
    let relay = RelayInWorld::start_with(settings).await;
    let host = relay.enforcing_domain(DOMAIN, MxBehaviour::valid()).await;
    break_it(&relay, &host, kind).await;
    (relay, host)
}

async fn break_it(relay: &RelayInWorld, host: &Host, kind: Kind) {
    match kind {
        Kind::Certificate | Kind::Domain => {
            host.behave(MxBehaviour::presenting(Certificate::SelfSigned));
        }
        Kind::Host => {
            let policy = PolicyText::enforce(["old.bad.test"]);
            relay.world.domain(DOMAIN).sts("2").policy(policy).await;
        }
    }
}

async fn mend(relay: &RelayInWorld, host: &Host, kind: Kind) {
    match kind {
        Kind::Certificate | Kind::Domain => host.behave(MxBehaviour::valid()),
        Kind::Host => {
            let policy = PolicyText::enforce([host.name()]);
            relay.world.domain(DOMAIN).sts("3").policy(policy).await;
        }
    }
}

fn scope(kind: Kind, host: &Host) -> ExceptionScope {
    match kind {
        Kind::Certificate => {
            let shown = crate::exceptions_narrow::shown(host);
            ExceptionScope::Certificate(shown.parse::<CertificateDigest>().unwrap())
        }
        Kind::Domain => ExceptionScope::Domain(Lifts::MtaSts),
        Kind::Host => ExceptionScope::Host(MxHost::parse(host.name()).unwrap()),
    }
}

/// Sends a message over a session of its own.
async fn send(relay: &RelayInWorld) {
    let id = relay.submit(&["<a@bad.test>"]).await;
    relay.gone(id).await;
}

async fn hold(relay: &RelayInWorld) {
    let id = relay.submit(&["<a@bad.test>"]).await;
    drop(relay.deferred(id, 1).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exception_ends_once_its_host_has_passed_in_three_sessions_over_an_hour() {
    for kind in [Kind::Certificate, Kind::Host, Kind::Domain] {
        let (relay, host) = broken(kind).await;
        grant(&relay, scope(kind, &host), ExceptionEnding::OncePassed).await;
        send(&relay).await;
        mend(&relay, &host, kind).await;
        relay.clock.advance(10 * MINUTE);
        for _ in 0..4 {
            send(&relay).await;
        }
        assert_eq!(listed(&relay).await.len(), 1, "{kind:?}: no hour has passed");
        relay.clock.advance(HOUR);
        send(&relay).await;
        let mut look = client(&relay).await;
        let gone = async {
            while look.get::<Vec<ListedException>>("/exceptions").await.unwrap() != Some(Vec::new())
            {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(crate::world::PATIENCE, gone).await.expect("the exception ends");
        break_it(&relay, &host, kind).await;
        hold(&relay).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exception_that_is_to_be_kept_ends_at_its_time_and_then_opens_nothing() {
    for kind in [Kind::Certificate, Kind::Host, Kind::Domain] {
        let (relay, host) = broken(kind).await;
        grant(&relay, scope(kind, &host), ExceptionEnding::AtItsTime).await;
        send(&relay).await;
        for _ in 0..4 {
            relay.clock.advance(HOUR);
            send(&relay).await;
        }
        assert_eq!(listed(&relay).await.len(), 1, "{kind:?}");
        assert_eq!(host.messages().len(), 5);
        relay.clock.advance(20 * HOUR);
        hold(&relay).await;
        assert_eq!(listed(&relay).await, [], "{kind:?}");
        assert_eq!(host.messages().len(), 5);
    }
}

/// What is accepted by one mechanism says nothing to the other (RFC 7672 §2.2).
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_accepted_still_has_to_match_tlsa_records() {
    let relay = RelayInWorld::start().await;
    relay.world.names().authenticate(DOMAIN);
    let behaviour = MxBehaviour::presenting(Certificate::SelfSigned);
    let host = relay.enforcing_domain(DOMAIN, behaviour).await;
    relay.world.add_tlsa(host.name(), (3, 1, 1), &[7; 32]);
    grant(&relay, scope(Kind::Certificate, &host), ExceptionEnding::OncePassed).await;
    hold(&relay).await;
    assert_eq!(host.messages(), []);
    relay.world.add_tlsa(host.name(), (3, 0, 0), &host.certificate_chain()[0]);
    relay.pass(HOUR).await;
    relay.empty().await;
    assert_eq!(host.messages().len(), 1);
}
