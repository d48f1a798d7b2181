use super::*;
use crate::certificate::{Certificate, Validity};
use crate::tap::ConnectionState;
use crate::tls::{Handshake, TlsVersions};

async fn offer_of(mx: &MxHost) -> (Sender, Reply) {
    let mut sender = Sender::connect(mx.address()).await.unwrap();
    let offer = sender.ehlo("client.test").await.unwrap();
    (sender, offer)
}

#[tokio::test]
async fn a_valid_host_is_verified_and_forgets_what_came_before() {
    let world = World::new().await;
    let mx = world.mx(NAME, MxBehaviour::valid()).await;
    let (sender, offer) = offer_of(&mx).await;
    assert!(offer.offers("STARTTLS"));
    let mut sender = sender.starttls(world.authority().roots(), NAME).await.unwrap();
    assert_eq!(sender.mail("<a@client.test>").await.unwrap().code, 503, "EHLO comes first again");
    let offer = sender.ehlo("client.test").await.unwrap();
    assert!(!offer.offers("STARTTLS"));
    assert!(send(&mut sender, TEXT).await.is_positive());
    let Handshake::Completed(session) = &mx.connections()[0].handshake else { panic!("no TLS") };
    assert_eq!((session.sni.as_deref(), session.version.as_str()), (Some(NAME), "TLSv1_3"));
    assert_eq!(mx.messages()[0].tls.as_ref(), Some(session));
}

#[tokio::test]
async fn versions_are_limited_as_told() {
    let world = World::new().await;
    let mx = world.mx(NAME, MxBehaviour::valid().with_versions(TlsVersions::Tls12)).await;
    let (sender, _) = offer_of(&mx).await;
    sender.starttls(world.authority().roots(), NAME).await.unwrap();
    let Handshake::Completed(session) = &mx.connections()[0].handshake else { panic!("no TLS") };
    assert_eq!(session.version, "TLSv1_2");
}

#[tokio::test]
async fn starttls_that_is_not_offered_is_refused() {
    let world = World::new().await;
    let mx = world.mx(NAME, MxBehaviour::starttls_not_offered()).await;
    let (mut sender, offer) = offer_of(&mx).await;
    assert!(!offer.offers("STARTTLS"));
    assert_eq!(sender.command("STARTTLS").await.unwrap().code, 502);
    assert!(send(&mut sender, TEXT).await.is_positive());
    assert_eq!(mx.messages()[0].tls, None);
}

#[tokio::test]
async fn starttls_may_be_offered_and_refused() {
    let world = World::new().await;
    for reply in ["454 4.7.0 not now", "554 5.7.3 never"] {
        let mx = world.mx(NAME, MxBehaviour::starttls_refused(reply)).await;
        let (mut sender, offer) = offer_of(&mx).await;
        assert!(offer.offers("STARTTLS"));
        assert_eq!(sender.command("STARTTLS").await.unwrap().to_string(), reply);
        assert_eq!(mx.connections()[0].handshake, Handshake::NotTried);
    }
}

#[tokio::test]
async fn a_man_in_the_middle_takes_starttls_away_and_passes_on_all_else() {
    let world = World::new().await;
    for (strip, left) in [(Strip::Remove, false), (Strip::Overwrite, true)] {
        let mx = world.mx(NAME, MxBehaviour::stripped_by(strip)).await;
        let (mut sender, offer) = offer_of(&mx).await;
        assert!(!offer.offers("STARTTLS"), "{strip:?}");
        assert!(offer.offers("PIPELINING") && offer.offers("SMTPUTF8"), "{strip:?}");
        assert_eq!(offer.offers("XXXXXXXX"), left);
        assert_eq!(sender.command("STARTTLS").await.unwrap().code, 502);
        let text = b"STARTTLS\r\n250-STARTTLS\r\n..x\r\n";
        assert!(send(&mut sender, text).await.is_positive());
        assert_eq!(sender.command("QUIT").await.unwrap().code, 221);
        assert_eq!(mx.messages()[0].data, text, "a message is not touched");
        assert_eq!(mx.connections()[0].envelope_in_clear().len(), 3, "he sees all of it");
        drop(sender);
    }
    world.tap().wait_for_ended(NAME, 2, SOON).await.unwrap();
}

#[tokio::test]
async fn a_client_that_leaves_the_man_in_the_middle_ends_the_session() {
    let world = World::new().await;
    let mx = world.mx(NAME, MxBehaviour::stripped()).await;
    drop(offer_of(&mx).await);
    world.tap().wait_for_ended(NAME, 1, SOON).await.unwrap();
}

