//! Small durable values under one name.

use std::sync::Arc;

use crate::contract::Store;
use crate::error::StoreError;
use crate::value::{Expected, Put};

/// The values under one name.
#[derive(Clone, Debug)]
pub struct Namespace {
    store: Arc<dyn Store>,
    name: Arc<str>,
}

impl Namespace {
    /// The values of `store` under `name`, which is the program's own and has no NUL.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, name: &str) -> Self {
        Self { store, name: Arc::from(name) }
    }

    /// The value at `key`.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: it cannot be told whether there is one.
    pub async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.store.get(&self.name, key).await
    }

    /// A number that is another one whenever the value at `key` may have changed.
    #[must_use]
    pub fn version(&self, key: &str) -> u64 {
        self.store.version(&self.name, key)
    }

    /// Writes the value at `key`, whatever is there; it is durable when this returns.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: the value is as it was before.
    pub async fn put(&self, key: &str, value: Vec<u8>) -> Result<(), StoreError> {
        self.store.put(&self.name, key, value, Expected::Anything).await.map(drop)
    }

    /// Writes the value at `key` if what is there is what was expected.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: the value is as it was before.
    pub async fn put_expecting(
        &self,
        key: &str,
        value: Vec<u8>,
        expected: Expected,
    ) -> Result<Put, StoreError> {
        self.store.put(&self.name, key, value, expected).await
    }

    /// Removes the value at `key`; whether there was one.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: the value is as it was before.
    pub async fn remove(&self, key: &str) -> Result<bool, StoreError> {
        self.store.remove(&self.name, key).await
    }

    /// Up to `limit` keys and values in the order of their keys, after `after` if given.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: the values could not be read.
    pub async fn scan(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        self.store.scan(&self.name, after, limit).await
    }
}
