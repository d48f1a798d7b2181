//! Leasing and settling.

use super::*;

#[tokio::test]
async fn a_message_that_goes_at_once_is_not_read_from_the_disk() {
    let bench = Bench::new().await;
    let body = pattern(5_000);
    bench.accept(&["a@one.example", "b@two.example"], &body).await;
    fs::remove_file(bench.path("spool/seg-00000001")).unwrap();
    for _ in 0..2 {
        let lease = bench.lease().await.unwrap();
        assert!(read(&lease).await.unwrap() == body);
        bench.queue.settle(lease, vec![delivered_outcome()], None).await.unwrap();
    }
}
