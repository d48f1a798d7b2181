//! The DNS as `mta-sts` asks it, answered by `dns`.

use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use dns::{Dns, Lookup, LookupError, Txt};
use mta_sts::{Names, NamesError};
use smtp::Domain;

/// Answers [`Names`] through a [`Dns`].
#[derive(Debug)]
pub(crate) struct DnsNames(pub(crate) Arc<dyn Dns>);

#[async_trait]
impl Names for DnsNames {
    async fn txt(&self, name: &str) -> Result<Option<Vec<Txt>>, NamesError> {
        texts(self.0.txt(name).await)
    }

    async fn txt_fresh(&self, name: &str) -> Result<Option<Vec<Txt>>, NamesError> {
        texts(self.0.txt_fresh(name).await)
    }

    async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, NamesError> {
        let host = Domain::parse(host).map_err(NamesError::other)?;
        let found = self.0.addresses(&host).await.map_err(cannot_tell)?;
        Ok(found.into_records().map(|found| found.records).unwrap_or_default())
    }
}

/// The records, or that there are none.
fn texts(answer: Result<Lookup<Txt>, LookupError>) -> Result<Option<Vec<Txt>>, NamesError> {
    Ok(answer.map_err(cannot_tell)?.into_records().map(|found| found.records))
}

/// The same failure in the other crate's words; none of them becomes an absence.
fn cannot_tell(error: LookupError) -> NamesError {
    match error {
        LookupError::Bogus => NamesError::Bogus,
        LookupError::Refused => NamesError::Refused,
        LookupError::ServFail => NamesError::ServFail,
        LookupError::TimedOut => NamesError::TimedOut,
        LookupError::Malformed { .. } | LookupError::Other { .. } => NamesError::other(error),
    }
}
