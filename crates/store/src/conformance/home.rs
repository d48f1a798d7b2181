//! Where a store under test lives.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use clock::Clock;

use crate::contract::Store;

/// Where a store keeps its mail: a directory, a schema of a database. It outlives the store that is
/// opened in it, and is gone when it is dropped.
#[async_trait]
pub trait Home: Debug + Send + Sync {
    /// Opens the store that is here, which must not be open; empty at first. It takes mail however
    /// little space there is.
    async fn open(&self, clock: Arc<dyn Clock>) -> Arc<dyn Store>;

    /// What would be left if the process were killed now.
    async fn killed(&self) -> Box<dyn Home>;

    /// Another one, for an empty store.
    async fn another(&self) -> Box<dyn Home>;
}
