//! Destinations that refuse reports: refused for good on 3 days, one is left alone for 14.
//!
//! Anyone may publish a record that names somebody else's server (RFC 8460 §7): who says no for
//! three days is not asked every day for ever.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use store::{Namespace, Store};
use tls_rpt::{Day, Destination};

use crate::digest::digest;
use crate::error::ReportError;

/// Where refusals are kept, by a digest of the destination: a URI may be longer than a key.
const REFUSALS: &str = "tls-rpt-refusals";

/// On how many days a destination must have refused.
const DAYS: usize = 3;

/// How long it is left alone then.
const LEFT_ALONE: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// How many destinations are looked at each time that old refusals are forgotten.
const PAGE: usize = 1000;

/// The days on which destinations have refused.
#[derive(Clone, Debug)]
pub(crate) struct Refusals(Namespace);

/// What is kept of a destination.
#[derive(Debug, Deserialize, Serialize)]
struct Refused {
    destination: Destination,
    /// The last days, as many as are needed.
    days: BTreeSet<Day>,
}

impl Refused {
    /// The day from which on the destination is tried again, where it is left alone.
    fn until(&self) -> Option<Day> {
        let last = self.days.last().filter(|_| self.days.len() >= DAYS)?;
        Some(Day::of(last.begins().checked_add(LEFT_ALONE)?))
    }
}

impl Refusals {
    /// Those in `store`.
    pub(crate) fn new(store: &Arc<dyn Store>) -> Self {
        Self(Namespace::new(Arc::clone(store), REFUSALS))
    }

    /// Until when a destination is left alone on `today`, if it is.
    pub(crate) async fn until(
        &self,
        destination: &Destination,
        today: Day,
    ) -> Result<Option<Day>, ReportError> {
        let kept = self.find(destination).await?;
        Ok(kept.and_then(|refused| refused.until()).filter(|until| today < *until))
    }

    /// Notes that a destination has refused a report `today`.
    pub(crate) async fn note(
        &self,
        destination: &Destination,
        today: Day,
    ) -> Result<(), ReportError> {
        let days = match self.find(destination).await? {
            // It was asked again after its time: it starts anew.
            Some(refused) if refused.until().is_some() => BTreeSet::new(),
            Some(refused) => refused.days,
            None => BTreeSet::new(),
        };
        let days = days.into_iter().chain([today]).collect();
        let refused = Refused { destination: destination.clone(), days };
        let value = serde_json::to_vec(&refused).map_err(ReportError::Unwritable)?;
        Ok(self.0.put(&key(destination), value).await?)
    }

    /// Forgets the refusals of a destination that has accepted a report.
    pub(crate) async fn forget(&self, destination: &Destination) -> Result<(), ReportError> {
        if self.find(destination).await?.is_some() {
            self.0.remove(&key(destination)).await?;
        }
        Ok(())
    }

    /// Forgets refusals that are older than what they have led to.
    pub(crate) async fn forget_old(&self, today: Day) -> Result<(), ReportError> {
        for (key, value) in self.0.scan(None, PAGE).await? {
            let last = parse(&value).and_then(|refused| refused.days.last().copied());
            let ends = last.and_then(|last| last.begins().checked_add(LEFT_ALONE));
            if ends.is_none_or(|ends| Day::of(ends) < today) {
                self.0.remove(&key).await?;
            }
        }
        Ok(())
    }

    /// What is kept of a destination; what cannot be read is not there.
    async fn find(&self, destination: &Destination) -> Result<Option<Refused>, ReportError> {
        let value = self.0.get(&key(destination)).await?;
        let kept = value.as_deref().and_then(parse);
        // Another destination may have the same digest.
        Ok(kept.filter(|refused| refused.destination == *destination))
    }
}

/// What was kept, if it can be read.
fn parse(value: &[u8]) -> Option<Refused> {
    serde_json::from_slice(value).ok()
}

/// The key of a destination.
fn key(destination: &Destination) -> String {
    format!("{:016x}", digest(destination.to_string().bytes()))
}
