//! What is permanent, what is not, and what a policy may end.

use std::io;
use std::net::SocketAddr;

use mail::Reports;
use mta_sts::{MxHost, Recheck};
use smtp::{EnhancedCode, Reply, ReplyCode};

use super::*;
use crate::dialogue::DialogueError;
use crate::disposition::{Disposition, Encryption, NotTaken, Remote, judge};
use crate::failure::{SessionFailure, Stage, TlsFailure};
use crate::recipient_reply::{RecipientReply, Step, Unfit};
use crate::scripted::{now, policies, required};
use crate::tls::handshake_failure::HandshakeFailure;

/// The host that is asked.
const MX: Remote<'static> = Remote { host: "mx.example.org", addr: None };

/// Where it is.
fn address() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], 25))
}

fn reply(code: u16, enhanced: Option<EnhancedCode>) -> Reply {
    Reply::new(ReplyCode::new(code).unwrap(), enhanced, "so it is")
}

/// What becomes of a recipient in short: the kind and the status.
fn short(disposition: &Disposition) -> String {
    match disposition {
        Disposition::NextTransaction(failure) => format!("crowded {}", failure.reason.enhanced),
        Disposition::NextHost(NotTaken::Later(failure)) => {
            format!("open {}", failure.reason.enhanced)
        }
        Disposition::Final(DeliveryResult::Bounced(failure)) => {
            format!("bounced {}", failure.reason.enhanced)
        }
        Disposition::Final(DeliveryResult::Deferred(failure)) => {
            format!("deferred {}", failure.reason.enhanced)
        }
        Disposition::Final(DeliveryResult::Delivered { .. }) => "delivered".to_owned(),
        Disposition::NextHost(NotTaken::Unfit(failure)) => {
            format!("unfit {}", failure.reason.enhanced)
        }
    }
}

#[test]
fn every_fate_has_an_outcome() {
    let step = Step::Rcpt;
    let transient =
        |subject, detail| EnhancedCode::new(Class::PersistentTransient, subject, detail);
    let lasting = |subject, detail| EnhancedCode::new(Class::Permanent, subject, detail);
    let (greylisted, crowd) = (transient(7, 1), transient(5, 3));
    for (fate, expected) in [
        (RecipientReply::Taken(reply(250, None)), "delivered"),
        (RecipientReply::Refused { step, reply: reply(550, None) }, "bounced 5.0.0"),
        (RecipientReply::Refused { step, reply: reply(450, Some(greylisted)) }, "open 4.7.1"),
        (RecipientReply::Refused { step, reply: reply(421, None) }, "open 4.0.0"),
        (RecipientReply::Refused { step, reply: reply(552, None) }, "crowded 4.0.0"),
        (RecipientReply::Refused { step, reply: reply(452, None) }, "crowded 4.0.0"),
        (RecipientReply::Refused { step, reply: reply(452, Some(crowd)) }, "crowded 4.5.3"),
        (RecipientReply::Refused { step, reply: reply(552, Some(lasting(5, 3))) }, "crowded 4.5.3"),
        (RecipientReply::Refused { step, reply: reply(550, Some(lasting(5, 3))) }, "crowded 4.5.3"),
        // A full disk, and a full mailbox, have nothing to do with how many there are.
        (RecipientReply::Refused { step, reply: reply(452, Some(transient(3, 1))) }, "open 4.3.1"),
        (RecipientReply::Refused { step, reply: reply(552, Some(lasting(2, 2))) }, "open 4.2.2"),
        (
            RecipientReply::Refused { step: Step::Message, reply: reply(452, Some(crowd)) },
            "open 4.5.3",
        ),
        (RecipientReply::Refused { step: Step::Message, reply: reply(552, None) }, "bounced 5.0.0"),
        (RecipientReply::Refused { step: Step::Mail, reply: reply(530, None) }, "bounced 5.0.0"),
        (RecipientReply::Cut { step, error: DialogueError::Closed }, "open 4.4.2"),
        (RecipientReply::Cut { step, error: DialogueError::Garbled }, "open 4.5.0"),
        (RecipientReply::InDoubt(DialogueError::TimedOut), "deferred 4.4.2"),
        (RecipientReply::Unfit(Unfit::Binary), "unfit 5.6.3"),
        (RecipientReply::Unfit(Unfit::EightBit), "unfit 5.6.3"),
        (RecipientReply::Unfit(Unfit::Smtputf8), "unfit 5.6.7"),
        (RecipientReply::Unfit(Unfit::TooLarge { size: 2, limit: 1 }), "unfit 5.3.4"),
        // The same in the host's own words, before it has the message.
        (RecipientReply::Refused { step: Step::Mail, reply: reply(552, None) }, "unfit 5.0.0"),
        (
            RecipientReply::Refused { step: Step::Mail, reply: reply(552, Some(lasting(3, 4))) },
            "unfit 5.3.4",
        ),
        (RecipientReply::Refused { step, reply: reply(553, Some(lasting(6, 7))) }, "unfit 5.6.7"),
        (
            RecipientReply::Refused { step: Step::Data, reply: reply(554, Some(lasting(6, 3))) },
            "unfit 5.6.3",
        ),
        (
            RecipientReply::Refused { step: Step::Message, reply: reply(552, Some(lasting(3, 4))) },
            "bounced 5.3.4",
        ),
        (RecipientReply::Unreadable(io::ErrorKind::InvalidData), "deferred 4.3.0"),
    ] {
        let disposition = judge(fate.clone(), MX, Encryption::Tls, Reports::Ours);
        assert_eq!(short(&disposition), expected, "{fate:?}");
    }
}

