//! Values in namespaces.

use super::*;

#[tokio::test]
async fn no_value_has_a_file_of_its_own_however_long_it_is() {
    let bench = Bench::new().await;
    let namespace = bench.queue.values("policies");
    for size in [0, 1, 3_999, 4_000, 4_001, 12_000, 100_000] {
        namespace.put(&format!("{size:06}.example"), pattern(size)).await.unwrap();
    }
    let bench = bench.crash().await;
    assert_eq!(bench.queue.values("policies").scan(None, 99).await.unwrap().len(), 7);
    assert!(files_in(&bench.path("index/blobs")).is_empty());
}
