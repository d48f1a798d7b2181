//! The file of the ledger: an SQLite database beside the segments, which can always be made again of
//! them.

use std::fs;
use std::path::{Path, PathBuf};

use mail::Protection;
use rusqlite::{Connection, OptionalExtension as _, Transaction, params};
use serde::de::DeserializeOwned;

use crate::error::HistoryError;
use crate::files::{COMPANIONS, DAMAGED, unlink, with_end};
use crate::ledger::day::{Day, DayBar};
use crate::ledger::domain_state::DomainState;
use crate::ledger::event::Event;
use crate::ledger::figures::{Figures, Span};
use crate::sql::{check_whole, integer, open_if_there, said, set, text_of};

/// The format of the file.
const FORMAT: u32 = 1;

/// Its name.
const NAME: &str = "ledger.sqlite";

const TABLES: &str = "
    CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE domain (
        id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, last_at INTEGER NOT NULL,
        text TEXT NOT NULL
    );
    CREATE TABLE day (
        domain INTEGER, day INTEGER, worst INTEGER, delivered INTEGER NOT NULL,
        deferred INTEGER NOT NULL, bounced INTEGER NOT NULL, PRIMARY KEY (domain, day)
    ) WITHOUT ROWID;
    CREATE TABLE event (
        number INTEGER PRIMARY KEY, at INTEGER NOT NULL, domain TEXT NOT NULL, text TEXT NOT NULL
    );
    CREATE INDEX event_domain ON event (domain);
    CREATE INDEX event_at ON event (at);
    CREATE TABLE minute (at INTEGER PRIMARY KEY, text TEXT NOT NULL);
    CREATE TABLE hour (at INTEGER PRIMARY KEY, text TEXT NOT NULL);
";

/// Where the ledger of a history is.
pub(crate) fn path_in(dir: &Path) -> PathBuf {
    dir.join(NAME)
}

/// The ledger, to be written.
#[derive(Debug)]
pub(crate) struct Database {
    path: PathBuf,
    connection: Connection,
}

impl Database {
    /// Opens the ledger in `dir`, or makes it.
    pub(crate) fn open(dir: &Path) -> Result<Self, HistoryError> {
        let path = path_in(dir);
        let opened = Connection::open(&path).and_then(|mut connection| {
            connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
            // A commit that a power cut takes is made again of the segments.
            connection.execute_batch("PRAGMA synchronous = NORMAL;")?;
            let transaction = connection.transaction()?;
            let made: i64 =
                transaction
                    .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
            if made == 0 {
                transaction.execute_batch(TABLES)?;
                set(&transaction, "format", &FORMAT.to_string())?;
                set(&transaction, "mark", "0")?;
            }
            transaction.commit()?;
            Ok(connection)
        });
        let connection = opened.map_err(HistoryError::segment(&path))?;
        check_whole(&connection, &path)?;
        check_format(&connection, &path)?;
        Ok(Self { path, connection })
    }

    /// Sets a damaged ledger aside; the name that it has then.
    pub(crate) fn set_aside(dir: &Path) -> Result<PathBuf, HistoryError> {
        let path = path_in(dir);
        let aside = with_end(&path, DAMAGED);
        for end in COMPANIONS {
            unlink(&with_end(&path, end))?;
        }
        fs::rename(&path, &aside).map_err(HistoryError::io(&path))?;
        Ok(aside)
    }

    /// The number of the last record that is in it.
    pub(crate) fn mark(&self) -> Result<u64, HistoryError> {
        let mark = about(&self.connection, "mark").map_err(HistoryError::segment(&self.path))?;
        mark.ok_or_else(|| self.damaged("it does not say how far it goes"))
    }

    /// What is known of a domain.
    pub(crate) fn domain(&self, name: &str) -> Result<Option<DomainState>, HistoryError> {
        let text: Option<String> = self
            .connection
            .prepare_cached("SELECT text FROM domain WHERE name = ?1")
            .and_then(|mut select| select.query_row([name], |row| row.get(0)).optional())
            .map_err(HistoryError::segment(&self.path))?;
        text.map(|text| self.read(&text)).transpose()
    }

    /// Figures of the span that began then.
    pub(crate) fn figures(&self, span: Span, at: u64) -> Result<Option<Figures>, HistoryError> {
        let sql = match span {
            Span::Hour => "SELECT text FROM hour WHERE at = ?1",
            Span::Minute => "SELECT text FROM minute WHERE at = ?1",
        };
        let text: Option<String> = self
            .connection
            .prepare_cached(sql)
            .and_then(|mut select| select.query_row([integer(at)], |row| row.get(0)).optional())
            .map_err(HistoryError::segment(&self.path))?;
        text.map(|text| self.read(&text)).transpose()
    }

    /// Changes the ledger: all of what `work` does, or nothing.
    pub(crate) fn change(
        &mut self,
        work: impl FnOnce(&Changing<'_>) -> rusqlite::Result<()>,
    ) -> Result<(), HistoryError> {
        let changed = self.connection.transaction().and_then(|transaction| {
            work(&Changing { transaction: &transaction })?;
            transaction.commit()
        });
        changed.map_err(HistoryError::segment(&self.path))
    }

    /// What a text says.
    fn read<T: DeserializeOwned>(&self, text: &str) -> Result<T, HistoryError> {
        serde_json::from_str(text).map_err(|_malformed| self.damaged("a row cannot be read"))
    }

    /// It does not hold what it should.
    fn damaged(&self, what: &'static str) -> HistoryError {
        HistoryError::Damaged { path: self.path.clone(), what }
    }
}

/// A change on its way into the ledger.
pub(crate) struct Changing<'a> {
    transaction: &'a Transaction<'a>,
}

