use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::net::xfer::Protocol;
use hickory_resolver::proto::op::{Edns, Message, ResponseCode};
use hickory_resolver::proto::rr::RecordType;
use hickory_resolver::proto::rr::rdata::opt::EdnsOption;

use super::*;
use crate::name_server::{Reply, Scripted, let_pass, resolver, response_to, settings, text};
use crate::{Dns, Lookup, Records, Resolver};

/// Resolvers whose word on DNSSEC counts, or does not.
mod validation;

fn found<T>(lookup: Result<Lookup<T>, LookupError>) -> Records<T> {
    lookup.unwrap().into_records().unwrap()
}

fn label<T: Debug>(lookup: Result<Lookup<T>, LookupError>) -> &'static str {
    lookup.unwrap_err().label()
}

#[tokio::test]
async fn every_way_to_fail_is_told_apart_and_none_is_remembered() {
    let cases = [
        (ResponseCode::ServFail, "servfail"),
        (ResponseCode::Refused, "refused"),
        (ResponseCode::NotAuth, "other"),
        (ResponseCode::FormErr, "other"),
    ];
    for (code, expected) in cases {
        let server =
            Scripted::answering(move |message| message.metadata.response_code = code).await;
        let resolver = resolver(&[server.address]);
        assert_eq!(label(resolver.txt("example.test").await), expected);
        let asked = server.log.count();
        assert_eq!(label(resolver.txt("example.test").await), expected);
        assert_eq!(server.log.count(), 2 * asked);
    }
}

