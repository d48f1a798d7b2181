//! Sessions with a scripted peer, over a pipe and with real TLS.

use std::sync::Arc;
use std::time::Duration;

use clock::SystemClock;
use dns::TlsaData;
use mail::{CertificateVerdict, Channel, DsnParameters, Protection, Recipient, TlsVersion};
use mta_sts::NextHop;
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use smtp::{BodyType, Mailbox, ReversePath, Smtputf8};
use tls_policy::{Unverified, Verified};
use tls_rpt::ResultType;
use tokio::io::DuplexStream;
use tokio::time::Instant;

use super::established::Session;
use super::open::Unsettled;
use super::plain::Plain;
use crate::authority::{Authority, Flaw};
use crate::dane_result::DaneResult;
use crate::dialogue::DialogueError;
use crate::endpoints::Endpoints;
use crate::envelope::Mail;
use crate::failure::{SessionFailure, Stage, TlsFailure};
use crate::recipient_reply::RecipientReply;
use crate::scripted::Act::{Hears, HearsHello, HearsMessage, IsSilent, Says, StartsTls};
use crate::scripted::{
    Act, Peer, encrypted_route, fallback, fallback_to, matched_route, open_route, records,
    required, required_of, settings, verified_route, verified_route_under,
};
use crate::settings::DeliverySettings;
use crate::tls::danger::Observing;
use crate::tls::handshake_failure::HandshakeFailure;
use crate::tls::webpki::WebPki;
use crate::tls_seen::{TlsFault, TlsOutcome, TlsSeen};

const OFFER: &str = "250-mx.example.org\r\n250-PIPELINING\r\n250-SIZE 9\r\n250 STARTTLS\r\n";

fn webpki(authority: &Authority) -> WebPki {
    WebPki::new(authority.roots(), Arc::new(SystemClock)).unwrap()
}

fn observing(authority: &Authority) -> Observing {
    Observing::new(authority.roots(), Arc::new(SystemClock)).unwrap()
}

/// The beginning of a script in which TLS is offered and asked for.
fn offer(rest: Vec<Act>) -> Vec<Act> {
    let mut script = vec![Says("220 mx.example.org\r\n"), Hears("EHLO relay.example.com")];
    script.extend([Says(OFFER), Hears("STARTTLS")]);
    script.extend(rest);
    script
}

async fn greet<Route>(
    route: Route,
    script: Vec<Act>,
) -> (Result<Plain<Route, DuplexStream>, SessionFailure>, Peer) {
    let (stream, peer) = Peer::new(script);
    (Plain::greet(route, stream, Endpoints::default(), settings()).await, peer)
}

/// What comes of verifying a peer with this script.
async fn verify(
    authority: &Authority,
    script: Vec<Act>,
) -> (Result<Session<Verified, DuplexStream>, SessionFailure>, TlsSeen, Vec<String>) {
    let (plain, peer) = greet(verified_route().await, script).await;
    let (session, seen) = plain.unwrap().verify(&webpki(authority)).await;
    (session, seen, peer.heard().await)
}

/// What went wrong with TLS or with the certificate; none where nothing did.
fn fault(seen: &TlsSeen) -> Option<TlsFault> {
    match seen.outcome {
        TlsOutcome::NoTls(fault) | TlsOutcome::Tls(Err(fault)) => Some(fault),
        TlsOutcome::Tls(Ok(())) => None,
        TlsOutcome::Abandoned => panic!("nobody has given up"),
    }
}

fn result_type(seen: &TlsSeen) -> Option<ResultType> {
    fault(seen).map(|fault| fault.result_type)
}

fn reason(seen: &TlsSeen) -> Option<String> {
    fault(seen).and_then(|fault| fault.reason).map(|reason| reason.to_string())
}

