use rustls::pki_types::ServerName;
use rustls::{ClientConfig, version};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

use super::*;
use crate::certificate::Certificate;
use crate::policy_text::PolicyText;
use crate::tls::Handshake;
use crate::tls::{TlsVersions, provider};
use crate::world::World;

const SOON: Duration = Duration::from_secs(10);
const SHORT: Duration = Duration::from_millis(100);
const PATH: &str = "/.well-known/mta-sts.txt";
const NAME: &str = "mta-sts.example.test";

/// Fetches as a plain HTTPS client does: all that comes until the end.
async fn get(world: &World, host: &PolicyHost, path: &str) -> io::Result<String> {
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&version::TLS12, &version::TLS13])
        .unwrap()
        .with_root_certificates(world.authority().roots())
        .with_no_client_auth();
    let stream = TcpStream::connect(host.address()).await?;
    let name = ServerName::try_from(NAME).unwrap();
    let mut tls = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {NAME}\r\nUser-Agent: test\r\n\r\n");
    tls.write_all(request.as_bytes()).await?;
    let mut response = Vec::new();
    match tls.read_to_end(&mut response).await {
        // The connection closed without a closing alert, as it is told to here and there.
        Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => return Err(error),
        Ok(_) | Err(_) => {}
    }
    Ok(String::from_utf8(response).unwrap())
}

async fn response_to(behaviour: impl Into<PolicyBehaviour>) -> String {
    let world = World::new().await;
    let host = world.policy_host("example.test", behaviour).await;
    get(&world, &host, PATH).await.unwrap()
}

#[tokio::test]
async fn a_good_host_serves_its_policy_and_remembers_who_asked() {
    let world = World::new().await;
    let policy = PolicyText::enforce(["mx.example.test"]);
    let host = world.domain("example.test").policy(policy.clone()).await;
    let response = get(&world, &host, PATH).await.unwrap();
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: "));
    assert_eq!(body, policy.to_string());
    assert!(get(&world, &host, "/elsewhere").await.unwrap().starts_with("HTTP/1.1 404 "));

    let fetches = host.fetches();
    assert_eq!(fetches[0].path(), PATH);
    assert_eq!(fetches[0].header("host"), Some(NAME));
    assert_eq!(fetches[1].path(), "/elsewhere");
    let Handshake::Completed(session) = &host.visits()[0].handshake else { panic!("no TLS") };
    assert_eq!((session.sni.as_deref(), session.version.as_str()), (Some(NAME), "TLSv1_3"));
}

#[tokio::test]
async fn what_a_host_does_may_be_changed_while_it_runs() {
    let world = World::new().await;
    let host = world.policy_host("example.test", "one").await;
    assert!(get(&world, &host, PATH).await.unwrap().ends_with("\r\n\r\none"));
    host.behave("two");
    assert!(get(&world, &host, PATH).await.unwrap().ends_with("\r\n\r\ntwo"));
    let same = world.policy_host("example.test", "three").await;
    assert_eq!(same.address(), host.address());
    assert!(get(&world, &host, PATH).await.unwrap().ends_with("\r\n\r\nthree"));
    assert_eq!(host.fetches().len(), 3);
    host.forget();
    assert!(host.visits().is_empty());
}

#[tokio::test]
async fn status_codes_redirects_and_media_types_are_as_told() {
    assert!(response_to(PolicyBehaviour::status(503)).await.starts_with("HTTP/1.1 503 "));
    let redirect = response_to(PolicyBehaviour::redirect(301, "https://other.test/")).await;
    assert!(redirect.starts_with("HTTP/1.1 301 "));
    assert!(redirect.contains("\r\nLocation: https://other.test/\r\n"));
    let html = response_to(PolicyBehaviour::serve("x").media_type("text/html")).await;
    assert!(html.contains("\r\nContent-Type: text/html\r\n"));
    assert!(!response_to(PolicyBehaviour::serve("x").without_media_type()).await.contains("Type"));
    assert_eq!(response_to(PolicyBehaviour::raw("220 not HTTP\r\n")).await, "220 not HTTP\r\n");
}