#[tokio::test]
async fn a_failure_names_the_server_that_answered_so() {
    for (code, words) in [
        (ResponseCode::ServFail, "answered SERVFAIL"),
        (ResponseCode::Refused, "refused to answer"),
    ] {
        let first = Scripted::answering(move |message| message.metadata.response_code = code).await;
        let second = Scripted::silent().await;
        let mut settings = settings(&[second.address, first.address]);
        settings.timeout = Duration::from_millis(400);
        let asked = Resolver::new(settings).unwrap().txt("example.test").await;
        let expected = format!("resolver {} {words}", first.address);
        assert_eq!(asked.unwrap_err().to_string(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_takes_no_longer_than_the_time_out() {
    let (one, two) = (Scripted::silent().await, Scripted::silent().await);
    for servers in [vec![one.address], vec![one.address, two.address]] {
        let resolver = resolver(&servers);
        let asked_at = Instant::now();
        assert_eq!(
            label(resolver.addresses(&Domain::parse("example.test").unwrap()).await),
            "timeout"
        );
        let elapsed = asked_at.elapsed();
        assert!(elapsed >= Duration::from_secs(4), "{elapsed:?}");
        assert!(elapsed <= Duration::from_millis(5_100), "{elapsed:?}");
    }
}

#[tokio::test]
async fn after_a_server_that_does_not_know_the_next_one_is_asked() {
    for code in [ResponseCode::ServFail, ResponseCode::Refused, ResponseCode::NotImp] {
        let first = Scripted::answering(move |message| message.metadata.response_code = code).await;
        let second = Scripted::answering(|message| text(message, "known")).await;
        let resolver = resolver(&[first.address, second.address]);
        assert_eq!(found(resolver.txt("example.test").await).records, [b"known".to_vec()]);
    }
}

#[tokio::test]
async fn a_server_that_was_silent_is_asked_last_for_a_while() {
    let first = Scripted::silent().await;
    let second = Scripted::answering(|message| text(message, "known")).await;
    let mut settings = settings(&[first.address, second.address]);
    settings.timeout = Duration::from_secs(1);
    let resolver = Resolver::new(settings).unwrap();
    found(resolver.txt("one.test").await);
    let asked = first.log.count();
    found(resolver.txt("two.test").await);
    assert_eq!(first.log.count(), asked);
    let_pass(Duration::from_secs(31)).await;
    found(resolver.txt("three.test").await);
    assert!(first.log.count() > asked);
}

#[tokio::test]
async fn when_validation_failed_no_other_server_is_asked() {
    let first = Scripted::answering(|message| {
        message.metadata.response_code = ResponseCode::ServFail;
        let mut edns = Edns::new();
        edns.options_mut().insert(EdnsOption::Unknown(15, vec![0, 6]));
        message.edns = Some(edns);
    })
    .await;
    let second = Scripted::answering(|message| text(message, "forged")).await;
    let resolver = resolver(&[first.address, second.address]);
    assert_eq!(label(resolver.txt("example.test").await), "bogus");
    assert_eq!(second.log.count(), 0);
}

#[tokio::test]
async fn garbage_is_malformed_unless_tcp_brings_sense() {
    let garbage = |request: &Message| {
        let mut octets = response_to(request).to_vec().unwrap();
        octets[7] = 200; // more answers than there are
        Reply::Send(octets)
    };
    let server = Scripted::serve(move |request, _| garbage(request)).await;
    let asked = resolver(&[server.address]).txt("example.test").await;
    assert_eq!(label(asked), "malformed");
    let server = Scripted::serve(move |request, protocol| {
        if protocol == Protocol::Udp {
            return garbage(request);
        }
        let mut response = response_to(request);
        text(&mut response, "sense");
        Reply::Say(response)
    })
    .await;
    let asked = resolver(&[server.address]).txt("example.test").await;
    assert_eq!(found(asked).records, [b"sense".to_vec()]);
}

#[tokio::test]
async fn an_answer_cut_short_over_tcp_is_malformed() {
    let server = Scripted::answering(|message| message.metadata.truncation = true).await;
    let asked = resolver(&[server.address]).txt("example.test").await;
    assert_eq!(label(asked), "malformed");
    assert_eq!(server.log.protocols(), [Protocol::Udp, Protocol::Tcp]);
}

#[tokio::test]
async fn an_answer_with_another_id_or_question_is_not_believed() {
    let server = Scripted::serve(|request, protocol| {
        let mut response = response_to(request);
        text(&mut response, "forged");
        if protocol == Protocol::Udp {
            response.metadata.truncation = true;
        } else {
            response.metadata.id = !request.metadata.id;
        }
        Reply::Say(response)
    })
    .await;
    assert_eq!(label(resolver(&[server.address]).txt("example.test").await), "malformed");
    let server = Scripted::answering(|message| {
        let other = message.queries[0].name().prepend_label("other").unwrap();
        message.queries[0].set_name(other);
        text(message, "forged");
    })
    .await;
    let mut settings = settings(&[server.address]);
    settings.timeout = Duration::from_millis(300);
    let resolver = Resolver::new(settings).unwrap();
    assert_eq!(label(resolver.txt("example.test").await), "timeout");
}

#[tokio::test]
async fn a_server_that_knows_no_edns_is_asked_without_it() {
    let server = Scripted::serve(|request, _| {
        let mut response = response_to(request);
        if request.edns.is_some() {
            response.metadata.response_code = ResponseCode::FormErr;
        } else {
            text(&mut response, "known");
        }
        Reply::Say(response)
    })
    .await;
    let asked = resolver(&[server.address]).txt("example.test").await;
    assert_eq!(found(asked).records, [b"known".to_vec()]);
}

#[tokio::test]
async fn more_questions_than_may_be_under_way_wait_their_turn() {
    let places = 4;
    let server = Scripted::answering(|message| text(message, "known")).await;
    let mut servers = Servers::new(&settings(&[server.address]));
    servers.places = Semaphore::new(places);
    let servers = Arc::new(servers);
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..16 * places {
        let servers = Arc::clone(&servers);
        let question = Question::new(&format!("n{n}.test"), RecordType::TXT).unwrap();
        tasks.spawn(async move { servers.ask(&question).await.is_ok() });
    }
    assert_eq!(tasks.join_all().await, vec![true; 16 * places]);
}