#[tokio::test]
async fn a_session_knows_the_facts_of_its_handshake() {
    let authority = Authority::new();
    for (flaw, worth) in [(Flaw::None, true), (Flaw::Expired, false)] {
        let server = authority.server(&["mx.example.org"], flaw);
        let script = offer(vec![
            Says("220 go ahead\r\n"),
            StartsTls(server),
            Hears("EHLO relay.example.com"),
            Says("250 mx.example.org\r\n"),
        ]);
        let (plain, _peer) = greet(open_route(None, "mx.example.org").await, script).await;
        let (session, _) = plain.unwrap().settle(&observing(&authority)).await;
        let Channel::Tls(tls) = session.unwrap().channel().clone() else { panic!() };
        assert_eq!(tls.version, TlsVersion::Tls13);
        let suite = tls.cipher_suite.as_ref().unwrap();
        assert!(suite.starts_with("TLS13_"), "{suite}");
        let certificate = tls.certificate.as_ref().unwrap();
        assert_eq!(certificate.names, ["mx.example.org"]);
        assert!(certificate.digest.is_some() && certificate.not_after.is_some(), "{tls:?}");
        assert!(certificate.issuer.as_ref().unwrap().contains("CN="), "{tls:?}");
        assert_eq!(tls.verdict == CertificateVerdict::Valid, worth, "{tls:?}");
    }
}

#[tokio::test]
async fn a_host_that_proves_its_name_gets_a_verified_session() {
    let authority = Authority::new();
    let server = authority.server(&["mx.example.org"], Flaw::None);
    let script = offer(vec![
        Says("220 go ahead\r\n"),
        StartsTls(server),
        Hears("EHLO relay.example.com"),
        Says("250 mx.example.org\r\n"),
    ]);
    let (session, seen, heard) = verify(&authority, script).await;
    assert_eq!(session.unwrap().channel().word(), "TLSv1.3");
    assert_eq!(heard.len(), 3);
    assert_eq!(seen.helo.as_ref().unwrap().as_str(), "mx.example.org");
    assert_eq!(seen.outcome, TlsOutcome::Tls(Ok(())));
}

#[tokio::test]
async fn enforce_with_stripped_starttls_yields_no_session() {
    let script = vec![
        Says("220 mx.example.org\r\n"),
        Hears("EHLO"),
        Says("250-mx.example.org\r\n250 PIPELINING\r\n"),
        Hears("QUIT"),
        Says("221 bye\r\n"),
    ];
    let (session, seen, heard) = verify(&Authority::new(), script).await;
    let failure = session.unwrap_err();
    assert!(matches!(failure, SessionFailure::Tls(TlsFailure::NotOffered)), "{failure}");
    assert_eq!(result_type(&seen), Some(ResultType::StarttlsNotSupported));
    assert_eq!(reason(&seen).unwrap(), "starttls-not-offered");
    assert_eq!(heard, ["EHLO relay.example.com", "QUIT"]);
}

#[tokio::test]
async fn enforce_with_refused_starttls_yields_no_session() {
    for refusal in ["454 not now\r\n", "502 no such thing\r\n", "250 what\r\n", "354 what\r\n"] {
        let script = offer(vec![Says(refusal), Hears("QUIT"), Says("221 bye\r\n")]);
        let (session, seen, _) = verify(&Authority::new(), script).await;
        let failure = session.unwrap_err();
        assert!(matches!(failure, SessionFailure::Tls(TlsFailure::Refused(_))), "{failure}");
        assert_eq!(failure.enhanced_code().to_string(), "4.7.10");
        assert_eq!(result_type(&seen), Some(ResultType::StarttlsNotSupported));
        assert_eq!(reason(&seen).unwrap(), format!("starttls-reply-{}", refusal.get(..3).unwrap()));
    }
}

#[tokio::test]
async fn enforce_with_a_connection_cut_at_starttls_yields_no_session() {
    for last in [vec![], vec![Says("421 closing\r\n")], vec![Says("babble\r\n")]] {
        let (session, seen, _) = verify(&Authority::new(), offer(last)).await;
        let failure = session.unwrap_err();
        assert!(matches!(failure, SessionFailure::Tls(TlsFailure::Cut(_))), "{failure}");
        assert_eq!(result_type(&seen), Some(ResultType::ValidationFailure));
        assert_eq!(reason(&seen).unwrap(), "connection-cut");
    }
}

#[tokio::test]
async fn enforce_with_words_put_before_tls_yields_no_session_and_says_no_more() {
    let authority = Authority::new();
    let script = offer(vec![Says("220 go\r\n250 injected\r\n"), Hears("(nothing)")]);
    let (session, seen, heard) = verify(&authority, script).await;
    let failure = session.unwrap_err();
    let SessionFailure::Tls(tls) = &failure else { panic!("{failure}") };
    assert!(tls.is_attack(), "{failure}");
    assert_eq!(failure.enhanced_code().to_string(), "4.7.0");
    assert_eq!(result_type(&seen), Some(ResultType::ValidationFailure));
    assert_eq!(reason(&seen).unwrap(), "injected-plaintext");
    assert_eq!(heard, ["EHLO relay.example.com", "STARTTLS", "(end)"]);
}

