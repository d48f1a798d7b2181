//! Where policies are kept between deliveries: the contract of whoever keeps them.

use std::error::Error;
use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use thiserror::Error;

use crate::cache::CachedPolicy;
use crate::cache::bytes::DecodeError;
use crate::name::PolicyDomain;

/// Where policies are kept, durably.
///
/// "There is none" and "it cannot be read" are told apart: an entry that exists and cannot be read
/// is an error, which defers mail, and never `None`, which would send it unprotected.
#[async_trait]
pub trait PolicyStore: Debug + Send + Sync {
    /// The policy that is kept for `domain`.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where that cannot be told.
    async fn find(&self, domain: &PolicyDomain) -> Result<Option<CachedPolicy>, StoreError>;

    /// Keeps `policy` in place of what was kept for its domain; returns once that is durable.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where it may not have been kept.
    async fn keep(&self, policy: &CachedPolicy) -> Result<(), StoreError>;

    /// Keeps nothing for `domain` any more.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where it may still be kept.
    async fn remove(&self, domain: &PolicyDomain) -> Result<(), StoreError>;

    /// The domains that something is kept for: at most `limit`, in their order, after `after`.
    ///
    /// Names and not policies, so that one that cannot be read does not hide the others.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where that cannot be told.
    async fn list(
        &self,
        after: Option<&PolicyDomain>,
        limit: usize,
    ) -> Result<Vec<PolicyDomain>, StoreError>;
}

/// The store did not do what it was asked for.
#[derive(Clone, Debug, Error)]
#[error("the policy store failed")]
pub struct StoreError(#[source] Arc<dyn Error + Send + Sync>);

impl StoreError {
    /// A failure for this reason.
    pub fn new(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(Arc::from(source.into()))
    }
}

impl From<DecodeError> for StoreError {
    fn from(source: DecodeError) -> Self {
        Self::new(source)
    }
}
