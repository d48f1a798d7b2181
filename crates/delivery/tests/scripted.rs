//! A peer that follows a script, and routes to it: for the tests of this crate.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use dns::{Lookup, Records, Security, TlsaData, Validation};
use mta_sts::{
    CachedPolicy, Decision, Fallback, FetchSettings, Fetcher, MxHost, NextHop, OpenHost, Policies,
    Policy, PolicyDomain, PolicyId, PolicySettings, Purpose, RequiredTls, VerifiedRoute,
};
use rustls::ServerConfig;
use smtp::Domain;
use tls_policy::{
    DaneDemand, DaneInputs, DaneLookup, DaneSettings, EncryptedRoute, HostDane, HostNaming,
    HostRequirement, Inputs, MatchedRoute, MessageDemand, NamedRoute, SettledRoute,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::authority::Authority;
use crate::line_io::Stream;
use crate::policy_world::{Names, OnePolicy};
use crate::settings::DeliverySettings;
use crate::target::TlsRequirement;

/// One step of a peer.
pub(crate) enum Act {
    /// Waits for a line that begins so.
    Hears(&'static str),
    /// Waits for the beginning of a TLS handshake.
    HearsHello,
    /// Waits for lines up to a single dot.
    HearsMessage,
    /// Says nothing more, until the client hangs up.
    IsSilent,
    /// Sends this.
    Says(&'static str),
    /// Shakes hands as a TLS server.
    StartsTls(Arc<ServerConfig>),
}

/// A peer that follows a script and then hangs up.
pub(crate) struct Peer(JoinSet<Vec<String>>);

impl Peer {
    /// The stream to talk to it, and the peer.
    pub(crate) fn new(script: Vec<Act>) -> (DuplexStream, Self) {
        let (near, far) = duplex(64 * 1024);
        let mut tasks = JoinSet::new();
        tasks.spawn(play(Box::new(far), script));
        (near, Self(tasks))
    }

    /// All lines it has heard, the last one "(end)" if the client hung up too early.
    pub(crate) async fn heard(mut self) -> Vec<String> {
        self.0.join_next().await.unwrap().unwrap()
    }
}

async fn play(mut stream: Box<dyn SendStream>, script: Vec<Act>) -> Vec<String> {
    let mut heard = Vec::new();
    for act in script {
        match act {
            Act::Says(text) => {
                // A client need not hear it to the end.
                if stream.write_all(text.as_bytes()).await.is_err() {
                    heard.push("(end)".to_owned());
                    return heard;
                }
            }
            Act::Hears(beginning) => {
                let line = line(&mut stream).await;
                heard.push(line.clone());
                if line == "(end)" {
                    return heard;
                }
                assert!(line.starts_with(beginning), "{line:?} is not {beginning:?}");
            }
            Act::HearsHello => assert_eq!(stream.read_u8().await.unwrap(), 22),
            Act::HearsMessage => loop {
                let line = line(&mut stream).await;
                heard.push(line.clone());
                if line == "." || line == "(end)" {
                    break;
                }
            },
            Act::IsSilent => {
                // A client that gives TLS up does not say so.
                stream.read_to_end(&mut Vec::new()).await.ok();
            }
            Act::StartsTls(config) => match TlsAcceptor::from(config).accept(stream).await {
                Ok(tls) => stream = Box::new(tls),
                Err(_refused) => {
                    heard.push("(no tls)".to_owned());
                    return heard;
                }
            },
        }
        stream.flush().await.ok();
    }
    heard
}

trait SendStream: Stream + Send {}

impl<S: Stream + Send> SendStream for S {}

async fn line(stream: &mut Box<dyn SendStream>) -> String {
    let mut line = Vec::new();
    loop {
        match stream.read_u8().await {
            Ok(b'\n') => break,
            Ok(byte) => line.push(byte),
            Err(_end) => return "(end)".to_owned(),
        }
    }
    String::from_utf8(line).unwrap().trim_end_matches('\r').to_owned()
}

/// A policy for `example.org` that names `mx.example.org`, in this mode.
pub(crate) fn policy(mode: &str) -> Policy {
    policy_for(mode, 86_400)
}

fn policy_for(mode: &str, max_age: u32) -> Policy {
    let text = format!("version: STSv1\nmode: {mode}\nmx: mx.example.org\nmax_age: {max_age}\n");
    Policy::parse(text.as_bytes()).unwrap().value
}

/// A day in 2026, when the policies of these tests were fetched.
pub(crate) fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000)
}

/// The policies of a world in which at most `example.org` has one.
pub(crate) fn policies(mode: Option<&str>) -> Policies {
    world_of(mode.map(|mode| cached("example.org", "a1", policy(mode))))
}

fn cached(domain: &str, id: &str, policy: Policy) -> CachedPolicy {
    let (domain, id) = (PolicyDomain::parse(domain).unwrap(), PolicyId::parse(id).unwrap());
    CachedPolicy::new(domain, id, policy, now())
}

fn world_of(cached: Option<CachedPolicy>) -> Policies {
    let fetcher = Fetcher::new(FetchSettings::new(Authority::new().roots())).unwrap();
    let store = Arc::new(OnePolicy(cached));
    Policies::new(PolicySettings::default(), Arc::new(Names(Ok(()))), store, fetcher)
}

pub(crate) fn next_hop() -> NextHop {
    NextHop::Domain(PolicyDomain::parse("example.org").unwrap())
}

async fn decide(mode: Option<&str>) -> Decision {
    let purpose = Purpose::Delivery { queued_for: Duration::ZERO };
    policies(mode).decide(&next_hop(), purpose, now()).await.unwrap()
}

/// What an enforced policy of `domain` asks for; it names `mx.example.org`.
pub(crate) async fn required_of(domain: &str, id: &str, max_age: u32) -> RequiredTls {
    let policies = world_of(Some(cached(domain, id, policy_for("enforce", max_age))));
    let purpose = Purpose::Delivery { queued_for: Duration::ZERO };
    let next_hop = NextHop::Domain(PolicyDomain::parse(domain).unwrap());
    let decision = policies.decide(&next_hop, purpose, now()).await.unwrap();
    let Decision::Require(required) = decision else { panic!() };
    required
}

/// Licence to send to this next hop, which has no policy.
pub(crate) async fn fallback_to(next_hop: &NextHop) -> Fallback {
    let purpose = Purpose::Delivery { queued_for: Duration::ZERO };
    let decision = policies(None).decide(next_hop, purpose, now()).await.unwrap();
    let Decision::Permit(fallback) = decision else { panic!() };
    fallback
}

pub(crate) async fn required() -> RequiredTls {
    let Decision::Require(required) = decide(Some("enforce")).await else { panic!() };
    required
}

pub(crate) async fn fallback(mode: Option<&str>) -> Fallback {
    let Decision::Permit(fallback) = decide(mode).await else { panic!() };
    fallback
}

/// What the DNS says of a host where nobody validates: it has no DANE.
fn no_dane(decision: &Decision, host: &OpenHost) -> HostDane {
    let inputs = DaneInputs {
        decision,
        host,
        port: 25,
        naming: &HostNaming::Insecure,
        settings: DaneSettings::default(),
        validation: Validation::Inactive,
    };
    let DaneLookup::Answered(answer) = DaneLookup::begin(&inputs) else { panic!() };
    answer
}

/// The secure TLSA records of `mx.example.org`, as the lookup finds them.
pub(crate) async fn records(data: Vec<TlsaData>) -> HostDane {
    let host = OpenHost::Name(MxHost::parse("mx.example.org").unwrap());
    let naming = HostNaming::a_priori(&MxHost::parse("mx.example.org").unwrap());
    let decision = Decision::Permit(fallback(None).await);
    let inputs = DaneInputs {
        decision: &decision,
        host: &host,
        port: 25,
        naming: &naming,
        settings: DaneSettings::default(),
        validation: Validation::Active,
    };
    let DaneLookup::Addresses(question) = DaneLookup::begin(&inputs) else { panic!() };
    let address: IpAddr = [192, 0, 2, 1].into();
    let DaneLookup::Tlsa(question) = question.answer(&Ok(secure(vec![address]))) else { panic!() };
    let DaneLookup::Answered(answer) = question.answer(Ok(secure(data))) else { panic!() };
    answer
}

fn secure<T>(records: Vec<T>) -> Lookup<T> {
    let (security, valid_for) = (Security::Secure, Duration::ZERO);
    Lookup::Found(Records { records, security, canonical: None, valid_for })
}

/// What a session with `mx.example.org` needs in a world without exceptions and routes.
fn admission<'a>(
    decision: &'a Decision,
    host: &'a OpenHost,
    dane: &'a HostDane,
) -> HostRequirement<'a> {
    let route: &TlsRequirement = &TlsRequirement::AsPolicy;
    Inputs { decision, route, host, dane, demand: DaneDemand::None, message: MessageDemand::None }
        .requirement()
        .unwrap()
}