#[tokio::test]
async fn enforce_with_a_bad_certificate_yields_no_session() {
    for (names, flaw, expected, why) in [
        (&["mx.example.org"], Flaw::Expired, ResultType::CertificateExpired, None),
        (
            &["mx.example.org"],
            Flaw::SelfSigned,
            ResultType::CertificateNotTrusted,
            Some("bad-signature"),
        ),
        // The domain's own name is not the MX host's.
        (&["example.org"], Flaw::None, ResultType::CertificateHostMismatch, None),
        (&["mx2.example.org"], Flaw::None, ResultType::CertificateHostMismatch, None),
    ] {
        let authority = Authority::new();
        let server = authority.server(names, flaw);
        let script = offer(vec![Says("220 go\r\n"), StartsTls(server), Hears("EHLO")]);
        let (session, seen, heard) = verify(&authority, script).await;
        let failure = session.unwrap_err();
        assert_eq!(failure.enhanced_code().to_string(), "4.7.5", "{failure}");
        assert_eq!(result_type(&seen), Some(expected), "{failure}");
        assert_eq!(reason(&seen).as_deref(), why, "{failure}");
        assert!(!heard.iter().any(|line| line.starts_with("MAIL")), "{heard:?}");
    }
}

#[tokio::test]
async fn enforce_with_a_broken_handshake_yields_no_session() {
    let script = offer(vec![Says("220 go\r\n"), HearsHello]);
    let (session, seen, _) = verify(&Authority::new(), script).await;
    let failure = session.unwrap_err();
    let broken =
        matches!(&failure, SessionFailure::Tls(TlsFailure::Handshake(HandshakeFailure::Broken(_))));
    assert!(broken, "{failure}");
    assert_eq!(result_type(&seen), Some(ResultType::ValidationFailure));
    assert_eq!(reason(&seen).unwrap(), "connection-cut");
}

#[tokio::test]
async fn a_refusal_of_ehlo_under_tls_is_no_failure_of_tls() {
    let authority = Authority::new();
    let server = authority.server(&["mx.example.org"], Flaw::None);
    let script = offer(vec![
        Says("220 go\r\n"),
        StartsTls(server),
        Hears("EHLO"),
        Says("550 5.7.1 not you\r\n"),
        Hears("HELO"),
        Says("550 5.7.1 not you\r\n"),
        Hears("QUIT"),
        Says("221 bye\r\n"),
    ]);
    let (session, seen, _) = verify(&authority, script).await;
    let failure = session.unwrap_err();
    let refused = matches!(&failure, SessionFailure::Refused { stage: Stage::HelloAgain, .. });
    assert!(refused, "{failure}");
    assert_eq!(failure.enhanced_code().to_string(), "4.7.1");
    assert_eq!(seen.outcome, TlsOutcome::Tls(Ok(())));
}

#[tokio::test]
async fn a_host_that_hangs_up_after_the_handshake_has_no_tls() {
    let authority = Authority::new();
    let server = authority.server(&["mx.example.org"], Flaw::None);
    let script = offer(vec![Says("220 go\r\n"), StartsTls(server), Hears("EHLO")]);
    let (session, seen, _) = verify(&authority, script).await;
    assert!(session.is_err());
    assert!(matches!(seen.outcome, TlsOutcome::NoTls(_)), "{seen:?}");
    assert_eq!(result_type(&seen), Some(ResultType::ValidationFailure));
    assert_eq!(reason(&seen).unwrap(), "closed-after-handshake");
}

