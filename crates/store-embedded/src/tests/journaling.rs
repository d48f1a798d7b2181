//! The index's engine lags behind, and the journal makes up for it.

use super::*;

/// Leaves the queue as a power cut would that lost everything of the index's own files since `index`
/// was copied.
async fn cut(bench: Bench, index: &TempDir) -> Bench {
    bench.copied(|dir| put_back(index, dir)).await
}

fn segment(bench: &Bench) -> std::path::PathBuf {
    bench.path("spool/seg-00000001")
}

#[tokio::test]
async fn all_that_was_journaled_is_known_though_the_index_was_not_flushed() {
    let bench = Bench::new().await;
    let before = bench.index();
    let gone = bench.accept(&["z@gone.example"], b"gone").await;
    assert_eq!(bench.deliver_all().await, [(gone, "z@gone.example".to_owned())]);
    let late = bench.accept(&["a@one.example"], b"late").await;
    let lease = bench.lease().await.unwrap();
    bench.queue.settle(lease, vec![deferred("later, please")], None).await.unwrap();
    let held = bench.accept(&["b@two.example"], b"held").await;
    assert!(bench.queue.hold(held).await.unwrap());
    let namespace = bench.queue.values("policies");
    namespace.put("one.example", pattern(9_000)).await.unwrap();
    let bench = cut(bench, &before).await;
    assert!(!bench.path("index.damaged-1").exists());
    assert_eq!(bench.ids().await, [late, held]);
    assert!(bench.lease().await.is_none(), "what was deferred is deferred, what is held is held");
    let details = bench.queue.store().show(late).await.unwrap().unwrap();
    assert_eq!(details.entries[0].recipients[0].reason.as_ref().unwrap().text, "later, please");
    let namespace = bench.queue.values("policies");
    assert_eq!(namespace.get("one.example").await.unwrap(), Some(pattern(9_000)));
    assert_eq!(bench.queue.store().verify().await.unwrap().problems, []);
}

#[tokio::test]
async fn a_journal_cut_anywhere_loses_no_message_and_brings_back_only_what_follows_the_cut() {
    let bench = Bench::new().await;
    let before = bench.index();
    let first = bench.accept(&["a@one.example"], b"first").await;
    assert_eq!(bench.deliver_all().await.len(), 1);
    let length = fs::metadata(segment(&bench)).unwrap().len();
    let second = bench.accept(&["a@two.example"], b"second").await;
    let whole = fs::read(segment(&bench)).unwrap();
    let header_and_body = u64::try_from(whole.len()).unwrap();
    // What follows the first delivery was being written when the power failed.
    for end in (length..=header_and_body).step_by(7) {
        let cut = &whole[..usize::try_from(end).unwrap()];
        let change = |dir: &Path| {
            put_back(&before, dir);
            fs::remove_file(dir.join("spool/seg-00000001.settled")).ok();
            fs::write(dir.join("spool/seg-00000001"), cut).unwrap();
        };
        let there = bench.copied(change).await;
        let ids = there.ids().await;
        assert!(!ids.contains(&first), "{end}");
        assert!(ids.is_empty() || ids == [second], "{end}");
    }
}

#[tokio::test]
async fn a_bounce_that_was_not_written_whole_does_not_take_its_message_away() {
    let bench = Bench::new().await;
    let before = bench.index();
    let id = bench.accept(&["a@one.example"], b"x").await;
    let lease = bench.lease().await.unwrap();
    let mut bounce = bench.queue.begin_own(own_message("sender@example.org")).unwrap();
    bounce.write(&pattern(700)).await.unwrap();
    bench.queue.settle(lease, vec![bounced("no such user")], Some(bounce)).await.unwrap();
    fs::remove_file(bench.path("spool/seg-00000001.settled")).unwrap();
    // The disk had written the end of the group before its beginning.
    let (mut bytes, body) = (fs::read(segment(&bench)).unwrap(), pattern(700));
    let at = bytes.windows(body.len()).position(|part| part == body).unwrap();
    bytes[at..at + body.len()].fill(0);
    fs::write(segment(&bench), bytes).unwrap();
    let bench = cut(bench, &before).await;
    assert!(bench.ids().await.contains(&id));
}