#[tokio::test]
async fn every_bad_certificate_is_seen_for_what_it_is() {
    let world = World::new().await;
    let mx = world.mx(NAME, MxBehaviour::valid()).await;
    let long_ago = std::time::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let brief = Validity { not_before: long_ago, not_after: long_ago + SOON };
    for (certificate, error) in [
        (Certificate::SelfSigned, "UnknownIssuer"),
        (Certificate::OtherAuthority, "UnknownIssuer"),
        (Certificate::Expired, "expired"),
        (Certificate::Within(brief), "expired"),
        (Certificate::NotYetValid, "not valid yet"),
        (Certificate::WrongName, "not valid for name"),
        (Certificate::CommonNameOnly, "not valid for name"),
        (Certificate::Names(vec!["*.test".to_owned()]), "not valid for name"),
    ] {
        let told = format!("{certificate:?}");
        mx.behave(MxBehaviour::presenting(certificate));
        let (sender, _) = offer_of(&mx).await;
        let seen = sender.starttls(world.authority().roots(), NAME).await.unwrap_err().to_string();
        assert!(seen.contains(error), "{told}: {seen}");
    }
    world.tap().wait_for_ended(NAME, 8, SOON).await.unwrap();
    for connection in mx.connections() {
        let Handshake::Failed { sni, why } = &connection.handshake else { panic!("no failure") };
        assert_eq!(sni.as_deref(), Some(NAME));
        assert!(why.contains("alert"), "{why}");
        assert_eq!(connection.state, ConnectionState::Ended);
        assert!(connection.clear_text_after_starttls().is_empty());
    }
}

#[tokio::test]
async fn certificates_may_name_others_and_wildcards() {
    let world = World::new().await;
    let names = vec!["other.test".to_owned(), "*.example.test".to_owned()];
    let mx = world.mx(NAME, MxBehaviour::presenting(Certificate::Names(names))).await;
    let (sender, _) = offer_of(&mx).await;
    sender.starttls(world.authority().roots(), NAME).await.unwrap();
    assert_eq!(mx.certificate_chain().len(), 2);
}

#[tokio::test]
async fn a_handshake_may_be_broken_in_every_way() {
    let world = World::new().await;
    for (behaviour, error) in [
        (MxBehaviour::handshake_garbage(), "InvalidContentType"),
        (MxBehaviour::handshake_closed(), "eof"),
    ] {
        let mx = world.mx(NAME, behaviour).await;
        let (sender, _) = offer_of(&mx).await;
        let seen = sender.starttls(world.authority().roots(), NAME).await.unwrap_err().to_string();
        assert!(seen.contains(error), "{seen}");
        let broken = |all: &[Connection]| {
            all.iter().any(|connection| {
                connection.address == mx.address()
                    && matches!(connection.handshake, Handshake::Failed { .. })
            })
        };
        world.tap().wait_until(SOON, broken).await.unwrap();
    }
    let mx = world.mx(NAME, MxBehaviour::handshake_silent()).await;
    let (sender, _) = offer_of(&mx).await;
    let shaking = sender.starttls(world.authority().roots(), NAME);
    assert!(tokio::time::timeout(Duration::from_millis(200), shaking).await.is_err());
}

#[tokio::test]
async fn what_is_injected_comes_with_the_220_and_the_handshake_is_good() {
    let world = World::new().await;
    let mx = world.mx(NAME, MxBehaviour::injected(b"250 2.0.0 injected\r\n")).await;
    let (mut sender, _) = offer_of(&mx).await;
    assert_eq!(sender.command("STARTTLS").await.unwrap().code, 220);
    assert_eq!(sender.unread(), b"250 2.0.0 injected\r\n");
    let mut sender = sender.encrypt(world.authority().roots(), NAME).await.unwrap();
    assert!(sender.ehlo("client.test").await.unwrap().is_positive());
}

#[tokio::test]
async fn tls_may_begin_with_the_connection() {
    let world = World::new().await;
    let mx = world.mx(NAME, MxBehaviour::implicit_tls()).await;
    // A client that expects a greeting in clear gets none; one that begins with TLS does.
    let early = Sender::connect(mx.address());
    assert!(tokio::time::timeout(Duration::from_millis(200), early).await.is_err());
    let stream = tokio::net::TcpStream::connect(mx.address()).await.unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.extend(world.authority().roots().roots);
    let config = rustls::ClientConfig::builder_with_provider(crate::tls::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = rustls::pki_types::ServerName::try_from(NAME).unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let mut tls = connector.connect(name, stream).await.unwrap();
    let mut greeting = [0; 3];
    tokio::io::AsyncReadExt::read_exact(&mut tls, &mut greeting).await.unwrap();
    assert_eq!(&greeting, b"220");
}

#[tokio::test]
async fn a_host_may_take_mail_only_in_tls() {
    let world = World::new().await;
    let mx = world.mx(NAME, MxBehaviour::requiring_tls()).await;
    let (mut sender, _) = offer_of(&mx).await;
    assert_eq!(sender.mail("<a@client.test>").await.unwrap().code, 530);
    let mut sender = sender.starttls(world.authority().roots(), NAME).await.unwrap();
    sender.ehlo("client.test").await.unwrap();
    assert!(send(&mut sender, TEXT).await.is_positive());
}