#[test]
fn a_host_that_wants_tls_after_tls_has_failed_is_asked_again_later() {
    let fate = RecipientReply::Refused { step: Step::Mail, reply: reply(530, None) };
    assert_eq!(short(&judge(fate, MX, Encryption::None, Reports::Ours)), "open 4.0.0");
}

fn tls(failure: TlsFailure) -> HostFailure {
    HostFailure::no_session("mx.example.org", address(), &SessionFailure::Tls(failure))
}

fn refused(stage: Stage) -> HostFailure {
    let failure = SessionFailure::Refused { stage, reply: reply(554, None) };
    HostFailure::no_session("mx.example.org", address(), &failure)
}

async fn not_named() -> HostFailure {
    let mismatch = required().await.admit(MxHost::parse("evil.example").unwrap()).unwrap_err();
    HostFailure::not_named(&mismatch)
}

#[tokio::test]
async fn where_no_host_meets_the_policy_the_status_is_that_of_what_tells_most() {
    let required = required().await;
    let ours = || HostFailure::no_session("mx.example.org", address(), &SessionFailure::Ourselves);
    let handshake = || TlsFailure::Handshake(HandshakeFailure::TimedOut);
    for (failures, status, by_policy) in [
        (vec![tls(TlsFailure::NotOffered)], "4.7.10", true),
        (vec![tls(TlsFailure::Refused(reply(554, None)))], "4.7.10", true),
        (vec![tls(handshake())], "4.7.5", true),
        (vec![not_named().await], "4.4.8", true),
        (vec![not_named().await, tls(handshake())], "4.7.5", true),
        (vec![refused(Stage::Greeting), not_named().await], "4.4.8", true),
        (vec![refused(Stage::Greeting)], "4.3.2", false),
        (vec![refused(Stage::HelloAgain)], "4.3.2", false),
        (vec![ours()], "4.4.6", false),
    ] {
        let DeliveryResult::Deferred(Failure { reason, .. }) = unmet(&required, &failures) else {
            panic!()
        };
        assert_eq!(reason.enhanced.to_string(), status, "{failures:?}");
        assert_eq!(reason.policy.is_some(), by_policy, "{failures:?}");
    }
}

#[tokio::test]
async fn a_reason_has_the_address_that_was_tried_for_it_and_no_other() {
    let required = required().await;
    let addr_of = |outcome: DeliveryResult| match outcome {
        DeliveryResult::Bounced(failure) | DeliveryResult::Deferred(failure) => failure.reason.addr,
        DeliveryResult::Delivered { addr, .. } => addr,
    };
    let handshake = || tls(TlsFailure::Handshake(HandshakeFailure::TimedOut));
    assert_eq!(addr_of(unmet(&required, &[handshake(), not_named().await])), Some(address()));
    assert_eq!(addr_of(unmet(&required, &[not_named().await])), None, "it was not asked");
    let nowhere = HostFailure::no_address("a.example.org", "no address".to_owned());
    assert_eq!(addr_of(unreached(&"example.org", &[handshake(), nowhere])), None);
    assert_eq!(addr_of(unreached(&"example.org", &[handshake()])), Some(address()));
    let remote = Remote { addr: Some(address()), ..MX };
    let step = Step::Rcpt;
    for fate in [
        RecipientReply::Taken(reply(250, None)),
        RecipientReply::Refused { step, reply: reply(550, None) },
        RecipientReply::Refused { step, reply: reply(450, None) },
        RecipientReply::Cut { step, error: DialogueError::Closed },
        RecipientReply::InDoubt(DialogueError::TimedOut),
        RecipientReply::Unfit(Unfit::Binary),
    ] {
        let outcome = match judge(fate.clone(), remote, Encryption::Tls, Reports::Ours) {
            Disposition::NextTransaction(reason)
            | Disposition::NextHost(NotTaken::Later(reason)) => DeliveryResult::Deferred(reason),
            Disposition::NextHost(NotTaken::Unfit(reason)) => DeliveryResult::Bounced(reason),
            Disposition::Final(outcome) => outcome,
        };
        assert_eq!(addr_of(outcome), Some(address()), "{fate:?}");
    }
}

