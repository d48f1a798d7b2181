//! Taking mail: drafts, commits, big bodies, long recipient lists.

use std::collections::BTreeSet;

use tokio::task::JoinSet;

use super::*;
use crate::index::for_each;
use crate::key::{Key, VALUE_MOST};
use crate::rows::StoreRow;

#[tokio::test]
async fn a_dropped_draft_leaves_nothing() {
    let bench = Bench::new().await;
    for size in [10, 1 << 20] {
        let mut draft = bench.queue.begin(submitter(), envelope(&["a@one.example"])).unwrap();
        draft.write(&pattern(size)).await.unwrap();
        drop(draft);
    }
    assert!(files_in(&bench.path("spool/tmp")).is_empty());
    assert!(bench.lease().await.is_none());
    let bench = bench.restart().await;
    assert!(bench.ids().await.is_empty());
    assert_eq!(bench.queue.totals(), Totals::default());
}

#[tokio::test]
async fn a_big_body_has_a_file_of_its_own_until_it_is_delivered() {
    let bench = Bench::new().await;
    let id = bench.accept(&["a@one.example", "b@two.example"], &pattern(1 << 20)).await;
    assert_eq!(files_in(&bench.path("spool/big")), [id.to_string()]);
    let bench = bench.restart().await;
    let lease = bench.lease().await.unwrap();
    assert!(read(&lease).await.unwrap() == pattern(1 << 20));
    bench.queue.settle(lease, vec![delivered_outcome()], None).await.unwrap();
    assert!(files_in(&bench.path("spool/big")).contains(&id.to_string()));
    bench.deliver_all().await;
    until(|| files_in(&bench.path("spool/big")).is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_writers_share_their_syncs() {
    let bench = Bench::new().await;
    let mut writers = JoinSet::new();
    for writer in 0..100 {
        let queue = bench.queue.clone();
        writers.spawn(async move {
            let mut ids = Vec::new();
            for n in 0..10 {
                let to = format!("w{writer}n{n}@one.example");
                let mut draft = queue.begin(submitter(), envelope(&[&to])).unwrap();
                draft.write(to.as_bytes()).await.unwrap();
                ids.push((draft.commit().await.unwrap().id(), to));
            }
            ids
        });
    }
    let expected: BTreeSet<_> = writers.join_all().await.into_iter().flatten().collect();
    assert_eq!(expected.len(), 1_000);
    let row = bench.store.handle.read(|engine| engine.find(&Key::store())).unwrap().unwrap();
    let row = StoreRow::decode(&row).unwrap();
    assert!(row.groups < 700, "{} groups for 1,000 messages", row.groups);
    let bench = bench.crash().await;
    let mut found = BTreeSet::new();
    while let Some(lease) = bench.lease().await {
        let to = lease.recipients()[0].mailbox.to_string();
        assert_eq!(read(&lease).await.unwrap(), to.as_bytes());
        found.insert((lease.id(), to));
        bench.queue.settle(lease, vec![delivered_outcome()], None).await.unwrap();
    }
    assert_eq!(found, expected);
}

#[tokio::test]
async fn ten_thousand_recipients_are_split_into_entries_that_fit_a_row_and_a_transaction() {
    let bench = Bench::new().await;
    let names: Vec<String> = (0..10_000)
        .map(|n| format!("recipient-with-a-rather-long-name-{n}@domain-{}.example", n % 7))
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    bench.accept(&names, b"hello").await;
    assert_eq!(bench.queue.totals().recipients, 10_000);
    assert_no_value_is_too_long(&bench);
    let bench = bench.crash().await;
    let mut seen = BTreeSet::new();
    while let Some(lease) = bench.lease().await {
        assert!(lease.recipients().len() <= 100);
        for recipient in lease.recipients() {
            assert_eq!(recipient.mailbox.domain(), lease.destination());
            assert!(seen.insert(recipient.mailbox.to_string()), "leased twice");
        }
        let outcomes: Vec<_> =
            (0..lease.recipients().len()).map(|n| deferred(&format!("{n}"))).collect();
        bench.queue.settle(lease, outcomes, None).await.unwrap();
    }
    assert_eq!(seen.len(), 10_000);
    assert_no_value_is_too_long(&bench);
}

/// sled keeps a longer value in a file of its own, which it never syncs.
fn assert_no_value_is_too_long(bench: &Bench) {
    let all = bench.store.handle.read(|engine| {
        for_each(engine, Key(Vec::new()), &Key(vec![u8::MAX]), |_, value| {
            assert!(value.len() <= VALUE_MOST);
            Ok(())
        })
    });
    all.unwrap();
    assert!(files_in(&bench.path("index/blobs")).is_empty());
}

#[tokio::test]
async fn reasons_of_any_length_are_kept_short_enough() {
    let bench = Bench::new().await;
    let names: Vec<String> = (0..100).map(|n| format!("{n}@one.example")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    bench.accept(&names, b"hello").await;
    let lease = bench.lease().await.unwrap();
    let outcomes: Vec<_> = (0..100)
        .map(|n| {
            let long = format!("{n}{}", "ä".repeat(3_000));
            let all = Some(long.clone());
            let code = EnhancedCode::new(Class::PersistentTransient, 4, 7);
            Outcome::Deferred(Reason {
                enhanced: code,
                class: ReasonClass::Policy,
                text: long,
                cause: all.clone(),
                mx: all.clone(),
                addr: "[1111:2222:3333:4444:5555:6666:7777:8888%4294967295]:65535".parse().ok(),
                reply: all.clone(),
                policy: all,
            })
        })
        .collect();
    bench.queue.settle(lease, outcomes, None).await.unwrap();
    assert_no_value_is_too_long(&bench);
    let shown = bench.queue.store().show(bench.ids().await[0]).await.unwrap().unwrap();
    let reason = shown.entries[0].recipients[99].reason.clone().unwrap();
    assert!(reason.text.starts_with("99ää") && reason.addr.is_some());
}
