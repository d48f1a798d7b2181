//! What attempts make of a domain.

use super::*;
use crate::ledger::observed::{CertificateSeen, MailKind, SessionSeen};

const DAY: u64 = 24 * 60 * 60 * 1_000;
const START: u64 = 1_800_000_000_000;

/// An attempt, and what stands behind it.
#[derive(Clone, Debug)]
struct Attempt {
    at: u64,
    outcome: OutcomeKind,
    protection: Protection,
    mail: MailKind,
    cause: Option<FailureCause>,
    decision: DecisionSeen,
    session: SessionSeen,
}

/// Mail was delivered at this time with this protection.
fn delivered(at: u64, protection: Protection) -> Attempt {
    let certificate = CertificateSeen { sha256: "aa".to_owned(), not_after: None };
    Attempt {
        at,
        outcome: OutcomeKind::Delivered,
        protection,
        mail: MailKind::Mail,
        cause: None,
        decision: DecisionSeen { policy: PolicySeen::Unknown, exception: ExceptionSeen::None },
        session: SessionSeen {
            host: "mx.one.example".to_owned(),
            certificate: Some(certificate),
            dane: DaneSeen::NotApplied,
        },
    }
}

impl Attempt {
    fn policy(mut self, id: &str, mode: PolicyMode) -> Self {
        self.decision.policy = PolicySeen::Version { id: id.to_owned(), mode, hosts: None };
        self
    }

    fn naming(mut self, named: &[&str]) -> Self {
        if let PolicySeen::Version { hosts, .. } = &mut self.decision.policy {
            *hosts = Some(named.iter().map(|host| (*host).to_owned()).collect());
        }
        self
    }

    fn without_policy(mut self) -> Self {
        self.decision.policy = PolicySeen::Absent;
        self
    }

    fn under_exception(mut self) -> Self {
        self.decision.exception = ExceptionSeen::Used;
        self
    }

    fn certificate(mut self, sha256: &str, not_after: u64) -> Self {
        let (sha256, not_after) = (sha256.to_owned(), Some(not_after));
        self.session.certificate = Some(CertificateSeen { sha256, not_after });
        self
    }

    fn dane(mut self, dane: DaneSeen) -> Self {
        self.session.dane = dane;
        self
    }

    fn deferred(mut self, cause: FailureCause) -> Self {
        (self.outcome, self.cause) = (OutcomeKind::Deferred, Some(cause));
        self
    }

    fn report(mut self) -> Self {
        self.mail = MailKind::TlsReport;
        self
    }
}

/// Has a domain go through attempts; what has happened by each.
fn go(state: &mut DomainState, attempts: &[Attempt]) -> Vec<Vec<EventKind>> {
    let observe = |attempt: &Attempt| {
        state.observe(&Observed {
            at: attempt.at,
            domain: "one.example",
            queue_id: "1mcc5rm000003",
            recipients: 1,
            outcome: attempt.outcome,
            protection: attempt.protection,
            mail: attempt.mail,
            host: Some("mx.one.example"),
            cause: attempt.cause,
            error: None,
            decision: &attempt.decision,
            session: Some(&attempt.session),
        })
    };
    attempts.iter().map(observe).collect()
}

#[test]
fn days_without_mail_break_no_run_and_a_message_with_less_does() {
    use Protection::{Dane, Plaintext, Tls, Verified};
    let mut state = DomainState::default();
    go(&mut state, &[delivered(START, Verified), delivered(START + 90 * DAY, Verified)]);
    assert_eq!((state.protection, state.since), (Some(Verified), Some(START)));
    let fell = START + 91 * DAY;
    let events = go(&mut state, &[delivered(fell, Tls)]);
    assert_eq!(events, [[EventKind::ProtectionFell { from: Verified, to: Tls }]]);
    assert_eq!((state.since, state.changed_at), (Some(fell), Some(fell)));
    assert_eq!(state.at_least, Runs { tls: Some(START), dane: None, verified: None });
    let rose = START + 92 * DAY;
    let events = go(&mut state, &[delivered(rose, Dane)]);
    assert_eq!(events, [[EventKind::ProtectionRose { from: Tls, to: Dane }]]);
    assert_eq!(state.at_least, Runs { tls: Some(START), dane: Some(rose), verified: None });
    go(&mut state, &[delivered(rose + 1, Plaintext)]);
    assert_eq!(state.at_least, Runs::default());
    assert_eq!(state.last_proof.as_ref().map(|proof| proof.at), Some(rose));
}

