//! Reading a ledger, whether a relay runs or not.

use std::path::PathBuf;

use mail::Protection;
use rusqlite::{Connection, OptionalExtension as _, params};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::HistoryError;
use crate::ledger::database::{connect_to_read, of_rank, path_in};
use crate::ledger::day::{Counts, Day, DayBar};
use crate::ledger::domain_state::DomainState;
use crate::ledger::event::Event;
use crate::ledger::figures::{Figures, Span};
use crate::ledger::need::{self, Need};
use crate::sql::{integer, most};

/// So many of the last events are looked at for what somebody should see.
const EVENTS_LOOKED_AT: usize = 10_000;

/// A ledger that is read: what is known of domains, and how much mail flowed.
#[derive(Clone, Debug)]
pub struct Ledger {
    dir: PathBuf,
}

/// A domain and what is known of it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Domain {
    /// The domain, in A-labels (RFC 5890).
    pub domain: String,
    /// What is known of it.
    #[serde(flatten)]
    pub state: DomainState,
    /// Messages in the queue for it; absent: nobody looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<u64>,
}

/// A domain with its days and with what has happened to it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct FullDomain {
    /// The domain.
    #[serde(flatten)]
    pub domain: Domain,
    /// The days on which there was mail for it, the oldest first.
    pub days: Vec<DayBar>,
    /// What has happened to it, the newest first.
    pub events: Vec<Event>,
}

/// Domains that are looked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct DomainQuery {
    /// Their mail was protected like this the last time.
    pub protection: Option<Protection>,
    /// Protection, policy or TLSA records changed at this time or later, in milliseconds since 1970.
    pub changed_since: Option<u64>,
    /// The last attempt ended at this time or later.
    pub since: Option<u64>,
    /// The first attempt ended before this time.
    pub until: Option<u64>,
}

/// A span of time in milliseconds since 1970: from its beginning up to its end, which is not in it.
#[derive(Clone, Copy, Debug)]
pub struct Between {
    /// Its beginning.
    pub since: u64,
    /// Its end.
    pub until: u64,
}

impl Between {
    /// All of time.
    pub const ALWAYS: Self = Self { since: 0, until: u64::MAX };
}