#[tokio::test]
async fn what_was_offered_in_clear_is_forgotten_under_tls() {
    let authority = Authority::new();
    let server = authority.server(&["mx.example.org"], Flaw::None);
    let (plain, peer) = greet(
        verified_route().await,
        offer(vec![
            Says("220 go\r\n"),
            StartsTls(server),
            Hears("EHLO"),
            Says("250 mx.example.org\r\n"),
            Hears("MAIL FROM:<>"),
            Says("250 ok\r\n"),
            Hears("RCPT TO:<b@example.org>"),
            Says("250 ok\r\n"),
            Hears("DATA"),
            Says("354 go\r\n"),
            HearsMessage,
            Says("250 taken\r\n"),
            Hears("QUIT"),
        ]),
    )
    .await;
    let (session, _seen) = plain.unwrap().verify(&webpki(&authority)).await;
    let mut session = session.unwrap();
    let mail = Mail {
        reverse_path: &ReversePath::Null,
        size: 1000,
        body: BodyType::SevenBit,
        smtputf8: Smtputf8::NotRequested,
        dsn: &DsnParameters::default(),
    };
    let to = Recipient::new(Mailbox::parse("b@example.org").unwrap());
    let transaction = session.mail(&required().await).unwrap();
    let sent = transaction.send(&mail, vec![to], &b"Subject: x\r\n\r\nx\r\n"[..]).await;
    assert!(matches!(sent.replies[..], [(_, RecipientReply::Taken(_))]), "{sent:?}");
    session.quit().await;
    // Not SIZE=1000, which the limit of 9 would have refused, and one command at a time.
    assert_eq!(peer.heard().await[3], "MAIL FROM:<>");
}

#[tokio::test]
async fn a_verified_session_takes_mail_under_its_own_policy_alone() {
    let authority = Authority::new();
    let server = authority.server(&["mx.example.org"], Flaw::None);
    let last = vec![Says("220 go\r\n"), StartsTls(server), Hears("EHLO"), Says("250 mx\r\n")];
    let (session, _seen, _) = verify(&authority, offer(last)).await;
    let mut session = session.unwrap();
    for (domain, id, max_age, fits) in [
        ("example.org", "a1", 86_400, true),
        // Another domain whose policy names the same host.
        ("example.net", "a1", 86_400, false),
        // Another version of the policy, with the same words and then under the same id.
        ("example.org", "a2", 86_400, false),
        ("example.org", "a1", 86_401, false),
    ] {
        let required = required_of(domain, id, max_age).await;
        assert_eq!(session.mail(&required).is_ok(), fits, "{domain} {id} {max_age}");
    }
}

#[tokio::test]
async fn an_open_session_takes_mail_for_its_own_next_hop_and_reason_alone() {
    let script = vec![Says("220 hi\r\n"), Hears("EHLO"), Says("250 mx\r\n")];
    let (plain, _peer) = greet(open_route(None, "mx.example.org").await, script).await;
    let (session, _seen) = plain.unwrap().settle(&observing(&Authority::new())).await;
    let mut session = session.unwrap();
    assert!(session.mail(&fallback(None).await).is_ok());
    assert!(session.mail(&fallback(Some("testing")).await).is_err());
    let other = NextHop::Domain(mta_sts::PolicyDomain::parse("example.net").unwrap());
    for next_hop in [other, NextHop::Literal([192, 0, 2, 1].into())] {
        assert!(session.mail(&fallback_to(&next_hop).await).is_err());
    }
}

#[tokio::test]
async fn every_transaction_but_the_first_begins_with_rset_and_waits_for_nothing() {
    for (keywords, last) in [("250-mx\r\n250 PIPELINING\r\n", "DATA"), ("250 mx\r\n", "RCPT")] {
        let taken = |mut script: Vec<Act>| {
            script.extend([Says("250 ok\r\n"), Hears("RCPT"), Says("550 no\r\n")]);
            if last == "DATA" {
                script.extend([Hears("DATA"), Says("503 nobody\r\n")]);
            }
            script
        };
        let mut script = vec![Says("220 hi\r\n"), Hears("EHLO"), Says(keywords)];
        script.extend(taken(vec![Hears("MAIL")]));
        script.extend(taken(vec![Hears("RSET"), Says("250 ok\r\n"), Hears("MAIL")]));
        script.push(Hears("QUIT"));
        let (plain, peer) = greet(open_route(None, "mx.example.org").await, script).await;
        let (session, _seen) = plain.unwrap().settle(&observing(&Authority::new())).await;
        let mut session = session.unwrap();
        let to = Recipient::new(Mailbox::parse("b@example.org").unwrap());
        let mail = Mail {
            reverse_path: &ReversePath::Null,
            size: 1,
            body: BodyType::SevenBit,
            smtputf8: Smtputf8::NotRequested,
            dsn: &DsnParameters::default(),
        };
        for _ in 0..2 {
            let fallback = fallback(None).await;
            let transaction = session.mail(&fallback).unwrap();
            let sent = transaction.send(&mail, vec![to.clone()], &b"x\r\n"[..]).await;
            assert!(matches!(sent.replies[..], [(_, RecipientReply::Refused { .. })]), "{sent:?}");
        }
        session.quit().await;
        let heard = peer.heard().await;
        let said: Vec<&str> = heard.iter().filter_map(|line| line.get(..4)).collect();
        let once = if last == "DATA" { vec!["MAIL", "RCPT", "DATA"] } else { vec!["MAIL", "RCPT"] };
        assert_eq!(said, [&["EHLO"], &once[..], &["RSET"], &once, &["QUIT"]].concat());
    }
}

