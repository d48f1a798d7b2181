//! The disk refuses, the index fails, the store is opened again.

use std::io;
use std::sync::atomic::Ordering;

use tokio::task::{JoinSet, yield_now};

use super::faults::*;
use super::*;
use crate::claims::SLICE;
use crate::committer::Committer;
use crate::index::SledEngine;
use crate::recovery::Opener;

#[tokio::test]
async fn nobody_is_acknowledged_while_the_disk_is_full_and_mail_is_taken_again_later() {
    for size in [10, 400_000] {
        let (bench, fault) = bench().await;
        let before = bench.accept(&["a@one.example"], b"before").await;
        let mut draft = bench.queue.begin(submitter(), envelope(&["a@two.example"])).unwrap();
        draft.write(&pattern(size)).await.unwrap();
        fault.set(FULL);
        let refused = draft.commit().await.unwrap_err();
        assert_no_room(&refused.reply());
        reached(&bench, Health::LowOnSpace).await;
        let refused = bench.queue.begin(submitter(), envelope(&["a@two.example"])).unwrap_err();
        assert_no_room(&refused.reply());
        fault.set(WELL);
        reached(&bench, Health::Ready).await;
        let after = bench.accept(&["a@three.example"], b"after").await;
        assert_eq!(bench.ids().await, [before, after], "what was refused is not there");
        let bench = bench.restart().await;
        assert_eq!(bench.ids().await, [before, after]);
        assert!(files_in(&bench.path("spool/big")).is_empty());
    }
}

#[tokio::test]
async fn an_index_that_cannot_be_flushed_costs_no_mail() {
    let (bench, fault) = bench().await;
    let first = bench.accept(&["a@one.example"], b"first").await;
    fault.set(INDEX_FULL);
    reached(&bench, Health::LowOnSpace).await;
    reached(&bench, Health::Ready).await;
    let second = bench.accept(&["a@two.example"], b"second").await;
    assert_eq!(bench.ids().await, [first, second]);
    assert_eq!(bench.crash().await.deliver_all().await.len(), 2);
}

#[tokio::test]
async fn a_store_that_fails_for_another_reason_does_not_speak_of_room() {
    let (bench, fault) = bench().await;
    let draft = bench.queue.begin(submitter(), envelope(&["a@two.example"])).unwrap();
    fault.set(BROKEN);
    let refused = draft.commit().await.unwrap_err().reply();
    assert_eq!(
        (refused.code().as_u16(), refused.enhanced().unwrap().to_string()),
        (451, "4.3.0".to_owned())
    );
    reached(&bench, Health::Failed).await;
    // A disk that fills up while the store is down is logged, and so is its end.
    fault.set(FULL);
    reached(&bench, Health::LowOnSpace).await;
    fault.set(BROKEN);
    reached(&bench, Health::Failed).await;
    fault.set(WELL);
    reached(&bench, Health::Ready).await;
}

#[tokio::test]
async fn what_was_refused_is_removed_even_if_the_index_has_it() {
    let (bench, fault) = bench().await;
    fault.set(LOST);
    let mut draft = bench.queue.begin(submitter(), envelope(&["a@two.example"])).unwrap();
    draft.write(b"x").await.unwrap();
    assert!(draft.commit().await.is_err());
    fault.set(WELL);
    reached(&bench, Health::Ready).await;
    let kept = bench.accept(&["a@one.example"], b"x").await;
    assert_eq!(bench.ids().await, [kept]);
    assert_eq!(bench.deliver_all().await.len(), 1);
}

#[tokio::test]
async fn nobody_of_a_commit_group_is_acknowledged_when_its_sync_fails() {
    let (bench, fault) = bench().await;
    let mut drafts = Vec::new();
    for n in 0..21 {
        let to = format!("{n}@one.example");
        let mut draft = bench.queue.begin(submitter(), envelope(&[&to])).unwrap();
        draft.write(b"x").await.unwrap();
        drafts.push(draft);
    }
    let first = drafts.remove(0);
    let kept = first.id();

    // While the first is synced, the others come together.
    let before = fault.syncs.load(Ordering::SeqCst);
    let closed = fault.gate.lock().await;
    let mut ahead = JoinSet::new();
    ahead.spawn(first.commit());
    until(|| fault.syncs.load(Ordering::SeqCst) == before + 1).await;
    let mut commits = JoinSet::new();
    for draft in drafts {
        commits.spawn(draft.commit());
    }
    for _ in 0..100 {
        yield_now().await;
    }
    fault.set(LOST);
    drop(closed);
    assert_eq!(ahead.join_all().await.remove(0).unwrap().id(), kept);
    let answers = commits.join_all().await;
    assert_eq!(answers.len(), 20);
    for answer in answers {
        assert_no_room(&answer.unwrap_err().reply());
    }
    assert_eq!(fault.syncs.load(Ordering::SeqCst), before + 2, "they were one group");

    fault.set(WELL);
    reached(&bench, Health::Ready).await;
    assert_eq!(bench.ids().await, [kept]);
    let bench = bench.restart().await;
    assert_eq!(bench.ids().await, [kept]);
    bench.queue.close().await;
    fs::remove_dir_all(bench.path("index")).unwrap();
    assert_eq!(bench.opened_again().await.ids().await, [kept], "the spool has none of them either");
}