impl Ledger {
    /// The ledger of the history in this directory.
    #[must_use]
    pub fn in_dir(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// The domains that meet `query`, by name. Blocks: reads the disk.
    ///
    /// # Errors
    ///
    /// [`HistoryError`] where the ledger could not be read.
    pub fn domains(&self, query: &DomainQuery) -> Result<Vec<Domain>, HistoryError> {
        let Some(connection) = connect_to_read(&self.dir)? else { return Ok(Vec::new()) };
        let sql = "SELECT name, text FROM domain WHERE last_at >= ?1 ORDER BY name";
        let read = || -> rusqlite::Result<Vec<(String, String)>> {
            let mut select = connection.prepare(sql)?;
            let rows = select.query_map([integer(query.since.unwrap_or(0))], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?;
            rows.collect()
        };
        let rows = read().map_err(HistoryError::segment(&path_in(&self.dir)))?;
        let domains = rows
            .into_iter()
            .map(|(domain, text)| Ok(Domain { domain, state: self.read(&text)?, waiting: None }));
        domains
            .filter(|domain| domain.as_ref().map_or(true, |one| query.is_met_by(&one.state)))
            .collect()
    }

    /// A domain, by its name in A-labels, with its days and its last `events` within a span of time;
    /// none where it is not known. Blocks: reads the disk.
    ///
    /// # Errors
    ///
    /// [`HistoryError`] where the ledger could not be read.
    pub fn domain(
        &self,
        name: &str,
        within: Between,
        events: usize,
    ) -> Result<Option<FullDomain>, HistoryError> {
        let Some(connection) = connect_to_read(&self.dir)? else { return Ok(None) };
        let found: Option<(i64, String)> = connection
            .query_row("SELECT id, text FROM domain WHERE name = ?1", [name], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .optional()
            .map_err(HistoryError::segment(&path_in(&self.dir)))?;
        let Some((id, text)) = found else { return Ok(None) };
        let domain = Domain { domain: name.to_owned(), state: self.read(&text)?, waiting: None };
        let days = self.days(&connection, id, within)?;
        let sql = "SELECT text FROM event WHERE domain = ?1 AND at >= ?2 AND at < ?3 \
                   ORDER BY number DESC LIMIT ?4";
        let values = params![name, integer(within.since), integer(within.until), most(events)];
        let events = self.texts(&connection, sql, values)?;
        Ok(Some(FullDomain { domain, days, events }))
    }

    /// The last `limit` events of all domains within a span of time, the newest first. Blocks: reads
    /// the disk.
    ///
    /// # Errors
    ///
    /// [`HistoryError`] where the ledger could not be read.
    pub fn events(&self, within: Between, limit: usize) -> Result<Vec<Event>, HistoryError> {
        let Some(connection) = connect_to_read(&self.dir)? else { return Ok(Vec::new()) };
        let sql = "SELECT text FROM event WHERE at >= ?1 AND at < ?2 ORDER BY at DESC, number DESC \
                   LIMIT ?3";
        let values = params![integer(within.since), integer(within.until), most(limit)];
        self.texts(&connection, sql, values)
    }

    /// How much mail flowed within a span of time, by minute or hour, the oldest first. What is not
    /// there was nothing. Blocks: reads the disk.
    ///
    /// # Errors
    ///
    /// [`HistoryError`] where the ledger could not be read.
    pub fn figures(&self, span: Span, within: Between) -> Result<Vec<Figures>, HistoryError> {
        let Some(connection) = connect_to_read(&self.dir)? else { return Ok(Vec::new()) };
        let sql = match span {
            Span::Hour => "SELECT text FROM hour WHERE at >= ?1 AND at < ?2 ORDER BY at",
            Span::Minute => "SELECT text FROM minute WHERE at >= ?1 AND at < ?2 ORDER BY at",
        };
        let values = params![integer(span.begins(within.since)), integer(within.until)];
        self.texts(&connection, sql, values)
    }

    /// The domains that somebody should look at, at this time in milliseconds since 1970, by name. Of
    /// those whose mail is held the queue knows whether any waits still. Blocks: reads the disk.
    ///
    /// # Errors
    ///
    /// [`HistoryError`] where the ledger could not be read.
    pub fn needs(&self, now: u64) -> Result<Vec<Need>, HistoryError> {
        let domains = self.domains(&DomainQuery::default())?;
        let since = now.saturating_sub(need::TOLD_FOR);
        let events = self.events(Between { since, until: u64::MAX }, EVENTS_LOOKED_AT)?;
        let mut needs: Vec<_> =
            domains.iter().flat_map(|one| need::of_state(&one.domain, &one.state, now)).collect();
        needs.extend(events.iter().filter_map(need::of_event));
        needs.sort_by(|a, b| a.domain.cmp(&b.domain).then(a.since.cmp(&b.since)));
        Ok(needs)
    }

    /// Whether there is one.
    ///
    /// # Errors
    ///
    /// [`HistoryError`] where that cannot be told.
    pub fn is_kept(&self) -> Result<bool, HistoryError> {
        let path = path_in(&self.dir);
        path.try_exists().map_err(HistoryError::io(&path))
    }

    /// The days of a domain.
    fn days(
        &self,
        connection: &Connection,
        id: i64,
        within: Between,
    ) -> Result<Vec<DayBar>, HistoryError> {
        let sql = "SELECT day, worst, delivered, deferred, bounced FROM day \
                   WHERE domain = ?1 AND day >= ?2 AND day <= ?3 ORDER BY day";
        let (first, last) = (Day::of(within.since), Day::of(within.until.saturating_sub(1)));
        let read = || -> rusqlite::Result<Vec<DayBar>> {
            let mut select = connection.prepare(sql)?;
            let rows = select.query_map(params![id, first.number(), last.number()], |row| {
                let worst: Option<i64> = row.get(1)?;
                let count =
                    |place| row.get(place).map(|count: i64| u64::try_from(count).unwrap_or(0));
                let counts =
                    Counts { delivered: count(2)?, deferred: count(3)?, bounced: count(4)? };
                let day = Day::numbered(row.get(0)?);
                Ok(DayBar { day, worst: worst.and_then(of_rank), counts })
            })?;
            rows.collect()
        };
        read().map_err(HistoryError::segment(&path_in(&self.dir)))
    }

    /// What the texts say that a statement selects.
    fn texts<T: DeserializeOwned>(
        &self,
        connection: &Connection,
        sql: &str,
        values: impl rusqlite::Params,
    ) -> Result<Vec<T>, HistoryError> {
        let read = || -> rusqlite::Result<Vec<String>> {
            connection.prepare(sql)?.query_map(values, |row| row.get(0))?.collect()
        };
        let texts = read().map_err(HistoryError::segment(&path_in(&self.dir)))?;
        texts.iter().map(|text| self.read(text)).collect()
    }

    /// What a text says.
    fn read<T: DeserializeOwned>(&self, text: &str) -> Result<T, HistoryError> {
        serde_json::from_str(text).map_err(|_malformed| HistoryError::Damaged {
            path: path_in(&self.dir),
            what: "a row cannot be read",
        })
    }
}

impl DomainQuery {
    /// Whether a domain is looked for.
    fn is_met_by(&self, state: &DomainState) -> bool {
        self.protection.is_none_or(|protection| state.protection == Some(protection))
            && self.changed_since.is_none_or(|since| state.changed_at >= Some(since))
            && self.until.is_none_or(|until| state.first_at < until)
    }
}
