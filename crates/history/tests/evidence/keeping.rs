//! What is kept, what is found, and what goes.

use std::time::Duration;

use history::{FoundRecord, Keeper, OutcomeKind, Query, Wanted};
use mail::Protection;

use crate::bench::{Bench, DER, digest};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[tokio::test(flavor = "multi_thread")]
async fn each_attempt_has_one_record_for_all_who_share_its_fate() {
    let bench = Bench::new().await;
    let first = bench.deliver(&["a@one.example", "b@one.example", "c@two.example"]).await;
    let second = bench.deliver(&["a@one.example"]).await;
    bench.keep().await;
    let (first, second) = (first.to_string(), second.to_string());
    assert_eq!(bench.told(), [first.clone(), first, second]);
    let counts: Vec<u32> = bench.all().records.iter().rev().map(recipients).collect();
    assert_eq!(counts, [2, 1, 1]);
    let FoundRecord::Attempt { attempt, policy, session, .. } = &bench.all().records[0] else {
        panic!("a gap");
    };
    assert_eq!((attempt.outcome.as_str(), attempt.protection.as_str()), ("delivered", "verified"));
    assert_eq!(attempt.reply.as_deref(), Some("250 2.0.0 taken"));
    assert_eq!(policy.policy_id.as_deref(), Some("20261201"));
    let tls = session.as_ref().unwrap().tls.as_ref().unwrap();
    assert_eq!(tls.certificate.as_ref().unwrap().names, ["mx.one.example"]);
    assert!(bench.store_records().await.is_empty(), "the store need not keep it any more");
    assert_eq!(bench.history().verify().unwrap().faults, []);
}

fn recipients(record: &FoundRecord) -> u32 {
    match record {
        FoundRecord::Attempt { attempt, .. } => attempt.recipient_count,
        FoundRecord::Gap { .. } => 0,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_is_found_by_all_that_it_can_be_looked_for_by_before_and_after_a_segment_closes() {
    let bench = Bench::new().await;
    let id = bench.deliver(&["Ann@one.example", "bob@two.example"]).await;
    for closed in [false, true] {
        bench.keep().await;
        if closed {
            bench.clock.advance(DAY);
            bench.keep().await;
            assert!(!bench.segments()[0].with_extension("sqlite-wal").exists());
        }
        let text = |text: &str| text.to_owned();
        let certificate: String = digest(&DER).iter().map(|byte| format!("{byte:02x}")).collect();
        for (wanted, count) in [
            (Wanted::QueueId(id), 2),
            (Wanted::Sender(text("sender@example.org")), 2),
            (Wanted::Recipient(text("ann@ONE.example")), 1),
            (Wanted::Recipient(text("nobody@one.example")), 0),
            (Wanted::Domain(text("TWO.example")), 1),
            (Wanted::Host(text("mx.one.example")), 1),
            (Wanted::Certificate(certificate), 2),
            (Wanted::Protection(Protection::Verified), 2),
            (Wanted::Protection(Protection::Plaintext), 0),
            (Wanted::Outcome(OutcomeKind::Delivered), 2),
            (Wanted::Failure(tls_rpt::ResultType::CertificateExpired), 0),
        ] {
            let query = Query { wanted: vec![wanted.clone()], ..Query::default() };
            let found = bench.history().find(&query, 10).unwrap();
            assert_eq!(found.unreadable, [""; 0]);
            assert_eq!(found.records.len(), count, "{wanted:?} closed {closed}");
        }
    }
    let both = vec![Wanted::QueueId(id), Wanted::Domain("one.example".to_owned())];
    let found = bench.history().find(&Query { wanted: both, ..Query::default() }, 10).unwrap();
    assert_eq!(found.records.len(), 1);
    assert!(bench.history().find(&Query::default(), 1).unwrap().more);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_process_had_kept_and_not_forgotten_is_there_once() {
    let bench = Bench::new().await;
    let first = bench.deliver(&["a@one.example"]).await;
    // The store that is left has the record still, and the history has it already.
    let before = bench.killed().await;
    bench.keep().await;
    store::conformance::copy_dir(&bench.settings.dir, &before.settings.dir);
    let second = before.deliver(&["a@one.example"]).await;
    before.keep().await;
    assert_eq!(before.told(), [first.to_string(), second.to_string()]);
    let left = before.killed().await;
    let third = left.deliver(&["a@one.example"]).await;
    left.keep().await;
    assert_eq!(left.told(), [first.to_string(), second.to_string(), third.to_string()]);
    assert_eq!(left.history().verify().unwrap().faults, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_chain_goes_on_over_segments_and_the_oldest_go_when_they_are_too_old() {
    let bench = Bench::with(|settings| settings.keep = DAY * 3).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(bench.deliver(&["a@one.example"]).await.to_string());
        bench.keep().await;
        bench.clock.advance(DAY);
        bench.keep().await;
    }
    assert_eq!((bench.segments().len(), bench.told()), (3, ids.clone()));
    let verified = bench.history().verify().unwrap();
    assert_eq!((verified.records, verified.faults), (3, vec![]));
    bench.clock.advance(DAY + Duration::from_secs(1));
    bench.keep().await;
    assert_eq!(bench.told(), ids[1..]);
    assert_eq!(bench.history().verify().unwrap().faults, [], "what is too old is not missed");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_oldest_segments_go_when_there_is_too_much() {
    let bench = Bench::with(|settings| settings.max_size = 1).await;
    bench.deliver(&["a@one.example"]).await;
    bench.keep().await;
    assert_eq!(bench.segments().len(), 1, "the one that is written stays");
    bench.clock.advance(DAY);
    bench.keep().await;
    assert_eq!(bench.segments().len(), 0);
    let last = bench.deliver(&["a@one.example"]).await;
    bench.keep().await;
    assert_eq!(bench.told(), [last.to_string()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_history_was_switched_off_there_is_a_gap() {
    let bench = Bench::new().await;
    bench.deliver(&["a@one.example"]).await;
    bench.keep().await;
    Keeper::note_disabled(&bench.store, bench.clock.as_ref()).await.unwrap();
    let since = clock::millis(clock::Clock::now(bench.clock.as_ref()));
    bench.clock.advance(DAY / 2);
    Keeper::note_disabled(&bench.store, bench.clock.as_ref()).await.unwrap();
    bench.keep().await;
    bench.keep().await;
    let records = bench.all().records;
    let FoundRecord::Gap { gap, .. } = &records[0] else { panic!("no gap") };
    assert_eq!((records.len(), gap.since), (2, Some(since)), "one gap, since the first time");
}
