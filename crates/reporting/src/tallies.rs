//! Tallies in the store: a value per day and domain, which several relays add to.
//!
//! A day is closed before the first report of it is made. From then on nothing is added to it, so
//! that a clock that is set back never makes a report of the same day twice.
//!
//! The reasons: `docs/decisions/0021-tallies.md`.

use std::sync::Arc;
use std::time::Duration;

use store::{Expected, Namespace, Put, Store, StoreError};
use tls_rpt::{Day, DomainName, DomainTally};

use crate::next_report::{Change, KeptTally, NextReport, Part, PartState};

/// Where tallies are kept, by `DAY/DOMAIN`.
const TALLIES: &str = "tls-rpt-tallies";

/// Where it is kept that a day is closed, by `DAY`.
const CLOSED_DAYS: &str = "tls-rpt-closed-days";

/// How often a value is read again that others have changed meanwhile.
const TRIES: u32 = 50;

/// By how much longer each of these waits: a change that others are making takes a write to a disk.
const WAIT: Duration = Duration::from_millis(2);

/// What was counted for TLS reports.
#[derive(Clone, Debug)]
pub struct Tallies {
    tallies: Namespace,
    closed: Namespace,
}

impl Tallies {
    /// Those in `store`.
    #[must_use]
    pub fn new(store: &Arc<dyn Store>) -> Self {
        let namespace = |name| Namespace::new(Arc::clone(store), name);
        Self { tallies: namespace(TALLIES), closed: namespace(CLOSED_DAYS) }
    }

    /// Adds what was counted for a domain on a day; it is durable when this returns.
    ///
    /// Whether the day is [closed](Self::is_closed) is the caller's to ask, once for all domains.
    ///
    /// # Errors
    ///
    /// [`TallyError`]: nothing was added.
    pub async fn add(&self, day: Day, counted: DomainTally) -> Result<(), TallyError> {
        let plus = |kept| Change::To(KeptTally::plus(kept, counted.clone()));
        self.change(&key(day, counted.domain()), plus).await.map(drop)
    }

    /// What the next report to `domain` about `day` is made of; none where nothing was counted, or it
    /// was dropped.
    ///
    /// # Errors
    ///
    /// [`TallyError`]: it cannot be told.
    pub async fn read(
        &self,
        day: Day,
        domain: &DomainName,
    ) -> Result<Option<DomainTally>, TallyError> {
        Ok(self.next(day, domain).await?.map(|next| next.tally))
    }

    /// The same, and which report it is.
    pub(crate) async fn next(
        &self,
        day: Day,
        domain: &DomainName,
    ) -> Result<Option<NextReport>, TallyError> {
        let value = self.tallies.get(&key(day, domain)).await?;
        Ok(value.as_deref().map(parse).transpose()?.map(KeptTally::next))
    }

    /// Takes out what was counted for `domain` on `day` so far, unless that was done and no report of
    /// it is kept yet; what is counted later is for another report about the same day.
    ///
    /// # Errors
    ///
    /// [`TallyError`]: nothing was taken out.
    pub(crate) async fn take(
        &self,
        day: Day,
        domain: &DomainName,
    ) -> Result<Option<NextReport>, TallyError> {
        let take = |kept| Change::of(kept, KeptTally::take);
        let kept = self.change(&key(day, domain), take).await?;
        Ok(kept.map(KeptTally::next).filter(|next| next.state == PartState::Taken))
    }

    /// Notes that the report of a part that was taken out is kept.
    ///
    /// # Errors
    ///
    /// [`TallyError`]: that is not noted.
    pub(crate) async fn reported(
        &self,
        day: Day,
        domain: &DomainName,
        part: Part,
    ) -> Result<(), TallyError> {
        let reported = |kept| Change::of(kept, |kept: KeptTally| kept.report(part));
        self.change(&key(day, domain), reported).await.map(drop)
    }

    /// Drops what was counted for `domain` on `day` so far. Where reports about the day were sent, the
    /// next has a name of its own all the same.
    ///
    /// # Errors
    ///
    /// [`TallyError`]: it is still there.
    pub(crate) async fn clear(&self, day: Day, domain: &DomainName) -> Result<(), TallyError> {
        let clear = |kept| Change::of(kept, KeptTally::clear);
        let is_first = match self.change(&key(day, domain), clear).await {
            Ok(kept) => kept.is_none_or(|kept| kept.next().part == Part::FIRST),
            Err(TallyError::Unreadable(_)) => true,
            Err(error) => return Err(error),
        };
        if is_first {
            self.drop(day, domain).await?;
        }
        Ok(())
    }