/// What comes of settling with a peer with this script.
async fn settle(
    authority: &Authority,
    mode: Option<&str>,
    host: &str,
    script: Vec<Act>,
) -> (Result<Session<Unverified, DuplexStream>, Unsettled>, TlsSeen, Vec<String>) {
    let (plain, peer) = greet(open_route(mode, host).await, script).await;
    let (session, seen) = plain.unwrap().settle(&observing(authority)).await;
    (session, seen, peer.heard().await)
}

/// A script in which a server with this certificate does everything right.
fn willing(authority: &Authority, names: &[&str], flaw: Flaw) -> Vec<Act> {
    offer(vec![
        Says("220 go\r\n"),
        StartsTls(authority.server(names, flaw)),
        Hears("EHLO"),
        Says("250 mx.example.org\r\n"),
    ])
}

#[tokio::test]
async fn without_a_policy_any_certificate_will_do() {
    let authority = Authority::new();
    for flaw in [Flaw::None, Flaw::Expired, Flaw::SelfSigned] {
        let script = willing(&authority, &["elsewhere.example"], flaw);
        let (session, seen, _) = settle(&authority, None, "mx.example.org", script).await;
        assert_eq!(session.unwrap().channel().word(), "TLSv1.3");
        assert!(matches!(seen.outcome, TlsOutcome::Tls(_)), "{seen:?}");
    }
}

#[tokio::test]
async fn a_policy_in_testing_is_judged_and_not_acted_on() {
    let authority = Authority::new();
    for (host, names, flaw, expected) in [
        ("mx.example.org", &["mx.example.org"], Flaw::None, None),
        (
            "mx.example.org",
            &["mx.example.org"],
            Flaw::Expired,
            Some(ResultType::CertificateExpired),
        ),
        ("mx.example.org", &["example.org"], Flaw::None, Some(ResultType::CertificateHostMismatch)),
    ] {
        let script = willing(&authority, names, flaw);
        let (session, seen, _) = settle(&authority, Some("testing"), host, script).await;
        assert_eq!(session.unwrap().channel().word(), "TLSv1.3");
        assert_eq!(result_type(&seen), expected, "{host} {flaw:?}");
    }
}

#[tokio::test]
async fn a_policy_of_mode_none_is_as_no_policy() {
    let authority = Authority::new();
    let script = willing(&authority, &["elsewhere.example"], Flaw::SelfSigned);
    let (session, seen, _) = settle(&authority, Some("none"), "mx.example.org", script).await;
    assert!(session.is_ok());
    assert!(matches!(seen.outcome, TlsOutcome::Tls(_)), "{seen:?}");
}

#[tokio::test]
async fn an_open_route_goes_in_clear_where_starttls_is_missing_or_refused() {
    let missing = vec![Says("220 hi\r\n"), Hears("EHLO"), Says("250 mx\r\n"), Hears("QUIT")];
    let refused = offer(vec![Says("454 not now\r\n"), Hears("QUIT")]);
    for script in [missing, refused] {
        let (plain, peer) =
            greet(open_route(Some("testing"), "mx.example.org").await, script).await;
        let (session, seen) = plain.unwrap().settle(&observing(&Authority::new())).await;
        let session = session.unwrap();
        assert_eq!(session.channel().word(), "none");
        assert_eq!(result_type(&seen), Some(ResultType::StarttlsNotSupported));
        session.quit().await;
        assert_eq!(peer.heard().await.last().unwrap(), "QUIT");
    }
}

