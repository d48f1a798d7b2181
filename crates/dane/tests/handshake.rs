//! Handshakes under the verifier, in memory.

use std::sync::Arc;

use dane::{Association, MatchedCertificate, Mismatch, TlsaRecord, Verifier};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::time_provider::TimeProvider;
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConnection, Error, HandshakeKind, ServerConfig, ServerConnection,
    SupportedProtocolVersion,
};

use crate::pki::{Entity, HOST, PLAIN, associate, now, record};

/// The clock of the tests.
#[derive(Debug)]
struct Then;

impl TimeProvider for Then {
    fn current_time(&self) -> Option<UnixTime> {
        Some(now())
    }
}

/// A server that shows what it is given, whether the key fits or not, and notes what it was asked for.
#[derive(Debug)]
struct Shows(Arc<CertifiedKey>);

impl ResolvesServerCert for Shows {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        assert_eq!(hello.server_name(), Some(HOST));
        Some(Arc::clone(&self.0))
    }
}

fn server(
    version: &'static SupportedProtocolVersion,
    chain: Vec<CertificateDer<'static>>,
    key: &PrivateKeyDer<'static>,
) -> Arc<ServerConfig> {
    let key = default_provider().key_provider.load_private_key(key.clone_key()).unwrap();
    let shows = Shows(Arc::new(CertifiedKey::new(chain, key)));
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(shows));
    Arc::new(config)
}

/// Shakes hands; what the client says of it.
fn shake(
    verifier: &Arc<Verifier>,
    name: ServerName<'static>,
    server: &Arc<ServerConfig>,
) -> Result<(), Error> {
    let config = Arc::new(verifier.config(Arc::new(Then)).unwrap());
    let mut client = ClientConnection::new(config, name).unwrap();
    let mut server = ServerConnection::new(Arc::clone(server)).unwrap();
    let mut wire = Vec::new();
    while client.is_handshaking() {
        wire.clear();
        while client.wants_write() {
            client.write_tls(&mut wire).unwrap();
        }
        server.read_tls(&mut wire.as_slice()).unwrap();
        server.process_new_packets().unwrap();
        wire.clear();
        while server.wants_write() {
            server.write_tls(&mut wire).unwrap();
        }
        let mut left = wire.as_slice();
        while !left.is_empty() {
            client.read_tls(&mut left).unwrap();
            client.process_new_packets()?;
        }
    }
    assert_eq!(client.handshake_kind(), Some(HandshakeKind::Full));
    Ok(())
}

fn verifier(record: TlsaRecord) -> Arc<Verifier> {
    let association: Association = associate(vec![record]);
    Verifier::new(Arc::new(association))
}

#[test]
fn who_matches_is_let_in_and_the_record_is_told() {
    let root = Entity::root("root", PLAIN);
    let host = root.server(&[HOST], PLAIN);
    let chain = vec![host.certificate.clone(), root.certificate.clone()];
    for version in [&TLS12, &TLS13] {
        let server = server(version, chain.clone(), &host.key());
        for (record, place) in [(host.record([3, 1, 1]), 0), (root.record([2, 0, 1]), 1)] {
            let verifier = verifier(record.clone());
            assert_eq!(shake(&verifier, verifier.server_name(), &server), Ok(()));
            let matched = verifier.verdict().unwrap().as_ref().unwrap();
            assert_eq!(*matched.record(), record);
            assert_eq!(matched.certificate(), MatchedCertificate::Shown(place));
        }
    }
}

#[test]
fn who_does_not_match_is_refused_and_why_is_told() {
    let (host, stranger) = (Entity::self_signed(&[HOST], PLAIN), Entity::root("stranger", PLAIN));
    for version in [&TLS12, &TLS13] {
        let server = server(version, vec![host.certificate.clone()], &host.key());
        for numbers in [[3, 1, 1], [2, 0, 1]] {
            let verifier = verifier(stranger.record(numbers));
            let refused = shake(&verifier, verifier.server_name(), &server);
            assert!(matches!(refused, Err(Error::InvalidCertificate(_))));
            assert_eq!(verifier.verdict(), Some(&Err(Mismatch::NoMatch)));
        }
    }
}

#[test]
fn who_shows_a_certificate_without_having_its_key_is_refused() {
    let root = Entity::root("root", PLAIN);
    let (host, thief) = (root.server(&[HOST], PLAIN), root.server(&[HOST], PLAIN));
    let chain = vec![host.certificate.clone(), root.certificate.clone()];
    for version in [&TLS12, &TLS13] {
        let server = server(version, chain.clone(), &thief.key());
        for record in [host.record([3, 1, 1]), host.record([3, 0, 2]), root.record([2, 0, 1])] {
            let verifier = verifier(record);
            let refused = shake(&verifier, verifier.server_name(), &server);
            assert!(matches!(refused, Err(Error::InvalidCertificate(_))), "{refused:?}");
        }
    }
}

#[test]
fn a_certificate_of_version_1_is_let_in_by_its_key_alone() {
    let certificate = CertificateDer::from(include_bytes!("vectors/version-1.der").as_slice());
    let key = PrivatePkcs8KeyDer::from(include_bytes!("vectors/version-1.key.der").as_slice());
    let key = PrivateKeyDer::from(key);
    for version in [&TLS12, &TLS13] {
        let matching = || verifier(record([3, 0, 1], &certificate));
        let owner = server(version, vec![certificate.clone()], &key);
        let verifier = matching();
        assert_eq!(shake(&verifier, verifier.server_name(), &owner), Ok(()));
        let thief = Entity::self_signed(&[HOST], PLAIN);
        let thief = server(version, vec![certificate.clone()], &thief.key());
        let verifier = matching();
        assert!(shake(&verifier, verifier.server_name(), &thief).is_err());
    }
}

#[test]
fn a_verifier_is_for_one_handshake_with_one_host() {
    let host = Entity::self_signed(&[HOST], PLAIN);
    let server = server(&TLS13, vec![host.certificate.clone()], &host.key());
    let verifier = verifier(host.record([3, 1, 1]));
    assert_eq!(shake(&verifier, verifier.server_name(), &server), Ok(()));
    let again = shake(&verifier, verifier.server_name(), &server);
    assert!(matches!(again, Err(Error::General(_))), "{again:?}");
    let other = Verifier::new(Arc::new(associate(vec![host.record([3, 1, 1])])));
    let judge = rustls::client::danger::ServerCertVerifier::verify_server_cert;
    let name = ServerName::try_from("example.org").unwrap();
    let judged = judge(other.as_ref(), &host.certificate, &[], &name, &[], now());
    assert!(matches!(judged, Err(Error::General(_))));
}

#[test]
fn no_bare_key_is_asked_for_in_the_place_of_a_certificate() {
    for numbers in [[3, 1, 1], [3, 0, 1], [2, 0, 1]] {
        let verifier =
            Verifier::new(Arc::new(associate(vec![Entity::root("root", PLAIN).record(numbers)])));
        assert!(!rustls::client::danger::ServerCertVerifier::requires_raw_public_keys(&*verifier));
    }
}