#[tokio::test]
async fn an_engine_that_panics_in_use_or_at_a_start_is_rebuilt_and_loses_nothing() {
    let (bench, fault) = bench().await;
    let mut ids = Vec::new();
    for size in [10, 5_000, 400_000] {
        ids.push(bench.accept(&["a@one.example"], &pattern(size)).await);
    }
    fault.set(PANICS);
    let unknown = bench.queue.store().show(QueueId::from_number(1)).await;
    assert!(matches!(unknown, Err(StoreError::Index(_))), "{unknown:?}");
    until(|| bench.path("index.damaged-1").exists()).await;
    reached(&bench, Health::Ready).await;
    assert_eq!(bench.ids().await, ids);
    bench.queue.close().await;

    let Bench { dir, .. } = bench;
    fault.set(PANICS);
    let bench = open_faulty(dir, 0, &fault).await;
    assert!(fault.is(WELL) && bench.path("index.damaged-2").exists());
    assert_eq!(bench.ids().await, ids);
    for id in ids {
        let lease = bench.lease().await.unwrap();
        assert_eq!(lease.id(), id);
        let body = read(&lease).await.unwrap();
        assert!(body == pattern(body.len()));
        bench.queue.settle(lease, vec![delivered_outcome()], None).await.unwrap();
    }
    assert!(bench.lease().await.is_none());
}

#[tokio::test]
async fn a_settlement_and_its_bounce_wait_for_the_store() {
    for (fault_kind, size) in [(FULL, 10), (FULL, 400_000), (LOST, 10), (LOST, 400_000)] {
        let (bench, fault) = bench().await;
        bench.accept(&["a@one.example"], b"x").await;
        let lease = bench.lease().await.unwrap();
        let mut bounce = bench.queue.begin_own(own_message("sender@example.org")).unwrap();
        let bounce_id = bounce.id();
        bounce.write(&pattern(size)).await.unwrap();
        fault.set(fault_kind);
        let queue = bench.queue.clone();
        let settle = queue.settle(lease, vec![bounced("no such user")], Some(bounce));
        let mend = async {
            reached(&bench, Health::LowOnSpace).await;
            until_async(async || bench.queue.lease(1).await.is_err()).await;
            fault.set(WELL);
        };
        let (settled, ()) = tokio::join!(settle, mend);
        settled.unwrap();
        assert_eq!(bench.queue.leased(), 0);
        assert_eq!(bench.ids().await, [bounce_id]);
        let lease = bench.lease().await.unwrap();
        assert!(read(&lease).await.unwrap() == pattern(size));
        drop(lease);
        let bench = bench.restart().await;
        assert_eq!(bench.ids().await, [bounce_id]);
        assert_eq!(bench.queue.totals().messages, 1);
    }
}

#[tokio::test]
async fn a_value_that_may_have_changed_with_the_store_says_so() {
    let (bench, fault) = bench().await;
    let namespace = bench.queue.values("policies");
    namespace.put("one.example", b"1".to_vec()).await.unwrap();
    let first = namespace.version("one.example");
    bench.accept(&["a@one.example"], b"x").await;
    assert_eq!(namespace.version("one.example"), first, "no value was written");
    fault.set(LOST);
    assert!(namespace.put("one.example", b"2".to_vec()).await.is_err());
    fault.set(WELL);
    reached(&bench, Health::Ready).await;
    let second = namespace.version("one.example");
    assert_ne!(second, first);
    namespace.put("one.example", b"3".to_vec()).await.unwrap();
    assert_ne!(namespace.version("one.example"), second);
}

#[tokio::test]
async fn a_closed_queue_that_failed_answers_everybody() {
    let (bench, fault) = bench().await;
    bench.accept(&["a@one.example"], b"x").await;
    let lease = bench.lease().await.unwrap();
    fault.set(FULL);
    let settle = bench.queue.settle(lease, vec![delivered_outcome()], None);
    let close = async {
        reached(&bench, Health::LowOnSpace).await;
        bench.queue.close().await;
    };
    let (settled, ()) = tokio::join!(settle, close);
    assert!(matches!(settled, Err(StoreError::Closed)));
    fault.set(WELL);
    let bench = bench.opened_again().await;
    assert_eq!(bench.ids().await.len(), 1);
}