#[tokio::test]
async fn a_broken_handshake_gives_leave_to_go_in_clear_on_a_new_connection() {
    let authority = Authority::new();
    let babble = vec![Says("220 go\r\n"), HearsHello, Says("this is no TLS\r\n")];
    let silence = vec![Says("220 go\r\n"), HearsHello];
    for last in [babble, silence, vec![]] {
        let (session, seen, _) = settle(&authority, None, "mx.example.org", offer(last)).await;
        let Err(Unsettled::Broken(broken)) = session else { panic!("{session:?}") };
        assert_eq!(result_type(&seen), Some(ResultType::ValidationFailure));
        let route = open_route(None, "mx.example.org").await;
        let script = vec![Says("220 hi\r\n"), Hears("EHLO"), Says(OFFER), Hears("QUIT")];
        let (plain, peer) = greet(route, script).await;
        let session = plain.unwrap().settle_in_clear(&broken);
        assert_eq!(session.channel().word(), "failed");
        session.quit().await;
        assert_eq!(peer.heard().await.last().unwrap(), "QUIT");
    }
}

#[tokio::test]
async fn words_put_before_tls_end_an_open_route_as_well() {
    let authority = Authority::new();
    let script = offer(vec![Says("220 go\r\n250 injected\r\n")]);
    let (session, _seen, _) = settle(&authority, None, "mx.example.org", script).await;
    let failed = matches!(&session, Err(Unsettled::Failed(SessionFailure::Tls(_))));
    assert!(failed, "{session:?}");
}

#[tokio::test]
async fn a_host_that_does_not_know_ehlo_is_greeted_with_helo() {
    let script = vec![
        Says("220 old.example.org\r\n"),
        Hears("EHLO"),
        Says("502 5.5.1 unknown\r\n"),
        Hears("HELO relay.example.com"),
        Says("250-old\r\n250 STARTTLS\r\n"),
    ];
    let (plain, peer) = greet(open_route(None, "mx.example.org").await, script).await;
    let (session, seen) = plain.unwrap().settle(&observing(&Authority::new())).await;
    assert_eq!(session.unwrap().channel().word(), "none");
    assert_eq!(result_type(&seen), Some(ResultType::StarttlsNotSupported));
    assert_eq!(peer.heard().await.len(), 2);
}