#[tokio::test]
async fn bodies_are_framed_as_told() {
    let chunked = response_to(PolicyBehaviour::serve("text").chunked()).await;
    assert!(chunked.contains("\r\nTransfer-Encoding: chunked\r\n"));
    assert!(chunked.ends_with("\r\n\r\n4\r\ntext\r\n0\r\n\r\n"));
    let endless = response_to(PolicyBehaviour::serve("text").until_close()).await;
    assert!(endless.ends_with("\r\n\r\ntext") && !endless.contains("Length"));
    let truncated = response_to(PolicyBehaviour::serve("text").truncated()).await;
    assert!(truncated.contains("\r\nContent-Length: 104\r\n") && truncated.ends_with("\r\ntext"));
    let policy = PolicyText::enforce(["mx.example.test"]);
    let oversize = response_to(PolicyBehaviour::oversize(&policy, 70_000)).await;
    assert!(oversize.len() > 70_000 && oversize.contains(&policy.to_string()));
}

#[tokio::test]
async fn a_dripping_body_takes_its_time() {
    let begun = Instant::now();
    let pace = Duration::from_millis(20);
    let response = response_to(PolicyBehaviour::serve("12345").dripping(pace)).await;
    assert!(response.ends_with("12345"));
    assert!(begun.elapsed() >= pace * 5);
    let chunks = response_to(PolicyBehaviour::serve("12").chunked().dripping(pace)).await;
    assert!(chunks.ends_with("1\r\n1\r\n1\r\n2\r\n0\r\n\r\n"));
}

#[tokio::test]
async fn a_bad_certificate_is_seen_for_what_it_is() {
    let world = World::new().await;
    let host = world.policy_host("example.test", "text").await;
    for (certificate, error) in [
        (Certificate::WrongName, "not valid for name"),
        (Certificate::CommonNameOnly, "not valid for name"),
        (Certificate::Expired, "expired"),
        (Certificate::NotYetValid, "not valid yet"),
        (Certificate::SelfSigned, "UnknownIssuer"),
        (Certificate::OtherAuthority, "UnknownIssuer"),
    ] {
        let told = format!("{certificate:?}");
        host.behave(PolicyBehaviour::serve("text").with_certificate(certificate));
        let seen = get(&world, &host, PATH).await.unwrap_err().to_string();
        assert!(seen.contains(error), "{told}: {seen}");
    }
    host.wait_for_visits(6, SOON).await.unwrap();
    assert!(host.fetches().is_empty());
    for visit in host.visits() {
        let Handshake::Failed { sni, why } = visit.handshake else { panic!("no failure") };
        assert_eq!(sni.as_deref(), Some(NAME));
        assert!(why.contains("alert"), "{why}");
    }
}

#[tokio::test]
async fn a_host_that_closes_gives_nothing() {
    let world = World::new().await;
    let host = world.policy_host("example.test", PolicyBehaviour::closing()).await;
    get(&world, &host, PATH).await.unwrap_err();
    host.behave(PolicyBehaviour::closing_after_request());
    assert_eq!(get(&world, &host, PATH).await.unwrap(), "");
    let handshakes: Vec<_> = host.visits().into_iter().map(|v| v.request.is_some()).collect();
    assert_eq!(handshakes, [false, true]);
}

#[tokio::test]
async fn a_silent_host_keeps_its_client_waiting() {
    let world = World::new().await;
    let host = world.policy_host("example.test", PolicyBehaviour::silent()).await;
    assert!(timeout(SHORT, get(&world, &host, PATH)).await.is_err());
    host.behave(PolicyBehaviour::silent_after_request());
    assert!(timeout(SHORT * 5, get(&world, &host, PATH)).await.is_err());
    host.wait_for_fetches(1, SOON).await.unwrap();
    assert_eq!(host.wait_for_fetches(2, SHORT).await.unwrap_err().len(), 2);
}

#[tokio::test]
async fn versions_are_limited_as_told() {
    let world = World::new().await;
    let old = PolicyBehaviour::serve("text").with_versions(TlsVersions::Tls12);
    let host = world.policy_host("example.test", old).await;
    get(&world, &host, PATH).await.unwrap();
    let Handshake::Completed(session) = &host.visits()[0].handshake else { panic!("no TLS") };
    assert_eq!(session.version, "TLSv1_2");
}

#[tokio::test]
async fn a_host_that_went_away_refuses_and_comes_back() {
    let world = World::new().await;
    let host = world.policy_host("example.test", "text").await;
    host.close().await;
    assert!(TcpStream::connect(host.address()).await.is_err());
    host.open().await.unwrap();
    assert!(get(&world, &host, PATH).await.unwrap().ends_with("text"));
}
