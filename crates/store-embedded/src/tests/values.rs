//! Values in namespaces.

use super::*;

#[tokio::test]
async fn values_of_every_length_survive_a_crash() {
    let bench = Bench::new().await;
    let namespace = bench.queue.values("policies");
    for size in [0, 1, 3_999, 4_000, 4_001, 12_000, 100_000] {
        namespace.put(&format!("{size:06}.example"), pattern(size)).await.unwrap();
    }
    let bench = bench.crash().await;
    let namespace = bench.queue.values("policies");
    for size in [0, 1, 3_999, 4_000, 4_001, 12_000, 100_000] {
        assert_eq!(
            namespace.get(&format!("{size:06}.example")).await.unwrap(),
            Some(pattern(size)),
            "{size}"
        );
    }
    assert_eq!(namespace.get("none.example").await.unwrap(), None);
    assert!(files_in(&bench.path("index/blobs")).is_empty());
}

#[tokio::test]
async fn a_shorter_value_leaves_nothing_of_the_longer_one() {
    let bench = Bench::new().await;
    let namespace = bench.queue.values("policies");
    namespace.put("a", pattern(20_000)).await.unwrap();
    namespace.put("a", pattern(5_000)).await.unwrap();
    assert_eq!(namespace.get("a").await.unwrap(), Some(pattern(5_000)));
    assert!(namespace.remove("a").await.unwrap());
    assert!(!namespace.remove("a").await.unwrap());
    assert_eq!(namespace.get("a").await.unwrap(), None);
    assert!(namespace.scan(None, 9).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_scan_gives_one_namespace_in_order_and_goes_on_where_it_was() {
    let bench = Bench::new().await;
    let namespace = bench.queue.values("b");
    for (name, key) in
        [("a", "z"), ("b", "two"), ("b", "one"), ("b", "onex"), ("c", "a"), ("bb", "a")]
    {
        bench.queue.values(name).put(key, pattern(9_000)).await.unwrap();
    }
    let keys = |values: Vec<(String, Vec<u8>)>| -> Vec<String> {
        values.into_iter().map(|(key, _)| key).collect()
    };
    assert_eq!(keys(namespace.scan(None, 99).await.unwrap()), ["one", "onex", "two"]);
    assert_eq!(keys(namespace.scan(None, 2).await.unwrap()), ["one", "onex"]);
    assert_eq!(keys(namespace.scan(Some("one"), 99).await.unwrap()), ["onex", "two"]);
    assert_eq!(keys(namespace.scan(Some("onez"), 99).await.unwrap()), ["two"]);
}

#[tokio::test]
async fn what_is_no_key_is_refused() {
    let bench = Bench::new().await;
    let namespace = bench.queue.values("policies");
    for key in ["", "a\0b", &"x".repeat(513)] {
        assert!(matches!(namespace.get(key).await, Err(StoreError::Key)));
        assert!(matches!(namespace.put(key, Vec::new()).await, Err(StoreError::Key)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_is_read_whole_while_it_is_written() {
    let bench = Bench::new().await;
    let namespace = bench.queue.values("policies");
    namespace.put("a", vec![0; 30_000]).await.unwrap();
    let reader = namespace.clone();
    let mut reads = tokio::task::JoinSet::new();
    reads.spawn(async move {
        for _ in 0..3_000 {
            let value = reader.get("a").await.unwrap().unwrap();
            assert!(value.iter().all(|byte| *byte == value[0]), "pieces of two values");
        }
    });
    for n in 1..100 {
        namespace.put("a", vec![n; 30_000 + usize::from(n)]).await.unwrap();
    }
    reads.join_all().await;
}
