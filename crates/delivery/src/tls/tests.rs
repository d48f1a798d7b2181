//! Handshakes with good and bad servers, over a pipe.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use clock::SystemClock;
use dane::{Association, ReferenceNames, SecureRecords, TlsaRecord};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use tls_rpt::ResultType;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::dane::{HeldTo, Shaken};
use super::danger::Observing;
use super::handshake_failure::{HandshakeFailure, result_type};
use super::verdict::Verdict;
use super::webpki::WebPki;
use crate::authority::{Authority, Flaw};

const LIMIT: Duration = Duration::from_secs(10);

/// The far end of a pipe, where a server with this configuration answers "hello".
fn serve(tasks: &mut JoinSet<()>, config: Arc<ServerConfig>) -> DuplexStream {
    let (near, far) = duplex(64 * 1024);
    tasks.spawn(async move {
        if let Ok(mut stream) = TlsAcceptor::from(config).accept(far).await {
            stream.write_all(b"hello").await.ok();
            stream.shutdown().await.ok();
        }
    });
    near
}

fn name(text: &str) -> ServerName<'static> {
    ServerName::try_from(text.to_owned()).unwrap()
}

fn webpki(authority: &Authority) -> WebPki {
    WebPki::new(authority.roots(), Arc::new(SystemClock)).unwrap()
}

fn observing(authority: &Authority) -> Observing {
    Observing::new(authority.roots(), Arc::new(SystemClock)).unwrap()
}

/// Certificates that do not prove `mx.example.org`, and what RFC 8460 calls them.
const BAD: &[(&[&str], Flaw, ResultType)] = &[
    (&["mx.example.org"], Flaw::Expired, ResultType::CertificateExpired),
    (&["mx.example.org"], Flaw::NotYetValid, ResultType::CertificateNotTrusted),
    (&["mx.example.org"], Flaw::SelfSigned, ResultType::CertificateNotTrusted),
    (&["other.example.org"], Flaw::None, ResultType::CertificateHostMismatch),
    (&["*.org"], Flaw::None, ResultType::CertificateHostMismatch),
    (&["*.mx.example.org"], Flaw::None, ResultType::CertificateHostMismatch),
    (&["m*.example.org"], Flaw::None, ResultType::CertificateHostMismatch),
    (&[], Flaw::None, ResultType::CertificateHostMismatch),
];

#[tokio::test]
async fn a_server_with_a_good_certificate_is_verified() {
    let authority = Authority::new();
    let mut tasks = JoinSet::new();
    for names in [&["mx.example.org"][..], &["*.example.org"], &["a.example", "MX.example.ORG"]] {
        let near = serve(&mut tasks, authority.server(names, Flaw::None));
        let mut stream =
            webpki(&authority).handshake(near, name("mx.example.org"), LIMIT).await.unwrap();
        let mut heard = String::new();
        stream.read_to_string(&mut heard).await.unwrap();
        assert_eq!(heard, "hello");
    }
}

#[tokio::test]
async fn a_server_with_a_bad_certificate_is_refused_and_the_fault_named() {
    let authority = Authority::new();
    let mut tasks = JoinSet::new();
    for (names, flaw, expected) in BAD {
        let near = serve(&mut tasks, authority.server(names, *flaw));
        let failure =
            webpki(&authority).handshake(near, name("mx.example.org"), LIMIT).await.unwrap_err();
        assert_eq!(failure.result_type(), *expected, "{names:?} {flaw:?}: {failure}");
    }
}

#[tokio::test]
async fn an_observer_accepts_a_bad_certificate_and_notes_the_same_fault() {
    let authority = Authority::new();
    let mut tasks = JoinSet::new();
    for (names, flaw, expected) in BAD {
        let near = serve(&mut tasks, authority.server(names, *flaw));
        let (_, verdict) =
            observing(&authority).handshake(near, name("mx.example.org"), LIMIT).await.unwrap();
        let Verdict::Invalid(error) = verdict else { panic!("{names:?} {flaw:?}: {verdict:?}") };
        assert_eq!(result_type(error.error()), *expected, "{names:?} {flaw:?}");
    }
}