#[test]
fn a_relay_that_is_its_own_only_host_returns_mail_and_otherwise_waits() {
    let ours = || HostFailure::no_session("mx.example.org", address(), &SessionFailure::Ourselves);
    assert!(matches!(unreached(&"example.org", &[ours()]), DeliveryResult::Bounced(_)));
    let better =
        HostFailure::no_session("a.example.org", address(), &SessionFailure::ConnectTimedOut);
    assert!(matches!(unreached(&"example.org", &[better, ours()]), DeliveryResult::Deferred(_)));
    assert!(matches!(unreached(&"example.org", &[]), DeliveryResult::Deferred(_)));
}

#[tokio::test]
async fn a_policy_ends_no_mail_before_it_was_looked_at_once_more() {
    let required = required().await;
    let DeliveryResult::Deferred(held) = unmet(&required, &[tls(TlsFailure::NotOffered)]) else {
        panic!()
    };
    let waited = Duration::from_secs(5 * 86_400);
    assert_eq!(expire(held.clone(), waited, None), DeliveryResult::Deferred(held.clone()));

    let Ok(Recheck::Confirmed(token)) = policies(Some("enforce")).recheck(&required, now()).await
    else {
        panic!()
    };
    let DeliveryResult::Bounced(Failure { reason, .. }) = expire(held, waited, Some(&token)) else {
        panic!()
    };
    assert_eq!(reason.enhanced.to_string(), "5.7.10");
    assert!(reason.text.starts_with("not delivered in 5 days: the MTA-STS policy of example.org"));
    assert!(reason.policy.is_some());
}

#[test]
fn other_mail_ends_with_its_lifetime() {
    let failure = Status::NoAnswer.failure(ReasonClass::Connect, "no answer");
    let DeliveryResult::Bounced(Failure { reason, .. }) =
        expire(failure, Duration::from_secs(7300), None)
    else {
        panic!()
    };
    assert_eq!(reason.enhanced.to_string(), "5.4.7");
    assert_eq!(reason.text, "not delivered in 2 hours; the last attempt: no answer");
}

#[tokio::test]
async fn a_policy_is_the_cause_before_the_reply_that_shows_it() {
    let required = required().await;
    let refused = || tls(TlsFailure::Refused(reply(454, None)));
    let cause = |result: &DeliveryResult| match result {
        DeliveryResult::Bounced(failure) | DeliveryResult::Deferred(failure) => failure.cause,
        DeliveryResult::Delivered { .. } => panic!(),
    };
    assert_eq!(cause(&unreached(&"example.org", &[refused()])), FailureCause::Refused);
    let held = unmet(&required, &[refused()]);
    assert_eq!(cause(&held), FailureCause::Policy);
    // It stays so when the message's time has run out.
    let Ok(Recheck::Confirmed(token)) = policies(Some("enforce")).recheck(&required, now()).await
    else {
        panic!()
    };
    let DeliveryResult::Deferred(held) = held else { panic!() };
    let given_up = expire(held, Duration::from_secs(5 * 86_400), Some(&token));
    assert_eq!(cause(&given_up), FailureCause::Policy);
}

#[test]
fn mail_whose_policy_is_not_known_goes_on_counting_as_undecided() {
    let failure = Status::NoDirectory.failure(ReasonClass::Dns, "no answer");
    let undecided = Failure { cause: FailureCause::Undecided, ..failure };
    let DeliveryResult::Bounced(given_up) = expire(undecided, Duration::from_secs(7300), None)
    else {
        panic!()
    };
    assert_eq!(given_up.cause, FailureCause::Undecided);
}
