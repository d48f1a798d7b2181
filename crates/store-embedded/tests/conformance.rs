//! The store on this machine keeps what every store promises, alone and under a queue.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::sync::Arc;

use async_trait::async_trait;
use clock::Clock;
use store::Store;
use store::conformance::{Home, copy_dir};
use store_embedded::{Embedded, StoreSettings};
use tempfile::TempDir;

/// The directory of a store.
#[derive(Debug)]
struct Directory(TempDir);

/// An empty one.
async fn empty() -> Box<dyn Home> {
    Box::new(Directory(tempfile::tempdir().unwrap()))
}

#[async_trait]
impl Home for Directory {
    async fn open(&self, clock: Arc<dyn Clock>) -> Arc<dyn Store> {
        let settings = StoreSettings::new(self.0.path());
        let settings = StoreSettings { reserve: 0, min_free: 0, ..settings };
        let open = move || Embedded::open(settings, clock);
        Arc::new(tokio::task::spawn_blocking(open).await.unwrap().unwrap())
    }

    async fn killed(&self) -> Box<dyn Home> {
        let left = tempfile::tempdir().unwrap();
        copy_dir(self.0.path(), left.path());
        Box::new(Self(left))
    }

    async fn another(&self) -> Box<dyn Home> {
        empty().await
    }
}

mod alone {
    store::conformance_tests!(super::empty);
}

mod under_a_queue {
    queue::conformance_tests!(super::empty);
}