#[tokio::test]
async fn an_index_found_damaged_in_use_is_rebuilt_and_leases_stay_out() {
    let (bench, fault) = bench().await;
    bench.queue.values("policies").put("one.example", pattern(9_000)).await.unwrap();
    let first = bench.accept(&["a@one.example"], b"first").await;
    let second = bench.accept(&["a@two.example"], b"second").await;
    let lease = bench.lease().await.unwrap();
    fault.set(DAMAGED);
    assert!(bench.queue.lease(9).await.is_err());
    until(|| bench.path("index.damaged-1").exists()).await;
    reached(&bench, Health::Ready).await;
    assert_eq!(bench.ids().await, [first, second]);
    assert_eq!(bench.queue.leased(), 1);
    let other = bench.lease().await.unwrap();
    assert_ne!(other.id(), lease.id());
    assert!(bench.lease().await.is_none());
    bench.queue.settle(lease, vec![delivered_outcome()], None).await.unwrap();
    bench.queue.settle(other, vec![delivered_outcome()], None).await.unwrap();
    assert!(bench.ids().await.is_empty());
    assert_eq!(
        bench.queue.values("policies").get("one.example").await.unwrap(),
        Some(pattern(9_000))
    );
    assert!(bench.path("index.damaged-1").exists());
}

#[tokio::test]
async fn a_claim_that_fails_claims_nothing() {
    let (bench, fault) = bench().await;
    // One more than a look into the index reads.
    for _ in 0..=SLICE {
        bench.accept(&["a@one.example"], b"x").await;
    }
    let demand = |most| [Demand { destination: Arc::from("one.example"), most }];
    let first = bench.store.claim(&demand(1), 1).await.unwrap();
    assert_eq!(first[0].entries.len(), 1);
    fault.set(DAMAGED);
    assert!(bench.store.claim(&demand(SLICE), SLICE).await.is_err());
    until(|| bench.path("index.damaged-1").exists()).await;
    reached(&bench, Health::Ready).await;
    let others = bench.store.claim(&demand(SLICE), SLICE).await.unwrap();
    assert_eq!(others[0].entries.len(), SLICE);
}

#[tokio::test]
async fn a_lease_settles_its_own_recipients_though_the_index_was_rebuilt() {
    let (bench, fault) = bench().await;
    let names: Vec<String> = (0..350).map(|n| format!("{n}@one.example")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    bench.accept(&names, b"x").await;
    let delivered = bench.lease().await.unwrap();
    let out = bench.lease().await.unwrap();
    let settled_by = |lease: &Lease| -> Vec<String> {
        lease.recipients().iter().map(|r| r.mailbox.to_string()).collect()
    };
    let mut done = settled_by(&delivered);
    let outcomes = vec![delivered_outcome(); 100];
    bench.queue.settle(delivered, outcomes.clone(), None).await.unwrap();
    fault.set(DAMAGED);
    assert!(bench.queue.store().stats().await.is_err());
    until(|| bench.path("index.damaged-1").exists()).await;
    reached(&bench, Health::Ready).await;
    done.extend(settled_by(&out));
    bench.queue.settle(out, outcomes, None).await.unwrap();
    assert_eq!(bench.queue.totals().recipients, 150);
    done.extend(bench.deliver_all().await.into_iter().map(|(_, to)| to));
    done.sort();
    let mut expected = names;
    expected.sort_unstable();
    assert_eq!(done, expected);
}

#[tokio::test]
async fn mail_is_refused_while_space_is_low_and_bounces_are_not() {
    let bench = Bench::with(|settings| settings.min_free = u64::MAX).await;
    assert_eq!(bench.queue.health(), Health::LowOnSpace);
    let refused = bench.queue.begin(submitter(), envelope(&["a@one.example"])).unwrap_err();
    assert_no_room(&refused.reply());
    bench.queue.begin_own(own_message("a@one.example")).unwrap().commit().await.unwrap();
    assert_eq!(bench.deliver_all().await.len(), 1);
}

#[tokio::test]
async fn a_reserve_is_given_up_on_a_full_disk_and_taken_again_before_new_mail_is() {
    let (bench, fault) = bench_with_reserve(1 << 20).await;
    let reserve = bench.path("reserve");
    assert_eq!(fs::metadata(&reserve).unwrap().len(), 1 << 20);
    fault.set(FULL);
    let draft = bench.queue.begin(submitter(), envelope(&["a@one.example"])).unwrap();
    assert!(draft.commit().await.is_err());
    until(|| !reserve.exists()).await;
    fault.set(WELL);
    reached(&bench, Health::Ready).await;
    assert_eq!(fs::metadata(&reserve).unwrap().len(), 1 << 20);
}

#[tokio::test]
async fn mail_is_refused_while_there_is_no_room_for_the_reserve() {
    let bench = Bench::with(|settings| settings.reserve = u64::MAX).await;
    assert_eq!(bench.queue.health(), Health::LowOnSpace);
    assert!(!bench.path("reserve").exists());
}

#[tokio::test]
async fn a_big_bounce_that_comes_while_the_store_is_closed_is_there_when_it_is_open_again() {
    let (bench, fault) = bench().await;
    bench.accept(&["a@one.example"], b"x").await;
    let lease = bench.lease().await.unwrap();
    let mut bounce = bench.queue.begin_own(own_message("sender@example.org")).unwrap();
    let bounce_id = bounce.id();
    bounce.write(&pattern(400_000)).await.unwrap();
    let mut coming = bench.queue.begin(submitter(), envelope(&["a@two.example"])).unwrap();
    coming.write(&pattern(400_000)).await.unwrap();
    let draft = bench.queue.begin(submitter(), envelope(&["a@three.example"])).unwrap();
    fault.set(FULL);
    assert!(draft.commit().await.is_err());
    until_async(async || bench.queue.lease(1).await.is_err()).await;
    let settle = bench.queue.settle(lease, vec![bounced("no such user")], Some(bounce));
    let mend = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        fault.set(WELL);
    };
    let both = async { tokio::join!(settle, mend).0 };
    tokio::time::timeout(Duration::from_secs(20), both).await.unwrap().unwrap();
    let coming = coming.commit().await.unwrap().id();
    assert_eq!(bench.ids().await, [bounce_id, coming]);
    while let Some(lease) = bench.lease().await {
        assert!(read(&lease).await.unwrap() == pattern(400_000));
        bench.queue.settle(lease, vec![delivered_outcome()], None).await.unwrap();
    }
}