#[test]
fn a_clock_that_was_set_back_makes_no_run_longer_than_it_is() {
    let mut state = DomainState::default();
    let in_clear = START + 10 * DAY;
    go(&mut state, &[delivered(in_clear, Protection::Plaintext)]);
    go(&mut state, &[delivered(START, Protection::Verified)]);
    assert_eq!(state.since, Some(in_clear), "mail went in clear at that time");
    assert_eq!(state.at_least.verified, Some(in_clear));
    assert_eq!(state.last_at, in_clear);
}

#[test]
fn a_failed_attempt_and_a_report_say_nothing_about_protection() {
    let mut state = DomainState::default();
    let clear = Protection::Plaintext;
    go(
        &mut state,
        &[
            delivered(START, Protection::Verified),
            delivered(START + 1, clear).deferred(FailureCause::Unreachable),
            delivered(START + 2, clear).report(),
        ],
    );
    assert_eq!((state.protection, state.since), (Some(Protection::Verified), Some(START)));
    assert_eq!(state.held, None, "the host could not be reached, whatever it can prove");
    assert_eq!((state.counts.delivered, state.counts.deferred), (2, 1));
}

#[test]
fn a_policy_appears_changes_is_weakened_and_goes() {
    use PolicyMode::{Enforce, Testing};
    let mut state = DomainState::default();
    let mail = |days: u64| delivered(START + days * DAY, Protection::Verified);
    let events = go(
        &mut state,
        &[
            mail(0).without_policy(),
            mail(1).policy("a1", Testing),
            mail(2).policy("a2", Enforce),
            mail(3).policy("a2", Enforce),
            mail(4).policy("a3", Enforce),
        ],
    );
    let id = |id: &str| id.to_owned();
    assert_eq!(
        events,
        [
            vec![],
            vec![EventKind::PolicyAppeared { id: id("a1"), mode: Testing }],
            vec![EventKind::PolicyChanged { id: id("a2"), from: Testing, to: Enforce }],
            vec![],
            vec![EventKind::PolicyChanged { id: id("a3"), from: Enforce, to: Enforce }],
        ]
    );
    let since = START + 2 * DAY;
    let hosts = Vec::new();
    assert_eq!(state.policy, Some(PolicyStanding { id: id("a3"), mode: Enforce, since, hosts }));
    // What is not known changes nothing.
    assert_eq!(go(&mut state, &[mail(5)]), [[]; 1]);
    let events = go(&mut state, &[mail(6).policy("a4", Testing), mail(7).without_policy()]);
    assert_eq!(
        events,
        [
            [EventKind::PolicyWeakened { from: Enforce, to: Some(Testing) }],
            [EventKind::PolicyWeakened { from: Testing, to: None }],
        ]
    );
    assert_eq!((state.policy, state.changed_at), (None, Some(START + 7 * DAY)));
    assert!(events.iter().flatten().all(|event| event.weight() == crate::Weight::Warning));
}

#[test]
fn tlsa_records_that_go_are_told_and_those_that_do_not_match_are_not_gone() {
    let mut state = DomainState::default();
    let mail = |days: u64| delivered(START + days * DAY, Protection::Dane);
    let events = go(
        &mut state,
        &[
            mail(0).dane(DaneSeen::Matched),
            mail(1).dane(DaneSeen::NotMatched),
            mail(2).dane(DaneSeen::Matched),
            mail(3).dane(DaneSeen::NotApplied),
        ],
    );
    let (appeared, gone) = (EventKind::TlsaAppeared, EventKind::TlsaGone);
    assert_eq!(events, [vec![appeared], vec![], vec![], vec![gone]]);
    assert_eq!(state.dane_since, None);
}

#[test]
fn mail_is_held_since_the_first_failure_for_want_of_proof_until_one_is_delivered() {
    let mut state = DomainState::default();
    let mail = |minutes: u64| delivered(START + minutes, Protection::Verified);
    let events = go(
        &mut state,
        &[
            mail(0).deferred(FailureCause::Policy),
            mail(1).deferred(FailureCause::Policy),
            mail(2).deferred(FailureCause::Refused),
        ],
    );
    let held = EventKind::Held { cause: FailureCause::Policy, error: None };
    assert_eq!(events, [vec![held], vec![], vec![]]);
    let held = state.held.as_ref().unwrap();
    assert_eq!((held.since, held.last, held.cause), (START, START + 1, FailureCause::Policy));
    let events = go(&mut state, &[mail(3)]);
    assert_eq!(events, [[EventKind::HeldNoMore { since: START }]]);
    assert_eq!(state.held, None);
}