impl Changing<'_> {
    /// Records up to this one are in it.
    pub(crate) fn mark(&self, mark: u64) -> rusqlite::Result<()> {
        set(self.transaction, "mark", &mark.to_string())
    }

    /// What is known of a domain, and what is to be added to its days.
    pub(crate) fn domain(
        &self,
        name: &str,
        state: &DomainState,
        days: &[DayBar],
    ) -> rusqlite::Result<()> {
        let mut upsert = self.transaction.prepare_cached(
            "INSERT INTO domain (name, last_at, text) VALUES (?1, ?2, ?3)
             ON CONFLICT (name) DO UPDATE SET last_at = excluded.last_at, text = excluded.text
             RETURNING id",
        )?;
        let values = params![name, integer(state.last_at), text_of(state)?];
        let id: i64 = upsert.query_row(values, |row| row.get(0))?;
        let mut upsert = self.transaction.prepare_cached(
            "INSERT INTO day (domain, day, worst, delivered, deferred, bounced)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (domain, day) DO UPDATE SET
                 worst = min(ifnull(worst, excluded.worst), ifnull(excluded.worst, worst)),
                 delivered = delivered + excluded.delivered,
                 deferred = deferred + excluded.deferred, bounced = bounced + excluded.bounced",
        )?;
        for DayBar { day, worst, counts } in days {
            let [delivered, deferred, bounced] =
                [counts.delivered, counts.deferred, counts.bounced].map(integer);
            let worst = worst.map(rank);
            let _rows =
                upsert.execute(params![id, day.number(), worst, delivered, deferred, bounced])?;
        }
        Ok(())
    }

    /// One more event.
    pub(crate) fn event(&self, event: &Event) -> rusqlite::Result<()> {
        self.transaction
            .prepare_cached("INSERT INTO event (at, domain, text) VALUES (?1, ?2, ?3)")?
            .execute(params![integer(event.at), event.domain, text_of(event)?])
            .map(drop)
    }

    /// The figures of a span.
    pub(crate) fn figures(&self, span: Span, figures: &Figures) -> rusqlite::Result<()> {
        let sql = match span {
            Span::Hour => "INSERT OR REPLACE INTO hour (at, text) VALUES (?1, ?2)",
            Span::Minute => "INSERT OR REPLACE INTO minute (at, text) VALUES (?1, ?2)",
        };
        self.transaction
            .prepare_cached(sql)?
            .execute(params![integer(figures.at), text_of(figures)?])
            .map(drop)
    }

    /// Removes what is as old as this, or is beyond these numbers.
    pub(crate) fn prune(&self, oldest: &Oldest) -> rusqlite::Result<()> {
        let day = Day::of(oldest.kept).number();
        let kept = integer(oldest.kept);
        let all = [
            ("DELETE FROM minute WHERE at < ?1", integer(oldest.minute)),
            ("DELETE FROM hour WHERE at < ?1", kept),
            ("DELETE FROM event WHERE at < ?1", kept),
            ("DELETE FROM day WHERE day < ?1", day.into()),
            ("DELETE FROM domain WHERE last_at < ?1", kept),
            (
                "DELETE FROM domain WHERE id IN \
                 (SELECT id FROM domain ORDER BY last_at DESC LIMIT -1 OFFSET ?1)",
                oldest.domains,
            ),
            (
                "DELETE FROM event WHERE number <= (SELECT max(number) FROM event) - ?1",
                oldest.events,
            ),
        ];
        for (sql, value) in all {
            let _rows = self.transaction.execute(sql, [value])?;
        }
        let orphans = "DELETE FROM day WHERE domain NOT IN (SELECT id FROM domain)";
        self.transaction.execute(orphans, []).map(drop)
    }
}

/// What is kept of a ledger.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Oldest {
    /// Minutes from this time on, in milliseconds since 1970.
    pub(crate) minute: u64,
    /// Everything else from this time on.
    pub(crate) kept: u64,
    /// So many domains.
    pub(crate) domains: i64,
    /// So many events.
    pub(crate) events: i64,
}

/// Opens the ledger in `dir` to be read, also while it is written; none where there is none.
pub(crate) fn connect_to_read(dir: &Path) -> Result<Option<Connection>, HistoryError> {
    let path = path_in(dir);
    let Some(connection) = open_if_there(&path)? else { return Ok(None) };
    check_format(&connection, &path)?;
    Ok(Some(connection))
}

/// Refuses the ledger of a later version.
fn check_format(connection: &Connection, path: &Path) -> Result<(), HistoryError> {
    let format = about(connection, "format").map_err(HistoryError::segment(path))?;
    let (path, what) = (path.to_path_buf(), "it does not say which format it has");
    let Some(format) = format else { return Err(HistoryError::Damaged { path, what }) };
    let format = u32::try_from(format).unwrap_or(u32::MAX);
    if format > FORMAT {
        return Err(HistoryError::TooNew { path, format, known: FORMAT });
    }
    Ok(())
}

/// A number that the ledger says about itself.
fn about(connection: &Connection, name: &str) -> rusqlite::Result<Option<u64>> {
    Ok(said(connection, name)?.and_then(|value| value.parse().ok()))
}

/// A protection as a number: more is better.
fn rank(protection: Protection) -> i64 {
    let place = Protection::ALL.iter().position(|one| *one == protection);
    place.and_then(|place| i64::try_from(place).ok()).unwrap_or_default()
}

/// The protection with this number.
pub(crate) fn of_rank(rank: i64) -> Option<Protection> {
    Protection::ALL.get(usize::try_from(rank).ok()?).copied()
}
