//! Whether a domain publishes a policy: the TXT record at `_mta-sts.DOMAIN` (RFC 8461 §3.1).
//!
//! Only that one name is asked: never a parent's (RFC 8461 §3.4) and never the MX host's. How a
//! name is resolved is not here; it comes in through [`Names`].

use std::error::Error;
use std::fmt::Debug;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use async_trait::async_trait;
use thiserror::Error;

use crate::name::PolicyDomain;
use crate::parsed::Parsed;
use crate::record::{NoRecord, PolicyId, Record, select};

/// The DNS, as far as MTA-STS needs it.
///
/// Absence and doubt are told apart by the type: that a name or its records do not exist is an
/// answer (`Ok`), that nobody could say is an error. CNAMEs are to be followed (RFC 8461 §8.2).
#[async_trait]
pub trait Names: Debug + Send + Sync {
    /// The TXT records at `name`, each with its character-strings joined without blanks
    /// (RFC 8461 §3.1); `None` where the name or its TXT records do not exist.
    ///
    /// Answers may come from a cache for as long as their TTL allows.
    ///
    /// # Errors
    ///
    /// [`NamesError`] where that cannot be told.
    async fn txt(&self, name: &str) -> Result<Option<Vec<Vec<u8>>>, NamesError>;

    /// The same, past any cache of our own: for the last look before mail is returned
    /// (RFC 8461 §5.1).
    ///
    /// # Errors
    ///
    /// [`NamesError`] where that cannot be told.
    async fn txt_fresh(&self, name: &str) -> Result<Option<Vec<Vec<u8>>>, NamesError>;

    /// The addresses of `host`, of both families, in the order they are to be tried; empty where
    /// the host does not exist or has none.
    ///
    /// # Errors
    ///
    /// [`NamesError`] where that cannot be told.
    async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, NamesError>;
}

/// Why the DNS could not tell.
#[derive(Clone, Debug, Error)]
pub enum NamesError {
    /// The answer did not pass DNSSEC validation.
    #[error("the DNS answer is bogus")]
    Bogus,
    /// Something else went wrong.
    #[error("the DNS lookup failed")]
    Other(#[source] Arc<dyn Error + Send + Sync>),
    /// A server refused to answer.
    #[error("resolver {server} refused to answer")]
    Refused {
        /// Which one.
        server: SocketAddr,
    },
    /// A server answered that it failed.
    #[error("resolver {server} answered SERVFAIL")]
    ServFail {
        /// Which one.
        server: SocketAddr,
    },
    /// No server answered in time.
    #[error("no resolver answered in time")]
    TimedOut,
}

impl NamesError {
    /// A failure of some other kind.
    pub fn other(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Other(Arc::from(source.into()))
    }
}

/// What the DNS says about a domain's policy.
#[derive(Clone, Debug)]
pub enum TxtAnswer {
    /// It could not say; this never means that there is none.
    Failed(NamesError),
    /// There is a policy, of this id.
    Found(Parsed<Record>),
    /// None is published.
    NotPublished(NoRecord),
}

impl TxtAnswer {
    /// The id of the published policy.
    #[must_use]
    pub const fn id(&self) -> Option<&PolicyId> {
        match self {
            Self::Found(record) => Some(&record.value.id),
            Self::Failed(_) | Self::NotPublished(_) => None,
        }
    }

    /// A word for a metric or a table.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Failed(_) => "failed",
            Self::Found(_) => "found",
            Self::NotPublished(reason) => reason.label(),
        }
    }
}

/// How new an answer has to be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Freshness {
    /// As old as its TTL allows.
    Cached,
    /// Asked for now.
    Fresh,
}

/// Asks whether `domain` publishes a policy (RFC 8461 §3.1).
///
/// A domain whose `_mta-sts` name would be longer than DNS allows cannot publish one.
pub async fn discover(names: &dyn Names, domain: &PolicyDomain, freshness: Freshness) -> TxtAnswer {
    if !domain.can_publish() {
        return TxtAnswer::NotPublished(NoRecord::Absent);
    }
    let name = domain.record_name();
    let answer = match freshness {
        Freshness::Cached => names.txt(&name).await,
        Freshness::Fresh => names.txt_fresh(&name).await,
    };
    match answer.map(|texts| select(&texts.unwrap_or_default())) {
        Ok(Ok(record)) => TxtAnswer::Found(record),
        Ok(Err(reason)) => TxtAnswer::NotPublished(reason),
        Err(error) => TxtAnswer::Failed(error),
    }
}