#[test]
fn a_certificate_is_new_once_and_near_its_end_once() {
    let mut state = DomainState::default();
    let mail = |days: u64| delivered(START + days * DAY, Protection::Verified);
    let (far, near) = (START + 80 * DAY, START + 10 * DAY);
    let events = go(
        &mut state,
        &[
            mail(0).certificate("aa", far),
            mail(1).certificate("bb", near),
            mail(2).certificate("aa", far),
            mail(3).certificate("bb", near),
        ],
    );
    let host = || "mx.one.example".to_owned();
    let changed = EventKind::CertificateChanged {
        host: host(),
        from: "aa".to_owned(),
        to: "bb".to_owned(),
        not_after: Some(near),
    };
    let ending =
        EventKind::CertificateEnding { host: host(), sha256: "bb".to_owned(), not_after: near };
    assert_eq!(events, [vec![], vec![changed, ending], vec![], vec![]]);
    let near_end = |now| state.certificates.near_end(now).count();
    assert_eq!((near_end(START - 30 * DAY), near_end(START)), (0, 1));
}

#[test]
fn an_exception_is_told_when_it_is_used_and_when_it_is_not_any_more() {
    let mut state = DomainState::default();
    let mail = |minutes: u64| delivered(START + minutes, Protection::Tls);
    let events =
        go(&mut state, &[mail(0).under_exception(), mail(1).under_exception(), mail(2), mail(3)]);
    let (used, ended) = (EventKind::ExceptionUsed, EventKind::ExceptionEnded);
    assert_eq!(events, [vec![used], vec![], vec![ended], vec![]]);
}

#[test]
fn a_refresh_that_fails_is_told_once_until_it_works() {
    let mut state = DomainState::default();
    let failing = state.refreshed(Some("timed out"), START);
    assert_eq!(failing, [EventKind::RefreshFailing { error: "timed out".to_owned() }]);
    assert_eq!(state.refreshed(Some("timed out"), START + 1), []);
    assert_eq!(state.refresh_failing_since, Some(START));
    assert_eq!(state.refreshed(None, START + 2), [EventKind::RefreshWorks]);
    assert_eq!(state.refreshed(None, START + 3), []);
}

#[test]
fn a_day_has_no_more_events_than_are_bearable_and_the_next_has_its_own() {
    let mut state = DomainState::default();
    let turn = |at: u64| {
        let protection = if at.is_multiple_of(2) { Protection::Tls } else { Protection::Plaintext };
        delivered(Day::of(START).begins() + at, protection)
    };
    let attempts: Vec<_> = (0..1_000).map(turn).collect();
    let events = go(&mut state, &attempts);
    assert_eq!(events.iter().flatten().count(), usize::try_from(EVENTS_A_DAY).unwrap());
    let next = go(&mut state, &[turn(DAY), turn(DAY + 1)]);
    assert_eq!(next.iter().flatten().count(), 2);
}

#[test]
fn certificates_and_hosts_without_end_take_no_more_room() {
    let mut state = DomainState::default();
    for number in 0..1_000_u64 {
        let mut mail = delivered(START + number * DAY, Protection::Tls);
        mail.session.host = format!("mx{}.one.example", number % 50);
        let mail = mail.certificate(&format!("{number:064}"), u64::MAX);
        go(&mut state, &[mail]);
    }
    assert_eq!(state.certificates.0.len(), 8);
    assert!(state.certificates.0.iter().all(|host| host.shown.len() <= 4));
    assert!(serde_json::to_string(&state).unwrap().len() < 8_000);
}

#[test]
fn a_state_is_the_same_after_it_was_written_and_read() {
    let mut state = DomainState::default();
    go(
        &mut state,
        &[
            delivered(START, Protection::Verified).policy("a1", PolicyMode::Enforce),
            delivered(START + 1, Protection::Verified).deferred(FailureCause::RequireTls),
        ],
    );
    let text = serde_json::to_string(&state).unwrap();
    assert_eq!(serde_json::from_str::<DomainState>(&text).unwrap(), state);
}

#[test]
fn hosts_that_a_policy_names_no_more_are_told() {
    let mut state = DomainState::default();
    let mail = |id| delivered(START, Protection::Verified).policy(id, PolicyMode::Enforce);
    let events = go(
        &mut state,
        &[
            mail("a1").naming(&["mx1.one.example", "*.old.example"]),
            mail("a1"),
            mail("a2").naming(&["mx1.one.example", "mx2.one.example"]),
            // Of the next the text is not there, so nothing can be told of the one after it.
            mail("a3"),
            mail("a4").naming(&["mx3.one.example"]),
        ],
    );
    let gone = |event: &EventKind| {
        let EventKind::PolicyHostsGone { hosts } = event else { return None };
        Some(hosts.join(" "))
    };
    let told: Vec<Vec<_>> =
        events.iter().map(|events| events.iter().filter_map(gone).collect()).collect();
    assert_eq!(told, [vec![], vec![], vec!["*.old.example".to_owned()], vec![], vec![]]);
    assert_eq!(state.policy.unwrap().hosts, ["mx3.one.example"]);
}
