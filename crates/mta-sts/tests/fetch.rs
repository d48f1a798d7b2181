//! Fetching: `mta-sts` host, well-known path, HTTPS and nothing but (RFC 8461 §3.2 and §3.3).

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use mta_sts::{
    FetchError, FetchResultType, FetchSettings, Fetched, Fetcher, Mode, NamesError,
    POLICY_SIZE_MAX, PolicyError, PrivateHosts,
};
use rustls::{CertificateError, HandshakeKind};

use crate::authority::{Authority, Kind};
use crate::policy_host::{Behaviour, PolicyHost, reply};
use crate::scene::{DOMAIN, domain, file};
use crate::zone::{SERVER, Zone};

const HOST: &str = "mta-sts.example.test";

/// A policy host, the names that lead to it, and a fetcher.
struct Fetch {
    zone: Zone,
    host: PolicyHost,
    settings: FetchSettings,
}

impl Fetch {
    async fn new(kind: Kind, names: &[&str], behaviour: Behaviour) -> Self {
        let authority = Authority::new();
        let host = PolicyHost::start(authority.server(kind, names), behaviour).await;
        let zone = Zone::default();
        zone.policy_host(DOMAIN, &[host.ip()]);
        let settings = FetchSettings {
            port: host.port(),
            private_hosts: PrivateHosts::Allowed,
            ..FetchSettings::new(authority.roots())
        };
        Self { zone, host, settings }
    }

    async fn with(behaviour: Behaviour) -> Self {
        Self::new(Kind::Valid, &[HOST], behaviour).await
    }

    async fn fetch(&self) -> Result<Fetched, FetchError> {
        let fetcher = Fetcher::new(self.settings.clone()).unwrap();
        fetcher.fetch(&self.zone, &domain(DOMAIN)).await
    }
}

async fn fetch(behaviour: Behaviour) -> Result<Fetched, FetchError> {
    Fetch::with(behaviour).await.fetch().await
}

