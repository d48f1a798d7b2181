//! Space is given back.

use super::*;

#[tokio::test]
async fn a_segment_with_no_live_message_is_unlinked_with_its_settled_log() {
    let bench = Bench::with(|settings| settings.segment_size = 100_000).await;
    for n in 0..40 {
        bench.accept(&[&format!("{n}@one.example")], &pattern(10_000)).await;
    }
    assert!(bench.segments().len() >= 4);
    bench.deliver_all().await;
    until(|| bench.segments().len() == 1).await;
    until(|| {
        files_in(&bench.path("spool")).iter().filter(|n| n.ends_with(".settled")).count() <= 1
    })
    .await;
    let last = bench.segments();
    let bench = bench.restart().await;
    until(|| !bench.segments().contains(&last[0])).await;
    assert!(bench.segments().len() <= 1, "the journal alone is left");
}

#[tokio::test]
async fn compacted_messages_are_copied_forward_and_stay_whole() {
    let bench = Bench::with(|settings| settings.segment_size = 200_000).await;
    let names: Vec<String> = (0..3).map(|n| format!("{n}@slow-{n}.example")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let slow = bench.accept(&names, &pattern(7_000)).await;
    for n in 0..60 {
        bench.accept(&[&format!("{n}@one.example")], &pattern(10_000)).await;
    }
    let mut delivered = 0;
    while let Some(lease) = bench.lease().await {
        let outcome = if lease.id() == slow && delivered > 0 {
            deferred("later")
        } else {
            delivered += usize::from(lease.id() == slow);
            delivered_outcome()
        };
        bench.queue.settle(lease, vec![outcome], None).await.unwrap();
    }
    let first = bench.queue.store().show(slow).await.unwrap().unwrap().file;
    until_async(async || bench.queue.store().show(slow).await.unwrap().unwrap().file != first)
        .await;
    until(|| bench.segments().len() <= 2).await;
    bench.clock.advance(Duration::from_secs(3_600));
    let bench = bench.crash().await;
    let lease = bench.lease().await.unwrap();
    assert!(read(&lease).await.unwrap() == pattern(7_000));
    drop(lease);
    bench.queue.close().await;
    // Without the index, the new settled log says what was delivered before the copy.
    fs::remove_dir_all(bench.path("index")).unwrap();
    let bench = bench.opened_again().await;
    let left: Vec<_> = bench.deliver_all().await.into_iter().map(|(_, to)| to).collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

#[tokio::test]
async fn a_lease_reads_its_body_after_it_was_copied_forward() {
    let bench = Bench::with(|settings| settings.segment_size = 100_000).await;
    let slow = bench.accept(&["a@slow.example"], &pattern(5_000)).await;
    let lease = bench.lease().await.unwrap();
    assert_eq!(lease.id(), slow);
    for n in 0..20 {
        bench.accept(&[&format!("{n}@one.example")], &pattern(10_000)).await;
    }
    bench.deliver_all().await;
    let first = lease_file(&bench, slow).await;
    until_async(async || lease_file(&bench, slow).await != first).await;
    assert!(read(&lease).await.unwrap() == pattern(5_000));
}

async fn lease_file(bench: &Bench, id: QueueId) -> String {
    bench.queue.store().show(id).await.unwrap().unwrap().file
}
