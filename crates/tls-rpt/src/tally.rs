//! Sessions added up by day, domain, policy and failure (RFC 8460 §4.2).
//!
//! A [`Tally`] is what one process counts; its rows can be kept elsewhere as counters that add up,
//! and be counted again into another tally. Nothing here is about a message or a sender of one.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use crate::day::Day;
use crate::domain::DomainName;
use crate::precision::Precision;
use crate::row::Row;

/// The most domains that are counted on a day.
pub const DOMAINS_MAX: usize = 100_000;

/// The sessions of a day with the hosts of a domain.
///
/// Counts are exact. Where more than 20 policies or 100 failures would have to be kept apart, less
/// is said of them: first the addresses are left out, then the hosts; first the text of policies,
/// then their domains.
///
/// It is kept by serde: what is read counts as what was written does, folded or not.
#[derive(Clone, Debug)]
pub struct DomainTally {
    domain: DomainName,
    precision: Precision,
    /// In boxes: most domains have one row, and a map has room for 11 from the start.
    rows: BTreeMap<Box<Row>, u64>,
}

impl DomainTally {
    /// No sessions yet, for reports to `domain`.
    #[must_use]
    pub fn new(domain: DomainName) -> Self {
        Self::folded(domain, Precision::default())
    }

    /// No sessions yet, of which no more than this is to be kept apart.
    pub(crate) const fn folded(domain: DomainName, precision: Precision) -> Self {
        Self { domain, precision, rows: BTreeMap::new() }
    }

    /// The domain that gets the report.
    #[must_use]
    pub const fn domain(&self) -> &DomainName {
        &self.domain
    }

    /// What is kept apart.
    pub(crate) const fn precision(&self) -> &Precision {
        &self.precision
    }

    /// Counts `sessions` more of a kind.
    pub fn count(&mut self, row: Row, sessions: u64) {
        if sessions > 0 && self.add(row, sessions) {
            self.settle();
        }
    }

    /// Adds what another process, or an earlier one, has counted.
    pub fn merge(&mut self, other: Self) {
        self.precision.merge(&other.precision);
        self.refold();
        for (row, sessions) in other.rows {
            let _is_new: bool = self.add(*row, sessions);
        }
        self.settle();
    }

    /// What was counted.
    pub fn rows(&self) -> impl Iterator<Item = (&Row, u64)> {
        self.rows.iter().map(|(row, sessions)| (row.as_ref(), *sessions))
    }

    /// Adds to the row as it is counted, and tells whether it is new.
    fn add(&mut self, row: Row, sessions: u64) -> bool {
        let row = Box::new(self.precision.apply(row, &self.domain));
        match self.rows.entry(row) {
            Entry::Occupied(mut counted) => {
                let sum = counted.get().saturating_add(sessions);
                counted.insert(sum);
                false
            }
            Entry::Vacant(new) => {
                new.insert(sessions);
                true
            }
        }
    }

    /// Folds rows until no more are kept apart than may be.
    fn settle(&mut self) {
        while self.precision.coarsen(&self.rows) {
            self.refold();
        }
    }

    /// Counts all rows again, as they are counted now.
    fn refold(&mut self) {
        for (row, sessions) in std::mem::take(&mut self.rows) {
            let _is_new: bool = self.add(*row, sessions);
        }
    }
}

/// The sessions of some days with the hosts of many domains.
///
/// ```
/// use std::sync::Arc;
/// use tls_rpt::{AppliedPolicy, Day, DomainName, Row, Tally};
///
/// let domain = DomainName::parse("example.org")?;
/// let policy = Arc::new(AppliedPolicy::none(domain.clone()));
/// let day = Day::parse("2026-11-30")?;
/// let mut tally = Tally::default();
/// tally.count(day, &domain, Row { policy, failure: None }, 1)?;
/// assert_eq!(tally.domains().count(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Tally(BTreeMap<Day, BTreeMap<DomainName, DomainTally>>);

impl Tally {
    /// Counts `sessions` of a kind that ended on `day`, for the report to `domain`.
    ///
    /// # Errors
    ///
    /// [`TooManyDomains`] where as many domains as may be are counted on that day and this is
    /// another.
    pub fn count(
        &mut self,
        day: Day,
        domain: &DomainName,
        row: Row,
        sessions: u64,
    ) -> Result<(), TooManyDomains> {
        self.entry(day, domain)?.count(row, sessions);
        Ok(())
    }

    /// Adds what another process, or an earlier one, has counted; the number of domains for which
    /// there was no room.
    #[must_use = "what there is no room for is lost"]
    pub fn merge(&mut self, other: Self) -> usize {
        let merged = other.into_domains().map(|(day, theirs)| self.add(day, theirs));
        merged.filter(Result::is_err).count()
    }

    /// Adds what another process, or an earlier one, has counted for one domain on `day`.
    ///
    /// # Errors
    ///
    /// [`TooManyDomains`] where as many domains as may be are counted on that day and this is
    /// another.
    pub fn add(&mut self, day: Day, counted: DomainTally) -> Result<(), TooManyDomains> {
        let domain = counted.domain.clone();
        self.entry(day, &domain)?.merge(counted);
        Ok(())
    }

    /// What was counted, by day and domain, to be kept elsewhere.
    pub fn into_domains(self) -> impl Iterator<Item = (Day, DomainTally)> {
        let of_day = |(day, domains): (Day, BTreeMap<DomainName, DomainTally>)| {
            domains.into_values().map(move |domain| (day, domain))
        };
        self.0.into_iter().flat_map(of_day)
    }

    /// What was counted, by day and domain.
    pub fn domains(&self) -> impl Iterator<Item = (Day, &DomainTally)> {
        self.0.iter().flat_map(|(day, domains)| domains.values().map(|domain| (*day, domain)))
    }

    /// What was counted for a domain on a day.
    #[must_use]
    pub fn domain(&self, day: Day, domain: &DomainName) -> Option<&DomainTally> {
        self.0.get(&day)?.get(domain)
    }

    /// Takes out what was counted for a domain on a day.
    pub fn take(&mut self, day: Day, domain: &DomainName) -> Option<DomainTally> {
        self.0.get_mut(&day)?.remove(domain)
    }

    /// Drops the days before `day`; how many domains had something counted on them.
    pub fn drop_before(&mut self, day: Day) -> usize {
        let kept = self.0.split_off(&day);
        std::mem::replace(&mut self.0, kept).values().map(BTreeMap::len).sum()
    }

    /// The tally of a domain on a day.
    fn entry(&mut self, day: Day, domain: &DomainName) -> Result<&mut DomainTally, TooManyDomains> {
        let domains = self.0.entry(day).or_default();
        if domains.len() >= DOMAINS_MAX && !domains.contains_key(domain) {
            return Err(TooManyDomains);
        }
        Ok(domains.entry(domain.clone()).or_insert_with(|| DomainTally::new(domain.clone())))
    }
}

/// As many domains as may be are counted on a day.
#[derive(Clone, Copy, Debug, Eq, thiserror::Error, PartialEq)]
#[error("sessions with {DOMAINS_MAX} domains are counted on this day")]
pub struct TooManyDomains;

#[cfg(test)]
mod tests;
