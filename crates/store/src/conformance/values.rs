//! Values, of every length and while others write.

use std::sync::Arc;

use clock::SystemClock;
use tokio::task::JoinSet;

use crate::conformance::home::Home;
use crate::contract::Store;
use crate::error::StoreError;
use crate::namespace::Namespace;

/// Bytes of which every part differs.
#[must_use]
pub fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|n| u8::try_from((n * 31 + n / 251) % 251).unwrap()).collect()
}

/// A value is kept when its writing has returned, however long it is.
pub async fn values_of_every_length_survive_a_kill(home: Box<dyn Home>) {
    let namespace = Namespace::new(home.open(Arc::new(SystemClock)).await, "policies");
    for size in [0, 1, 3_999, 4_000, 4_001, 12_000, 100_000] {
        namespace.put(&format!("{size:06}.example"), pattern(size)).await.unwrap();
    }
    let left = home.killed().await;
    let namespace = Namespace::new(left.open(Arc::new(SystemClock)).await, "policies");
    for size in [0, 1, 3_999, 4_000, 4_001, 12_000, 100_000] {
        let kept = namespace.get(&format!("{size:06}.example")).await.unwrap();
        assert_eq!(kept, Some(pattern(size)), "{size}");
    }
    assert_eq!(namespace.get("none.example").await.unwrap(), None);
}

/// Of a value that was written over or removed nothing is left.
pub async fn a_shorter_value_leaves_nothing_of_the_longer_one(store: Arc<dyn Store>) {
    let namespace = Namespace::new(store, "policies");
    namespace.put("a", pattern(20_000)).await.unwrap();
    namespace.put("a", pattern(5_000)).await.unwrap();
    assert_eq!(namespace.get("a").await.unwrap(), Some(pattern(5_000)));
    assert!(namespace.remove("a").await.unwrap());
    assert!(!namespace.remove("a").await.unwrap());
    assert_eq!(namespace.get("a").await.unwrap(), None);
    assert!(namespace.scan(None, 9).await.unwrap().is_empty());
}

/// A scan knows no key of another namespace, and begins behind the key that it is given.
pub async fn a_scan_gives_one_namespace_in_order_and_goes_on_where_it_was(store: Arc<dyn Store>) {
    let namespace = Namespace::new(Arc::clone(&store), "b");
    for (name, key) in
        [("a", "z"), ("b", "two"), ("b", "one"), ("b", "onex"), ("c", "a"), ("bb", "a")]
    {
        Namespace::new(Arc::clone(&store), name).put(key, pattern(9_000)).await.unwrap();
    }
    let keys = |values: Vec<(String, Vec<u8>)>| -> Vec<String> {
        values.into_iter().map(|(key, _)| key).collect()
    };
    assert_eq!(keys(namespace.scan(None, 99).await.unwrap()), ["one", "onex", "two"]);
    assert_eq!(keys(namespace.scan(None, 2).await.unwrap()), ["one", "onex"]);
    assert_eq!(keys(namespace.scan(Some("one"), 99).await.unwrap()), ["onex", "two"]);
    assert_eq!(keys(namespace.scan(Some("onez"), 99).await.unwrap()), ["two"]);
}

/// A key is neither empty nor longer than 512 bytes, and has no NUL.
pub async fn what_is_no_key_is_refused(store: Arc<dyn Store>) {
    let namespace = Namespace::new(store, "policies");
    for key in ["", "a\0b", &"x".repeat(513)] {
        assert!(matches!(namespace.get(key).await, Err(StoreError::Key)));
        assert!(matches!(namespace.put(key, Vec::new()).await, Err(StoreError::Key)));
    }
}

/// Nobody reads pieces of two values.
pub async fn a_value_is_read_whole_while_it_is_written(store: Arc<dyn Store>) {
    let namespace = Namespace::new(store, "policies");
    namespace.put("a", vec![0; 30_000]).await.unwrap();
    let reader = namespace.clone();
    let mut reads = JoinSet::new();
    reads.spawn(async move {
        for _ in 0..3_000 {
            let value = reader.get("a").await.unwrap().unwrap();
            assert!(value.windows(2).all(|two| two.first() == two.last()), "pieces of two values");
        }
    });
    for n in 1..100 {
        namespace.put("a", vec![n; 30_000 + usize::from(n)]).await.unwrap();
    }
    reads.join_all().await;
}
