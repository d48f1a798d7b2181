//! What a relay's reports are called (RFC 8460 §5.1): the same name as long as its store exists.

use std::sync::Arc;

use store::{Expected, Namespace, Put, Store};
use tls_rpt::{Day, DomainName, Instance};

use crate::error::ReportError;

/// Where the name of the instance is kept, and how many reports of a day were sent by hand.
const NAMES: &str = "tls-rpt-names";

/// The key of the instance.
const INSTANCE: &str = "instance";

/// The names that a store's reports have.
#[derive(Clone, Debug)]
pub(crate) struct Identity(Namespace);

impl Identity {
    /// That of the reports in `store`.
    pub(crate) fn new(store: &Arc<dyn Store>) -> Self {
        Self(Namespace::new(Arc::clone(store), NAMES))
    }

    /// The store's instance: relays that share a store are one.
    pub(crate) async fn instance(&self) -> Result<Instance, ReportError> {
        loop {
            let expected = match self.0.get(INSTANCE).await? {
                None => Expected::Absent,
                Some(kept) => match Instance::parse(&String::from_utf8_lossy(&kept)) {
                    Ok(instance) => return Ok(instance),
                    Err(_unreadable) => Expected::Anything,
                },
            };
            let drawn = format!("{:08x}", rand::random::<u32>());
            if self.0.put_expecting(INSTANCE, drawn.into_bytes(), expected).await? == Put::Written {
                tracing::debug!("instance of TLS reports named");
            }
        }
    }

    /// The instance of the next report about `day` to `domain`: each after the first, which are those
    /// that an operator asks for, has a name of its own.
    pub(crate) async fn next(
        &self,
        day: Day,
        domain: &DomainName,
    ) -> Result<Instance, ReportError> {
        let instance = self.instance().await?;
        Ok(match self.sent(day, domain).await? {
            0 => instance,
            sent => {
                let named = format!("{instance}p{}", sent.saturating_add(1));
                Instance::parse(&named).unwrap_or(instance)
            }
        })
    }

    /// Notes that a report about `day` to `domain` is kept although the day is not over.
    pub(crate) async fn count(&self, day: Day, domain: &DomainName) -> Result<(), ReportError> {
        let sent = self.sent(day, domain).await?.saturating_add(1);
        Ok(self.0.put(&format!("{day}/{domain}"), sent.to_string().into_bytes()).await?)
    }

    /// Forgets the reports by hand about days before `day`.
    pub(crate) async fn forget_before(&self, day: Day) -> Result<(), ReportError> {
        for (key, _) in self.0.scan(None, PAGE).await? {
            let of = key.split_once('/').and_then(|(of, _)| Day::parse(of).ok());
            if of.is_some_and(|of| of < day) {
                self.0.remove(&key).await?;
            }
        }
        Ok(())
    }

    /// How many reports about `day` to `domain` were sent by hand.
    async fn sent(&self, day: Day, domain: &DomainName) -> Result<u32, ReportError> {
        let kept = self.0.get(&format!("{day}/{domain}")).await?.unwrap_or_default();
        Ok(String::from_utf8_lossy(&kept).parse().unwrap_or_default())
    }
}

/// How many names are looked at each time that old ones are forgotten.
const PAGE: usize = 1000;