async fn certificate_error(kind: Kind, names: &[&str]) -> CertificateError {
    let fetch = Fetch::new(kind, names, Behaviour::policy(&file("enforce"))).await;
    let error = fetch.fetch().await.unwrap_err();
    assert_eq!(error.result_type(), FetchResultType::StsWebpkiInvalid);
    assert!(fetch.host.heard().is_empty(), "nothing is said to a host without proof");
    match error {
        FetchError::Certificate { source, .. } => match source.downcast_ref() {
            Some(rustls::Error::InvalidCertificate(reason)) => reason.clone(),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_policy_is_fetched_from_the_well_known_place_with_sni_and_host() {
    let fetch = Fetch::with(Behaviour::policy(&file("enforce"))).await;
    let fetched = fetch.fetch().await.unwrap();
    assert_eq!(fetched.policy.value.mode(), Mode::Enforce);
    assert_eq!(fetched.address.ip(), fetch.host.ip());

    let heard = fetch.host.heard();
    assert_eq!(heard.len(), 1);
    assert_eq!(heard[0].sni.as_deref(), Some(HOST));
    let request = heard[0].request.to_ascii_lowercase();
    assert!(request.starts_with("get /.well-known/mta-sts.txt http/1.1\r\n"), "{request}");
    assert!(request.contains(&format!("\r\nhost: {HOST}:{}\r\n", fetch.host.port())), "{request}");
    assert!(request.contains("\r\ncache-control: no-cache\r\n"), "{request}");
    assert!(request.contains("\r\naccept-encoding: identity\r\n"), "{request}");
}

#[tokio::test]
async fn a_body_in_a_coding_that_was_not_asked_for_is_refused_by_its_name() {
    for (field, named) in [
        ("Content-Encoding: gzip", "gzip"),
        ("Content-Encoding: Br", "Br"),
        ("Content-Encoding: identity, deflate", "deflate"),
        ("Content-Encoding: identity\r\nContent-Encoding: zstd", "zstd"),
        ("content-encoding: x\"y", "x\"y"),
    ] {
        let headers = format!("Content-Type: text/plain\r\n{field}\r\n");
        let coded = Behaviour::Reply(reply("200 OK", &headers, &file("enforce")));
        let error = fetch(coded).await.unwrap_err();
        assert!(matches!(&error, FetchError::Coding(coding) if coding == named), "{error:?}");
        assert_eq!(error.result_type(), FetchResultType::StsPolicyFetchError);
        assert!(error.in_full().contains(&format!("{named:?}")), "{}", error.in_full());
    }
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: gzip, chunked";
    let error = fetch(Behaviour::Reply(format!("{head}\r\n\r\n0\r\n\r\n").into_bytes())).await;
    assert!(matches!(&error, Err(FetchError::Coding(coding)) if coding == "gzip"), "{error:?}");
    for plain in ["Content-Encoding: identity", "Content-Encoding: Identity ,", "Content-Encoding:"]
    {
        let headers = format!("Content-Type: text/plain\r\n{plain}\r\n");
        fetch(Behaviour::Reply(reply("200 OK", &headers, &file("enforce")))).await.unwrap();
    }
}

#[tokio::test]
async fn only_the_policy_hosts_addresses_are_asked_for() {
    let fetch = Fetch::with(Behaviour::policy(&file("none"))).await;
    fetch.fetch().await.unwrap();
    assert_eq!(fetch.zone.asked(), [format!("addresses {HOST}")]);
}

#[tokio::test]
async fn redirects_are_not_followed() {
    for status in ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"] {
        let fetch =
            Fetch::with(Behaviour::status(status, "Location: /.well-known/mta-sts.txt\r\n")).await;
        let error = fetch.fetch().await.unwrap_err();
        let FetchError::Status(code) = error else { panic!("{status}: {error:?}") };
        assert!(status.starts_with(&code.to_string()));
        assert_eq!(error.result_type(), FetchResultType::StsPolicyFetchError);
        assert_eq!(fetch.host.connections(), 1, "{status}");
    }
}

#[tokio::test]
async fn only_status_200_is_a_policy() {
    for status in ["201 Created", "203 Non-Authoritative", "206 Partial", "404 No", "503 Busy"] {
        let body = reply(status, "Content-Type: text/plain\r\n", &file("enforce"));
        let error = fetch(Behaviour::Reply(body)).await.unwrap_err();
        assert!(matches!(error, FetchError::Status(_)), "{status}: {error:?}");
    }
}

#[tokio::test]
async fn the_media_type_is_text_plain_with_any_parameters_in_any_case() {
    for media_type in [
        "text/plain",
        "Text/PLAIN",
        "text/plain; charset=utf-8",
        "text/plain;charset=us-ascii; format=flowed",
        "text/plain ; x=\"y;z\"",
    ] {
        fetch(Behaviour::typed(media_type, &file("enforce"))).await.unwrap();
    }
    for media_type in ["text/html", "text/plainer", "application/octet-stream", "text", ""] {
        let error = fetch(Behaviour::typed(media_type, &file("enforce"))).await.unwrap_err();
        assert!(matches!(error, FetchError::MediaType(_)), "{media_type}: {error:?}");
    }
    let untyped = Behaviour::Reply(reply("200 OK", "", &file("enforce")));
    assert!(matches!(fetch(untyped).await, Err(FetchError::MediaType(_))));
    let two = "Content-Type: text/plain\r\nContent-Type: text/html\r\n";
    let two = Behaviour::Reply(reply("200 OK", two, &file("enforce")));
    assert!(matches!(fetch(two).await, Err(FetchError::MediaType(_))));
}

/// A policy of just this size.
fn file_of(size: usize) -> String {
    let file = file("enforce");
    let rest = size - file.len() - "x: \n".len();
    format!("{file}x: {}\n", "y".repeat(rest))
}

fn chunked(body: &str) -> Behaviour {
    let mut reply = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\
        Transfer-Encoding: chunked\r\n\r\n"
        .to_owned();
    for chunk in body.as_bytes().chunks(1000) {
        let text = str::from_utf8(chunk).unwrap();
        reply.push_str(&format!("{:x}\r\n{text}\r\n", chunk.len()));
    }
    reply.push_str("0\r\n\r\n");
    Behaviour::Reply(reply.into_bytes())
}

#[tokio::test]
async fn a_policy_of_64_kib_is_read_declared_or_chunked() {
    let file = file_of(POLICY_SIZE_MAX);
    assert_eq!(file.len(), POLICY_SIZE_MAX);
    fetch(Behaviour::policy(&file)).await.unwrap();
    fetch(chunked(&file)).await.unwrap();
}

#[tokio::test]
async fn a_larger_policy_is_refused_declared_or_chunked_or_until_the_end() {
    let file = file_of(POLICY_SIZE_MAX + 1);
    let endless = format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n{file}");
    for behaviour in
        [Behaviour::policy(&file), chunked(&file), Behaviour::Reply(endless.into_bytes())]
    {
        let error = fetch(behaviour).await.unwrap_err();
        assert!(matches!(error, FetchError::TooLarge), "{error:?}");
        assert_eq!(error.result_type(), FetchResultType::StsPolicyFetchError);
    }
}

#[tokio::test]
async fn a_declared_size_is_refused_before_the_body_comes() {
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n",
        POLICY_SIZE_MAX + 1
    );
    let error = fetch(Behaviour::Drip(head.into_bytes())).await.unwrap_err();
    assert!(matches!(error, FetchError::TooLarge), "{error:?}");
}

#[tokio::test]
async fn a_large_head_is_refused() {
    let long = format!("Content-Type: text/plain\r\nX: {}\r\n", "y".repeat(64 * 1024));
    let long = Behaviour::Reply(reply("200 OK", &long, &file("enforce")));
    assert!(matches!(fetch(long).await, Err(FetchError::Http(_))));
    let many = format!("Content-Type: text/plain\r\n{}", "X: y\r\n".repeat(1000));
    let many = Behaviour::Reply(reply("200 OK", &many, &file("enforce")));
    assert!(matches!(fetch(many).await, Err(FetchError::Http(_))));
}

#[tokio::test]
async fn a_policy_cut_short_is_not_a_policy() {
    let whole = reply("200 OK", "Content-Type: text/plain\r\n", &file("enforce"));
    let cut = whole[..whole.len() - 3].to_vec();
    assert!(matches!(fetch(Behaviour::Reply(cut)).await, Err(FetchError::Http(_))));
    assert!(matches!(fetch(Behaviour::Close).await, Err(FetchError::Http(_))));
}

#[tokio::test]
async fn a_slow_drip_ends_with_the_whole_time() {
    let head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n".to_vec();
    for start in [b"HTTP/1.1 2".to_vec(), head] {
        let mut fetch = Fetch::with(Behaviour::Drip(start)).await;
        fetch.settings.timeout = Duration::from_millis(200);
        let error = fetch.fetch().await.unwrap_err();
        assert!(matches!(error, FetchError::TimedOut), "{error:?}");
        assert_eq!(error.result_type(), FetchResultType::StsPolicyFetchError);
    }
}

#[tokio::test]
async fn the_whole_time_covers_the_handshake() {
    let mut fetch = Fetch::with(Behaviour::Silent).await;
    fetch.settings.timeout = Duration::from_millis(50);
    assert!(matches!(fetch.fetch().await, Err(FetchError::TimedOut)));
}

#[tokio::test]
async fn the_certificate_must_name_the_policy_host_in_a_dns_id() {
    for names in [
        ["example.test"],
        ["mta-sts.example.org"],
        ["*.test"],
        ["m*.example.test"],
        ["*.mta-sts.example.test"],
    ] {
        let error = certificate_error(Kind::Valid, &names).await;
        let named = matches!(error, CertificateError::NotValidForNameContext { .. });
        assert!(named, "{names:?}: {error:?}");
    }
    let error = certificate_error(Kind::CommonNameOnly, &[HOST]).await;
    assert!(matches!(error, CertificateError::NotValidForNameContext { .. }), "{error:?}");
}

#[tokio::test]
async fn a_wildcard_may_be_the_whole_left_most_label() {
    let file = file("enforce");
    let fetch = Fetch::new(Kind::Valid, &["*.example.test"], Behaviour::policy(&file)).await;
    fetch.fetch().await.unwrap();
}

#[tokio::test]
async fn the_certificate_must_be_in_date() {
    let error = certificate_error(Kind::Expired, &[HOST]).await;
    assert!(matches!(error, CertificateError::ExpiredContext { .. }), "{error:?}");
    let error = certificate_error(Kind::NotYetValid, &[HOST]).await;
    assert!(matches!(error, CertificateError::NotValidYetContext { .. }), "{error:?}");
}

#[tokio::test]
async fn the_certificate_must_lead_to_a_root() {
    let error = certificate_error(Kind::SelfSigned, &[HOST]).await;
    assert!(matches!(error, CertificateError::UnknownIssuer), "{error:?}");

    let mut fetch = Fetch::with(Behaviour::policy(&file("enforce"))).await;
    fetch.settings.roots = Authority::new().roots();
    let error = fetch.fetch().await.unwrap_err();
    assert_eq!(error.result_type(), FetchResultType::StsWebpkiInvalid);
}

#[tokio::test]
async fn tls_1_2_will_do() {
    let file = file("enforce");
    let fetch = Fetch::new(Kind::ValidTls12, &[HOST], Behaviour::policy(&file)).await;
    fetch.fetch().await.unwrap();
}

#[tokio::test]
async fn what_is_not_tls_is_a_fetch_error_and_not_a_bad_certificate() {
    let error = fetch(Behaviour::NotTls).await.unwrap_err();
    assert!(matches!(error, FetchError::Tls { .. }), "{error:?}");
    assert_eq!(error.result_type(), FetchResultType::StsPolicyFetchError);
}

/// A resumed session would not look at the certificate again.
#[tokio::test]
async fn no_tls_session_is_resumed() {
    for kind in [Kind::Valid, Kind::ValidTls12] {
        let fetch = Fetch::new(kind, &[HOST], Behaviour::policy(&file("enforce"))).await;
        let fetcher = Fetcher::new(fetch.settings.clone()).unwrap();
        fetcher.fetch(&fetch.zone, &domain(DOMAIN)).await.unwrap();
        fetcher.fetch(&fetch.zone, &domain(DOMAIN)).await.unwrap();
        for heard in fetch.host.heard() {
            assert_ne!(heard.handshake, HandshakeKind::Resumed);
        }
    }
}

#[tokio::test]
async fn an_address_that_refuses_is_passed_over() {
    let fetch = Fetch::with(Behaviour::policy(&file("enforce"))).await;
    let refusing: IpAddr = "127.0.0.2".parse().unwrap();
    let none: IpAddr = "::1".parse().unwrap();
    fetch.zone.policy_host(DOMAIN, &[none, refusing, fetch.host.ip()]);
    assert_eq!(fetch.fetch().await.unwrap().address.ip(), fetch.host.ip());
}

#[tokio::test]
async fn an_address_that_is_silent_is_passed_over() {
    let authority = Authority::new();
    let mut fetch = Fetch::with(Behaviour::policy(&file("enforce"))).await;
    let address = SocketAddr::new("127.0.0.3".parse().unwrap(), fetch.host.port());
    let tls = authority.server(Kind::Valid, &[HOST]);
    let silent = PolicyHost::start_at(address, tls, Behaviour::Silent).await;
    fetch.settings.address_timeout = Duration::from_millis(100);
    fetch.zone.policy_host(DOMAIN, &[silent.ip(), fetch.host.ip()]);
    assert_eq!(fetch.fetch().await.unwrap().address.ip(), fetch.host.ip());
    assert_eq!(silent.connections(), 1);
}

#[tokio::test]
async fn of_several_failures_the_bad_certificate_is_reported() {
    let fetch = Fetch::new(Kind::Expired, &[HOST], Behaviour::Close).await;
    let refusing: IpAddr = "127.0.0.2".parse().unwrap();
    fetch.zone.policy_host(DOMAIN, &[fetch.host.ip(), refusing]);
    assert_eq!(fetch.fetch().await.unwrap_err().result_type(), FetchResultType::StsWebpkiInvalid);
}

#[tokio::test]
async fn no_address_and_no_answer_are_told_apart() {
    let fetch = Fetch::with(Behaviour::Close).await;
    fetch.zone.policy_host(DOMAIN, &[]);
    assert!(matches!(fetch.fetch().await, Err(FetchError::NoAddress)));
    fetch.zone.policy_host_fails(DOMAIN, NamesError::ServFail { server: SERVER });
    assert!(matches!(fetch.fetch().await, Err(FetchError::Names(NamesError::ServFail { .. }))));
    let refusing: IpAddr = "127.0.0.2".parse().unwrap();
    fetch.zone.policy_host(DOMAIN, &[refusing]);
    assert!(matches!(fetch.fetch().await, Err(FetchError::Connect { .. })));
}

#[tokio::test]
async fn a_policy_host_on_a_private_address_is_refused_unless_allowed() {
    let mut fetch = Fetch::with(Behaviour::policy(&file("enforce"))).await;
    fetch.settings.private_hosts = PrivateHosts::Refused;
    let error = fetch.fetch().await.unwrap_err();
    assert!(matches!(error, FetchError::PrivateAddress(_)), "{error:?}");
    assert_eq!(fetch.host.connections(), 0);
}

#[tokio::test]
async fn what_is_no_policy_is_an_invalid_policy() {
    let file = "version: STSv1\nmode: enforce\n";
    let error = fetch(Behaviour::policy(file)).await.unwrap_err();
    let FetchError::Policy { source: PolicyError::MaxAge, text } = &error else {
        panic!("{error:?}")
    };
    assert_eq!(&**text, file);
    assert_eq!(error.result_type(), FetchResultType::StsPolicyInvalid);
}

#[tokio::test]
async fn a_policy_comes_with_its_text_faults_included() {
    let file = "version: STSv1\r\nmode: testing\r\nmx: *.example.org\r\noops\r\nmax_age: 86400\r\n";
    let fetched = fetch(Behaviour::policy(file)).await.unwrap();
    assert_eq!(&*fetched.text, file);
    assert!(!fetched.policy.warnings.is_empty());
}

#[tokio::test]
async fn an_error_says_its_causes_in_one_line() {
    let error = fetch(Behaviour::policy("<html>")).await.unwrap_err();
    assert_eq!(error.in_full(), "the policy is invalid: version is missing or not \"STSv1\"");
}
