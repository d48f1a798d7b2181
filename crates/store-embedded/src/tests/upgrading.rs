//! Stores that an earlier version of the program wrote.

use super::*;

/// What a program of format 1 left in `fixtures/format-1`, in order or killed: a message with
/// recipients at two destinations, one that is held, a big one, one that was deferred, one that was
/// delivered, and a value in a namespace.
async fn assert_taken_over(left: &str) {
    let dir = tempfile::tempdir().unwrap();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/format-1");
    copy_dir(&fixtures.join(left), dir.path());
    let clock = Arc::new(SetClock::new(start()));
    let (store, queue) = open_both(settings(dir.path()), &clock).await.unwrap();
    let bench = Bench { dir, store, desk: Desk { clock, queue } };
    assert!(fs::read_to_string(bench.path("format")).unwrap().contains("format 2"));
    assert!(!bench.path("index.damaged-1").exists());
    let ids = bench.ids().await;
    assert_eq!(ids.len(), 4);
    assert_eq!(bench.queue.totals().recipients, 6);
    let late = bench.queue.store().show(ids[3]).await.unwrap().unwrap();
    assert_eq!(late.entries[0].recipients[0].reason.as_ref().unwrap().text, "later, please");
    let namespace = bench.queue.values("policies");
    assert_eq!(namespace.get("one.example").await.unwrap(), Some(b"kept".to_vec()));
    assert_eq!(bench.deliver_all().await.len(), 4, "neither what is held nor what is deferred");
    assert!(bench.queue.release(ids[1]).await.unwrap());
    bench.clock.advance(Duration::from_secs(3_600));
    let bench = bench.crash().await;
    let mut left = Vec::new();
    while let Some(lease) = bench.lease().await {
        left.push((lease.id(), read(&lease).await.unwrap().len()));
        bench.queue.settle(lease, vec![delivered_outcome()], None).await.unwrap();
    }
    left.sort();
    assert_eq!(left, [(ids[1], 40), (ids[3], 50)]);
    assert_eq!(bench.queue.store().verify().await.unwrap().problems, []);
}

#[tokio::test]
async fn a_store_of_the_format_before_that_was_closed_is_taken_over() {
    assert_taken_over("closed").await;
}

#[tokio::test]
async fn a_store_of_the_format_before_whose_process_was_killed_is_taken_over() {
    assert_taken_over("crashed").await;
}
