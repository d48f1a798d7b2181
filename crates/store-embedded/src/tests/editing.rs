//! Looking into the queue and changing it by hand.

use super::*;

#[tokio::test]
async fn no_bounce_is_sent_of_a_message_that_has_left_the_queue_meanwhile() {
    for size in [10, 400_000] {
        let bench = Bench::new().await;
        let id = bench.accept(&["a@one.example"], b"x").await;
        let lease = bench.lease().await.unwrap();
        assert!(bench.queue.delete(id, None).await.unwrap());
        for settle in [Some(lease), None] {
            let mut bounce = bench.queue.begin_own(own_message("sender@example.org")).unwrap();
            bounce.write(&pattern(size)).await.unwrap();
            match settle {
                Some(lease) => {
                    let outcomes = vec![bounced("no such user")];
                    let settled = bench.queue.settle(lease, outcomes, Some(bounce)).await.unwrap();
                    assert!(settled.message_gone);
                }
                None => assert!(!bench.queue.delete(id, Some(bounce)).await.unwrap()),
            }
        }
        assert_eq!(bench.ids().await, []);
        until(|| files_in(&bench.path("spool/big")).is_empty()).await;
        let bench = bench.crash().await;
        assert_eq!(bench.ids().await, []);
        assert_eq!(bench.queue.store().verify().await.unwrap().problems, []);
        bench.queue.close().await;
        fs::remove_dir_all(bench.path("index")).unwrap();
        assert_eq!(bench.opened_again().await.ids().await, [], "nor when the index is rebuilt");
    }
}
