//! The store on this machine keeps what every store promises.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::sync::Arc;

use clock::SystemClock;
use store::Store;
use store_embedded::{Embedded, StoreSettings};
use tempfile::TempDir;

/// An empty store, and the directory that it is in.
async fn fresh() -> (TempDir, Arc<dyn Store>) {
    let dir = tempfile::tempdir().unwrap();
    let settings = StoreSettings { min_free: 0, reserve: 0, ..StoreSettings::new(dir.path()) };
    let open = move || Embedded::open(settings, Arc::new(SystemClock));
    let store = tokio::task::spawn_blocking(open).await.unwrap().unwrap();
    (dir, Arc::new(store))
}

store::conformance_tests!(fresh);