/// A route to `mx.example.org` under an enforced policy, and these records if there are any.
pub(crate) async fn verified_route_under(dane: Option<HostDane>) -> NamedRoute<VerifiedRoute> {
    let decision = Decision::Require(required().await);
    let host = OpenHost::Name(MxHost::parse("mx.example.org").unwrap());
    let dane = dane.unwrap_or_else(|| no_dane(&decision, &host));
    let HostRequirement::Verified(host) = admission(&decision, &host, &dane) else { panic!() };
    host.route().unwrap()
}

/// A route to `mx.example.org` under an enforced policy.
pub(crate) async fn verified_route() -> NamedRoute<VerifiedRoute> {
    verified_route_under(None).await
}

/// A route to `mx.example.org`, which has these records of use, under a policy of this mode.
pub(crate) async fn matched_route(mode: Option<&str>, dane: &HostDane) -> MatchedRoute {
    let decision = Decision::Permit(fallback(mode).await);
    let host = OpenHost::Name(MxHost::parse("mx.example.org").unwrap());
    let HostRequirement::Matched(host) = admission(&decision, &host, dane) else { panic!() };
    host.route().unwrap()
}

/// A route to `mx.example.org`, whose records are of no use.
pub(crate) async fn encrypted_route(dane: &HostDane) -> EncryptedRoute {
    let decision = Decision::Permit(fallback(None).await);
    let host = OpenHost::Name(MxHost::parse("mx.example.org").unwrap());
    let HostRequirement::Encrypted(host) = admission(&decision, &host, dane) else { panic!() };
    host.route().unwrap()
}

/// A route to `host` that nothing protects.
pub(crate) async fn open_route(mode: Option<&str>, host: &str) -> SettledRoute {
    let decision = Decision::Permit(fallback(mode).await);
    let host = OpenHost::Name(MxHost::parse(host).unwrap());
    let dane = no_dane(&decision, &host);
    let HostRequirement::Open(host) = admission(&decision, &host, &dane) else { panic!() };
    host.route().unwrap()
}

pub(crate) fn settings() -> Arc<DeliverySettings> {
    Arc::new(DeliverySettings::new(Domain::parse("relay.example.com").unwrap()))
}
