//! What is known of files that are gone, when the index does not remember that they are.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

/// Closes the queue, puts an older index back, and opens it.
async fn go_back(bench: Bench, index: &TempDir) -> Bench {
    bench.queue.close().await;
    put_back(index, bench.dir.path());
    let bench = bench.opened_again().await;
    assert!(!bench.path("index.damaged-1").exists(), "the older index was taken for a whole one");
    bench
}

#[tokio::test]
async fn an_index_gone_back_in_time_does_not_list_a_big_message_that_was_delivered() {
    let bench = Bench::new().await;
    let gone = bench.accept(&["a@one.example", "b@two.example"], &pattern(300_000)).await;
    let kept = bench.accept(&["a@three.example"], &pattern(300_000)).await;
    let before = bench.index();
    while let Some(lease) = bench.lease().await {
        let is_gone = lease.id() == gone;
        let outcome = if is_gone { delivered_outcome() } else { deferred("later") };
        bench.queue.settle(lease, vec![outcome], None).await.unwrap();
    }
    until(|| !bench.path("spool/big").join(gone.to_string()).exists()).await;
    let bench = go_back(bench, &before).await;
    assert_eq!(bench.ids().await, [kept]);
    assert_eq!(bench.queue.totals().recipients, 1);
    assert_eq!(bench.deliver_all().await.len(), 1);
}

#[tokio::test]
async fn an_index_gone_back_in_time_does_not_list_a_big_message_that_was_deleted() {
    let bench = Bench::new().await;
    let deleted = bench.accept(&["a@one.example"], &pattern(300_000)).await;
    let before = bench.index();
    assert!(bench.queue.delete(deleted, None).await.unwrap());
    until(|| !bench.path("spool/big").join(deleted.to_string()).exists()).await;
    let bench = go_back(bench, &before).await;
    assert_eq!(bench.ids().await, []);
}

#[tokio::test]
async fn an_index_gone_back_in_time_does_not_list_mail_whose_segment_was_unlinked() {
    let bench = Bench::with(|settings| settings.segment_size = 20_000).await;
    for n in 0..10 {
        bench.accept(&[&format!("{n}@one.example")], &pattern(10_000)).await;
    }
    let before = bench.index();
    bench.deliver_all().await;
    until(|| bench.segments().len() <= 1).await;
    let after = bench.accept(&["z@two.example"], &pattern(500)).await;
    let bench = go_back(bench, &before).await;
    assert_eq!(bench.ids().await, [after]);
    let next = bench.accept(&["z@three.example"], &pattern(500)).await;
    let bench = bench.crash().await;
    assert_eq!(bench.ids().await, [after, next], "no number of a segment is given twice");
}

#[tokio::test]
async fn mail_copied_out_of_a_segment_that_was_unlinked_is_kept() {
    let bench = Bench::with(|settings| settings.segment_size = 200_000).await;
    let slow = bench.accept(&["a@slow.example"], &pattern(7_000)).await;
    for n in 0..60 {
        bench.accept(&[&format!("{n}@one.example")], &pattern(10_000)).await;
    }
    let before = bench.index();
    while let Some(lease) = bench.lease().await {
        let outcome = if lease.id() == slow { deferred("later") } else { delivered_outcome() };
        bench.queue.settle(lease, vec![outcome], None).await.unwrap();
    }
    until(|| !bench.path("spool/seg-00000001").exists()).await;
    let bench = go_back(bench, &before).await;
    assert_eq!(bench.ids().await, [slow]);
    bench.clock.advance(Duration::from_secs(3_600));
    let lease = bench.lease().await.unwrap();
    assert!(read(&lease).await.unwrap() == pattern(7_000));
}

#[tokio::test]
async fn a_message_that_is_gone_is_not_sent_again_though_its_file_came_back_and_the_index_is_lost()
{
    let bench = Bench::new().await;
    let gone = bench.accept(&["a@one.example"], &pattern(300_000)).await;
    let file = bench.path("spool/big").join(gone.to_string());
    let bytes = fs::read(&file).unwrap();
    bench.deliver_all().await;
    bench.queue.close().await;
    assert!(!file.exists(), "nothing is left to be unlinked later");
    // As a power cut leaves it between the register and the directory.
    fs::write(&file, bytes).unwrap();
    fs::remove_dir_all(bench.path("index")).unwrap();
    let bench = bench.opened_again().await;
    assert_eq!(bench.ids().await, []);
    assert!(!file.exists());
}

#[tokio::test]
async fn a_file_that_was_lost_is_still_reported() {
    let bench = Bench::new().await;
    let lost = bench.accept(&["a@one.example"], &pattern(300_000)).await;
    bench.queue.close().await;
    fs::remove_file(bench.path("spool/big").join(lost.to_string())).unwrap();
    fs::remove_file(bench.path("closed")).unwrap();
    let bench = bench.opened_again().await;
    assert_eq!(bench.ids().await, [lost]);
    let lease = bench.lease().await.unwrap();
    assert!(matches!(lease.body().await, Err(BodyError::Damaged(_))));
}

#[tokio::test]
async fn a_segment_that_cannot_be_unlinked_does_not_keep_the_store_from_working() {
    let bench = Bench::with(|settings| settings.segment_size = 20_000).await;
    for n in 0..4 {
        bench.accept(&[&format!("{n}@one.example")], &pattern(10_000)).await;
    }
    let first = bench.path("spool/seg-00000001");
    fs::remove_file(&first).unwrap();
    fs::create_dir(&first).unwrap();
    let failures = Arc::new(Failures::default());
    bench.store.observe(Arc::<Failures>::clone(&failures));
    assert_eq!(bench.deliver_all().await.len(), 4);
    until(|| bench.segments().len() <= 2).await;
    let kept = bench.accept(&["z@two.example"], &pattern(500)).await;
    assert_eq!(bench.ids().await, [kept]);
    assert_eq!(failures.0.load(Ordering::SeqCst), 0);
    assert!(first.exists());
}

/// Counts how often the store failed.
#[derive(Debug, Default)]
struct Failures(AtomicUsize);

impl Observer for Failures {
    fn committed(&self, _group: CommitGroup) {}

    fn flushed(&self, _written: Flushed) {}

    fn shared(&self, _event: SharedEvent) {}

    fn failed(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}