    /// Changes what is kept at `key`, again where others have changed it meanwhile. Returns what is
    /// there now.
    async fn change(
        &self,
        key: &str,
        change: impl Fn(Option<KeptTally>) -> Change,
    ) -> Result<Option<KeptTally>, TallyError> {
        for number in 0..TRIES {
            tokio::time::sleep(WAIT * number).await;
            let version = self.tallies.version(key);
            let value = self.tallies.get(key).await?;
            let expected = match value {
                Some(_) => Expected::Version(version),
                None => Expected::Absent,
            };
            let changed = match change(value.as_deref().map(parse).transpose()?) {
                Change::None(kept) => return Ok(kept),
                Change::To(changed) => changed,
            };
            let value = serde_json::to_vec(&changed).map_err(TallyError::Unwritable)?;
            match self.tallies.put_expecting(key, value, expected).await? {
                Put::Written => return Ok(Some(changed)),
                Put::Changed => {}
            }
        }
        Err(TallyError::Contended)
    }

    /// Drops what was counted for `domain` on `day`; whether there was anything.
    ///
    /// # Errors
    ///
    /// [`TallyError`]: it is still there.
    pub async fn drop(&self, day: Day, domain: &DomainName) -> Result<bool, TallyError> {
        Ok(self.tallies.remove(&key(day, domain)).await?)
    }

    /// Up to `limit` days and domains of which something was counted, in the order of the days and
    /// then the domains, after `after` if given.
    ///
    /// # Errors
    ///
    /// [`TallyError`]: they could not be read.
    pub async fn list(
        &self,
        after: Option<&(Day, DomainName)>,
        limit: usize,
    ) -> Result<Vec<(Day, DomainName)>, TallyError> {
        let after = after.map(|(day, domain)| key(*day, domain));
        let found = self.tallies.scan(after.as_deref(), limit).await?;
        found.iter().map(|(key, _)| parse_key(key).ok_or(TallyError::Key)).collect()
    }

    /// Up to `limit` domains of which something was counted on `day`, in their order, after `after`
    /// if given.
    ///
    /// # Errors
    ///
    /// [`TallyError`]: they could not be read.
    pub async fn list_day(
        &self,
        day: Day,
        after: Option<&DomainName>,
        limit: usize,
    ) -> Result<Vec<DomainName>, TallyError> {
        let after = format!("{day}/{}", after.map_or("", DomainName::as_str));
        let found = self.tallies.scan(Some(&after), limit).await?;
        let listed = found.iter().map(|(key, _)| parse_key(key).ok_or(TallyError::Key));
        let of_day = listed.take_while(|entry| !matches!(entry, Ok((other, _)) if *other != day));
        of_day.map(|entry| entry.map(|(_day, domain)| domain)).collect()
    }

    /// Closes a day: nothing is added to it any more.
    ///
    /// # Errors
    ///
    /// [`TallyError`]: it may still be open.
    pub async fn close(&self, day: Day) -> Result<(), TallyError> {
        Ok(self.closed.put(&day.to_string(), Vec::new()).await?)
    }

    /// Whether a day is closed.
    ///
    /// # Errors
    ///
    /// [`TallyError`]: it cannot be told.
    pub async fn is_closed(&self, day: Day) -> Result<bool, TallyError> {
        Ok(self.closed.get(&day.to_string()).await?.is_some())
    }
}

/// The key of a day and a domain.
fn key(day: Day, domain: &DomainName) -> String {
    format!("{day}/{domain}")
}

/// The day and the domain of a key.
fn parse_key(key: &str) -> Option<(Day, DomainName)> {
    let (day, domain) = key.split_once('/')?;
    Some((Day::parse(day).ok()?, DomainName::parse(domain).ok()?))
}

/// What is kept, of the octets.
fn parse(value: &[u8]) -> Result<KeptTally, TallyError> {
    serde_json::from_slice(value).map_err(TallyError::Unreadable)
}

/// What was counted could not be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum TallyError {
    /// Others change the value again and again.
    #[error("the tally changes all the time")]
    Contended,
    /// What is kept under a key that no day and domain has.
    #[error("a tally is kept under a key that is not a day and a domain")]
    Key,
    /// The store has failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
    /// What is kept is not a tally that this version can read.
    #[error("the tally cannot be read")]
    Unreadable(#[source] serde_json::Error),
    /// A tally could not be put into words.
    #[error("the tally cannot be written")]
    Unwritable(#[source] serde_json::Error),
}

#[cfg(test)]
mod tests;