#[tokio::test]
async fn an_observer_notes_a_good_certificate_each_time_anew() {
    let authority = Authority::new();
    let observing = observing(&authority);
    let server = authority.server(&["mx.example.org"], Flaw::None);
    let mut tasks = JoinSet::new();
    for _ in 0..3 {
        let near = serve(&mut tasks, Arc::clone(&server));
        let (_, verdict) = observing.handshake(near, name("mx.example.org"), LIMIT).await.unwrap();
        assert_eq!(verdict, Verdict::Valid);
    }
}

#[tokio::test]
async fn a_certificate_is_judged_at_the_time_of_the_relays_clock() {
    let authority = Authority::new();
    let past = UNIX_EPOCH + Duration::from_secs(900_000_000);
    let webpki = WebPki::new(authority.roots(), Arc::new(clock::SetClock::new(past))).unwrap();
    let mut tasks = JoinSet::new();
    let near = serve(&mut tasks, authority.server(&["mx.example.org"], Flaw::None));
    let failure = webpki.handshake(near, name("mx.example.org"), LIMIT).await.unwrap_err();
    assert!(failure.to_string().contains("not valid before 20"), "{failure}");
}

#[tokio::test]
async fn a_peer_that_does_not_speak_tls_is_a_failed_validation() {
    let authority = Authority::new();
    let (near, mut far) = duplex(64 * 1024);
    far.write_all(b"554 go away, I do not speak TLS\r\n").await.unwrap();
    let failure =
        webpki(&authority).handshake(near, name("mx.example.org"), LIMIT).await.unwrap_err();
    assert!(matches!(failure, HandshakeFailure::Tls(_)), "{failure}");
    assert_eq!(failure.result_type(), ResultType::ValidationFailure);
}