#[tokio::test]
async fn a_host_that_refuses_the_connection_is_told_quit() {
    for greeting in ["554 5.3.2 no\r\n", "421 4.3.2 busy\r\n"] {
        let script = vec![Says(greeting), Hears("QUIT"), Says("221 bye\r\n")];
        let (plain, peer) = greet(open_route(None, "mx.example.org").await, script).await;
        let failure = plain.unwrap_err();
        let refused = matches!(&failure, SessionFailure::Refused { stage: Stage::Greeting, .. });
        assert!(refused, "{failure}");
        assert_eq!(failure.enhanced_code().to_string(), "4.3.2");
        assert_eq!(peer.heard().await, ["QUIT"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_host_that_says_nothing_is_given_up_after_five_minutes() {
    let (stream, _far) = tokio::io::duplex(100);
    let began = Instant::now();
    let route = open_route(None, "mx.example.org").await;
    let plain = Plain::greet(route, stream, Endpoints::default(), settings()).await;
    let failure = plain.unwrap_err();
    let timed_out = matches!(
        &failure,
        SessionFailure::Dialogue { stage: Stage::Greeting, error: DialogueError::TimedOut }
    );
    assert!(timed_out, "{failure}");
    assert_eq!(began.elapsed().as_secs(), 300);
}

/// Settings in which no two steps of a session may take equally long.
fn told_apart() -> Arc<DeliverySettings> {
    let mut settings = DeliverySettings::clone(&settings());
    settings.timeouts.hello = Duration::from_secs(310);
    Arc::new(settings)
}

#[tokio::test(start_paused = true)]
async fn a_host_that_falls_silent_is_given_up_when_the_time_of_that_step_is_over() {
    let authority = Authority::new();
    let settings = told_apart();
    let timeouts = settings.timeouts;
    let server = authority.server(&["mx.example.org"], Flaw::None);
    let greeted = vec![Says("220 mx.example.org\r\n"), Hears("EHLO"), IsSilent];
    let encrypted = offer(vec![Says("220 go\r\n"), StartsTls(server), Hears("EHLO"), IsSilent]);
    let cases = [
        (greeted, timeouts.hello, "Dialogue { stage: Hello, error: TimedOut }"),
        // A host that may only be slow is told QUIT.
        (offer(vec![IsSilent]), timeouts.tls + timeouts.quit, "Tls(Cut(TimedOut))"),
        (offer(vec![Says("220 go\r\n"), IsSilent]), timeouts.tls, "Tls(Handshake(TimedOut))"),
        (encrypted, timeouts.hello, "Dialogue { stage: HelloAgain, error: TimedOut }"),
    ];
    for (script, limit, expected) in cases {
        let (stream, _peer) = Peer::new(script);
        let began = Instant::now();
        let route = verified_route().await;
        let plain = Plain::greet(route, stream, Endpoints::default(), Arc::clone(&settings)).await;
        let session = match plain {
            Ok(plain) => plain.verify(&webpki(&authority)).await.0,
            Err(failure) => Err(failure),
        };
        let failure = session.unwrap_err();
        assert_eq!(format!("{failure:?}"), expected);
        assert_eq!(began.elapsed().as_secs(), limit.as_secs(), "{failure}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_host_that_falls_silent_at_starttls_is_called_again_in_clear_when_that_time_is_over() {
    let settings = told_apart();
    for script in [offer(vec![IsSilent]), offer(vec![Says("220 go\r\n"), IsSilent])] {
        let (stream, _peer) = Peer::new(script);
        let began = Instant::now();
        let route = open_route(None, "mx.example.org").await;
        let plain = Plain::greet(route, stream, Endpoints::default(), Arc::clone(&settings)).await;
        let (session, _) = plain.unwrap().settle(&observing(&Authority::new())).await;
        assert!(matches!(session, Err(Unsettled::Broken(_))), "{session:?}");
        assert_eq!(began.elapsed().as_secs(), settings.timeouts.tls.as_secs());
    }
}

/// What a record of this server's certificate is, in full.
fn record_of(certificate: &CertificateDer<'_>) -> TlsaData {
    TlsaData { usage: 3, selector: 0, matching: 0, data: certificate.to_vec() }
}

/// A script in which this server does everything right.
fn willing_with(server: Arc<ServerConfig>) -> Vec<Act> {
    let greeted = vec![Says("220 go\r\n"), StartsTls(server), Hears("EHLO")];
    let mut script = offer(greeted);
    script.push(Says("250 mx.example.org\r\n"));
    script
}

/// How a connection ends under the policy, and under the records.
fn results(seen: &TlsSeen) -> (Option<ResultType>, Option<ResultType>) {
    let of_records = TlsSeen { outcome: seen.tlsa.as_ref().unwrap().outcome, ..seen.clone() };
    (result_type(seen), result_type(&of_records))
}

/// MTA-STS and DANE, each passing and failing: the host's certificate is good or bad for the
/// authorities, and matches its record or not.
#[tokio::test]
async fn an_enforced_policy_and_tlsa_records_both_have_to_hold() {
    let authority = Authority::new();
    let other = authority.certificate(&["mx.example.org"]);
    for (flaw, matches, holds) in [
        (Flaw::None, true, true),
        (Flaw::None, false, false),
        (Flaw::SelfSigned, true, false),
        (Flaw::SelfSigned, false, false),
    ] {
        let (server, leaf) = authority.server_and_leaf(&["mx.example.org"], flaw);
        let record = record_of(if matches { &leaf } else { &other });
        let route = verified_route_under(Some(records(vec![record]).await)).await;
        let (plain, peer) = greet(route, willing_with(server)).await;
        let (session, seen) = plain.unwrap().verify(&webpki(&authority)).await;
        assert_eq!(session.is_ok(), holds, "{flaw:?} {matches}: {session:?}");
        let sts = (flaw != Flaw::None).then_some(ResultType::CertificateNotTrusted);
        let tlsa = (!matches).then_some(ResultType::ValidationFailure);
        assert_eq!(results(&seen), (sts, tlsa), "{flaw:?} {matches}");
        let heard = peer.heard().await;
        assert_eq!(heard.last().unwrap() == "(no tls)", !holds, "{heard:?}");
    }
}

#[tokio::test]
async fn without_an_enforced_policy_tlsa_records_alone_have_to_hold() {
    let authority = Authority::new();
    let other = authority.certificate(&["mx.example.org"]);
    for mode in [None, Some("none"), Some("testing")] {
        for (flaw, matches) in [(Flaw::Expired, true), (Flaw::None, true), (Flaw::None, false)] {
            let (server, leaf) = authority.server_and_leaf(&["mx.example.org"], flaw);
            let record = record_of(if matches { &leaf } else { &other });
            let route = matched_route(mode, &records(vec![record]).await).await;
            let (plain, peer) = greet(route, willing_with(server)).await;
            let (session, seen) = plain.unwrap().verify(&webpki(&authority)).await;
            assert_eq!(session.is_ok(), matches, "{mode:?} {flaw:?}: {session:?}");
            let tlsa = (!matches).then_some(ResultType::ValidationFailure);
            let sts = (flaw == Flaw::Expired).then_some(ResultType::CertificateExpired);
            assert_eq!(results(&seen), (sts, tlsa), "{mode:?} {flaw:?} {matches}");
            match session {
                Ok(session) => {
                    assert_eq!(session.protection(), Protection::Dane);
                    assert_eq!(
                        DaneResult::of_session(session.channel()),
                        Some(DaneResult::Matched)
                    );
                }
                Err(failure) => {
                    assert_eq!(failure.enhanced_code().to_string(), "4.7.5");
                    assert!(failure.to_string().contains("shown: 3 1 1 "), "{failure}");
                }
            }
            drop(peer.heard().await);
        }
    }
}

#[tokio::test]
async fn a_host_with_tlsa_records_and_without_starttls_gets_no_session() {
    let authority = Authority::new();
    let record = record_of(&authority.certificate(&["mx.example.org"]));
    let stripped = || {
        let greeting = vec![Says("220 mx\r\n"), Hears("EHLO"), Says("250 mx\r\n")];
        greeting.into_iter().chain([Hears("QUIT"), Says("221 bye\r\n")]).collect::<Vec<_>>()
    };
    let route = matched_route(None, &records(vec![record]).await).await;
    let (plain, peer) = greet(route, stripped()).await;
    let (session, seen) = plain.unwrap().verify(&webpki(&authority)).await;
    assert!(matches!(session, Err(SessionFailure::Tls(TlsFailure::NotOffered))), "{session:?}");
    let missing = Some(ResultType::StarttlsNotSupported);
    assert_eq!(results(&seen), (missing, missing));
    assert_eq!(peer.heard().await, ["EHLO relay.example.com", "QUIT"]);
    let unusable = TlsaData { usage: 1, selector: 1, matching: 1, data: vec![0; 32] };
    let route = encrypted_route(&records(vec![unusable]).await).await;
    let (plain, peer) = greet(route, stripped()).await;
    let (session, seen) = plain.unwrap().encrypt(&observing(&authority)).await;
    assert!(matches!(session, Err(SessionFailure::Tls(TlsFailure::NotOffered))), "{session:?}");
    assert_eq!(results(&seen), (missing, missing));
    assert_eq!(peer.heard().await, ["EHLO relay.example.com", "QUIT"]);
}

#[tokio::test]
async fn records_of_no_use_ask_for_tls_with_whoever_answers() {
    let authority = Authority::new();
    let unusable = TlsaData { usage: 1, selector: 1, matching: 1, data: vec![0; 32] };
    let route = encrypted_route(&records(vec![unusable]).await).await;
    let (server, _) = authority.server_and_leaf(&["elsewhere.example"], Flaw::Expired);
    let (plain, _peer) = greet(route, willing_with(server)).await;
    let (session, seen) = plain.unwrap().encrypt(&observing(&authority)).await;
    let session = session.unwrap();
    assert_eq!(session.protection(), Protection::Tls);
    assert_eq!(DaneResult::of_session(session.channel()), None);
    let expected = (Some(ResultType::CertificateExpired), Some(ResultType::TlsaInvalid));
    assert_eq!(results(&seen), expected);
    let tlsa = seen.tlsa.unwrap();
    assert_eq!(tlsa.base_domain, "mx.example.org");
    let text: Vec<String> = tlsa.records.iter().map(ToString::to_string).collect();
    assert_eq!(text, [format!("1 1 1 {}", "00".repeat(32))]);
}