#[tokio::test]
async fn a_bit_that_turned_over_in_a_message_costs_neither_it_nor_what_was_journaled_later() {
    let bench = Bench::new().await;
    let before = bench.index();
    let damaged = bench.accept(&["a@one.example"], &pattern(700)).await;
    let gone = bench.accept(&["a@two.example"], b"x").await;
    let mut leases = [bench.lease().await.unwrap(), bench.lease().await.unwrap()];
    leases.sort_by_key(Lease::id);
    let [kept, delivered] = leases;
    bench.queue.settle(delivered, vec![delivered_outcome()], None).await.unwrap();
    let held = bench.accept(&["a@three.example"], b"x").await;
    assert!(bench.queue.hold(held).await.unwrap());
    drop(kept);
    fs::remove_file(bench.path("spool/seg-00000001.settled")).unwrap();
    for at in [20, 64 + 30, 400] {
        let mut bits = fs::read(segment(&bench)).unwrap();
        bits[at] ^= 1;
        let change = |dir: &Path| {
            put_back(&before, dir);
            fs::write(dir.join("spool/seg-00000001"), bits).unwrap();
        };
        let there = bench.copied(change).await;
        assert_eq!(there.ids().await, [damaged, held], "{at}: {gone} was delivered");
        let lease = there.lease().await.unwrap();
        assert_eq!(lease.id(), damaged);
        assert_eq!(read(&lease).await.is_err(), at != 64 + 30, "{at}");
        assert!(there.lease().await.is_none(), "{at}");
    }
}

#[tokio::test]
async fn values_and_settlements_of_the_last_moment_survive_a_damaged_index() {
    let bench = Bench::new().await;
    let namespace = bench.queue.values("policies");
    namespace.put("one.example", b"old".to_vec()).await.unwrap();
    namespace.put("two.example", b"old".to_vec()).await.unwrap();
    let kept = bench.accept(&["a@one.example"], b"x").await;
    let gone = bench.accept(&["a@two.example"], b"x").await;
    while let Some(lease) = bench.lease().await {
        let is_gone = lease.id() == gone;
        let outcome = if is_gone { delivered_outcome() } else { deferred("later") };
        bench.queue.settle(lease, vec![outcome], None).await.unwrap();
    }
    namespace.put("one.example", b"new".to_vec()).await.unwrap();
    assert!(namespace.remove("two.example").await.unwrap());
    let change = |dir: &Path| {
        fs::write(dir.join("index/db"), [b'x'; 8_192]).unwrap();
        fs::remove_file(dir.join("spool/seg-00000001.settled")).unwrap();
    };
    let there = bench.copied(change).await;
    assert!(there.path("index.damaged-1").exists());
    assert_eq!(there.ids().await, [kept]);
    let namespace = there.queue.values("policies");
    assert_eq!(namespace.get("one.example").await.unwrap(), Some(b"new".to_vec()));
    assert_eq!(namespace.get("two.example").await.unwrap(), None);
}

#[tokio::test]
async fn what_is_flushed_lets_its_segments_go_and_nothing_comes_back() {
    let bench = Bench::with(|settings| settings.segment_size = 20_000).await;
    for n in 0..10 {
        bench.accept(&[&format!("{n}@one.example")], &pattern(10_000)).await;
    }
    assert!(bench.segments().len() >= 5);
    bench.deliver_all().await;
    until(|| bench.segments().len() <= 1).await;
    let bench = bench.crash().await;
    assert_eq!(bench.ids().await, []);
    assert_eq!(bench.queue.store().verify().await.unwrap().problems, []);
}