#[tokio::test]
async fn a_peer_that_hangs_up_breaks_the_handshake() {
    let authority = Authority::new();
    let (near, far) = duplex(1024);
    drop(far);
    let failure =
        webpki(&authority).handshake(near, name("mx.example.org"), LIMIT).await.unwrap_err();
    assert!(matches!(failure, HandshakeFailure::Broken(_)), "{failure}");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_is_silent_times_out() {
    let authority = Authority::new();
    let (near, _far) = duplex(64 * 1024);
    let failure =
        webpki(&authority).handshake(near, name("mx.example.org"), LIMIT).await.unwrap_err();
    assert!(matches!(failure, HandshakeFailure::TimedOut), "{failure}");
}

/// The association of `mx.example.org` with a `3 0 0` record of this certificate.
fn association(certificate: &CertificateDer<'_>) -> Arc<Association> {
    let record = TlsaRecord::from_rdata(&[&[3, 0, 0], certificate.as_ref()].concat()).unwrap();
    let names = ReferenceNames::new("mx.example.org", &[]).unwrap();
    Arc::new(SecureRecords::assertion(vec![record]).unwrap().associate(names).unwrap())
}

/// A handshake with a server whose records are these.
async fn shake(
    tasks: &mut JoinSet<()>,
    authority: &Authority,
    server: Arc<ServerConfig>,
    association: &Arc<Association>,
    held_to: HeldTo,
) -> Shaken<DuplexStream> {
    let near = serve(tasks, server);
    let tls = webpki(authority);
    tls.handshake_under(near, association, (name("mx.example.org"), held_to), LIMIT).await
}

#[tokio::test]
async fn one_handshake_under_records_has_two_verdicts() {
    let authority = Authority::new();
    let mut tasks = JoinSet::new();
    let other = association(&authority.certificate(&["mx.example.org"]));
    for flaw in [Flaw::None, Flaw::Expired, Flaw::SelfSigned] {
        let (server, leaf) = authority.server_and_leaf(&["mx.example.org"], flaw);
        let own = association(&leaf);
        for (records, matches) in [(&own, true), (&other, false)] {
            for held_to in [HeldTo::Authorities, HeldTo::Both, HeldTo::Records] {
                let shaken =
                    shake(&mut tasks, &authority, Arc::clone(&server), records, held_to).await;
                let is_valid = flaw == Flaw::None;
                let row = format!("{flaw:?} {matches} {held_to:?}: {shaken:?}");
                assert_eq!(shaken.dane.as_ref().unwrap().is_ok(), matches, "{row}");
                assert_eq!(shaken.webpki == Verdict::Valid, is_valid, "{row}");
                let records_hold = matches || held_to == HeldTo::Authorities;
                let holds = records_hold && (is_valid || held_to == HeldTo::Records);
                assert_eq!(shaken.stream.is_ok(), holds, "{row}");
                match shaken.stream {
                    Ok(_) => {}
                    Err(HandshakeFailure::NoMatch(_)) => assert!(!records_hold, "{row}"),
                    Err(failure) => {
                        assert!(records_hold, "{row}");
                        let expected = if flaw == Flaw::Expired {
                            ResultType::CertificateExpired
                        } else {
                            ResultType::CertificateNotTrusted
                        };
                        assert_eq!(failure.result_type(), expected, "{row}");
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn a_mismatch_says_what_was_expected_and_what_was_shown() {
    let authority = Authority::new();
    let mut tasks = JoinSet::new();
    let record: TlsaRecord = format!("3 1 1 {}", "ab".repeat(32)).parse().unwrap();
    let names = ReferenceNames::new("mx.example.org", &[]).unwrap();
    let secure = SecureRecords::assertion(vec![record.clone()]).unwrap();
    let association = Arc::new(secure.associate(names).unwrap());
    let (server, _) = authority.server_and_leaf(&["mx.example.org"], Flaw::None);
    let shaken = shake(&mut tasks, &authority, server, &association, HeldTo::Records).await;
    let failure = shaken.stream.unwrap_err();
    assert_eq!(failure.result_type(), ResultType::ValidationFailure);
    let text = failure.to_string();
    let expected = format!("TLSA base domain mx.example.org; records: {record}; shown: 3 1 1 ");
    assert!(text.contains(&expected), "{text}");
}

#[tokio::test]
async fn a_replayed_certificate_without_its_key_is_refused_under_records() {
    let authority = Authority::new();
    let mut tasks = JoinSet::new();
    let good = authority.certificate(&["mx.example.org"]);
    let records = association(&good);
    for held_to in [HeldTo::Authorities, HeldTo::Both, HeldTo::Records] {
        let shaken = shake(&mut tasks, &authority, impostor(good.clone()), &records, held_to).await;
        assert!(shaken.dane.unwrap().is_ok(), "the certificate is the very one");
        let failure = shaken.stream.unwrap_err();
        assert!(matches!(failure, HandshakeFailure::Tls(_)), "{held_to:?}: {failure}");
    }
}

/// A server that shows this certificate and signs with another key.
fn impostor(certificate: CertificateDer<'static>) -> Arc<ServerConfig> {
    let key = rcgen::KeyPair::generate().unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(aws_lc_rs::default_provider());
    let signer = provider.key_provider.load_private_key(key).unwrap();
    let shown = SingleCertAndKey::from(CertifiedKey::new(vec![certificate], signer));
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(shown));
    Arc::new(config)
}

#[tokio::test]
async fn a_peer_without_the_key_to_what_it_shows_is_refused_by_an_observer_as_well() {
    let authority = Authority::new();
    let good = authority.certificate(&["mx.example.org"]);
    // Of version 1, which rustls does not read.
    let first = include_bytes!("../../../testbed/certificates/v1.pem");
    let first = CertificateDer::from_pem_slice(first).unwrap();
    let mut tasks = JoinSet::new();
    for certificate in [good, first] {
        let near = serve(&mut tasks, impostor(certificate.clone()));
        let failure =
            observing(&authority).handshake(near, name("mx.example.org"), LIMIT).await.unwrap_err();
        assert!(matches!(failure, HandshakeFailure::Tls(_)), "{failure}");
        let near = serve(&mut tasks, impostor(certificate));
        assert!(webpki(&authority).handshake(near, name("mx.example.org"), LIMIT).await.is_err());
    }
}