#[tokio::test]
async fn a_deletion_and_its_bounce_wait_for_the_store() {
    for size in [10, 400_000] {
        let (bench, fault) = bench().await;
        let id = bench.accept(&["a@one.example"], b"x").await;
        let mut bounce = bench.queue.begin_own(own_message("sender@example.org")).unwrap();
        let bounce_id = bounce.id();
        bounce.write(&pattern(size)).await.unwrap();
        fault.set(FULL);
        let mend = async {
            reached(&bench, Health::LowOnSpace).await;
            fault.set(WELL);
        };
        let (deleted, ()) = tokio::join!(bench.queue.delete(id, Some(bounce)), mend);
        reached(&bench, Health::Ready).await;
        assert_eq!(bench.ids().await, [bounce_id], "either both or none: {deleted:?}");
        assert!(deleted.unwrap());
    }
}

#[tokio::test]
async fn a_store_opens_on_a_full_disk_by_giving_up_the_reserve() {
    let bench = Bench::with(|settings| settings.reserve = 1 << 20).await;
    let id = bench.accept(&["a@one.example"], b"x").await;
    bench.queue.close().await;
    let reserve = bench.path("reserve");
    assert!(reserve.exists());
    let opener = Opener {
        index: Arc::new(move |dir| {
            if reserve.exists() {
                return Err(io::Error::from(io::ErrorKind::StorageFull).into());
            }
            Ok(Arc::new(SledEngine::open(dir)?))
        }),
        ..Opener::default()
    };
    let settings = StoreSettings { reserve: 1 << 20, ..settings(bench.dir.path()) };
    let store = open_with(settings, &bench.clock, opener).await.unwrap();
    let queue = over(&store, &bench.clock);
    let clock = Arc::clone(&bench.clock);
    let bench = Bench { dir: bench.dir, store, desk: Desk { clock, queue } };
    assert_eq!(bench.ids().await, [id]);
}

#[tokio::test]
async fn a_process_that_has_no_file_left_to_open_does_not_take_its_index_for_damaged() {
    let bench = Bench::new().await;
    let held = bench.accept(&["a@one.example"], b"x").await;
    assert!(bench.queue.hold(held).await.unwrap());
    bench.queue.close().await;
    // EMFILE.
    let opener = Opener {
        index: Arc::new(|_| Err(io::Error::from_raw_os_error(24).into())),
        ..Opener::default()
    };
    let (settings, clock) = (settings(bench.dir.path()), Arc::clone(&bench.clock));
    let started = move || Committer::start_with(settings, clock, opener).is_err();
    assert!(tokio::task::spawn_blocking(started).await.unwrap());
    assert!(!bench.path("index.damaged-1").exists());
    let bench = bench.opened_again().await;
    assert_eq!(bench.queue.store().show(held).await.unwrap().unwrap().state, State::OnHold);
}
