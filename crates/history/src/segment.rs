//! One segment: an SQLite database that is appended to until it closes, then indexed and only read.

use std::collections::HashMap;

use rusqlite::{Connection, OpenFlags, OptionalExtension as _, Transaction, params};

use crate::address::AddressKey;
use crate::chain::{Link, sha256};
use crate::error::HistoryError;
use crate::files::SegmentFile;
use crate::gap::Gap;
use crate::recorder::KeptAttempt;
use crate::row::{AttemptRow, GapRow, Row};
use crate::settings::Addresses;

/// The format of a segment (`docs/history-format.md`).
pub(crate) const FORMAT: u32 = 1;

/// So many facts of a segment are known by their digest; what is not known is written once more.
const FACTS_KNOWN: usize = 50_000;

/// The tables of a segment. What is read of a record's text by name costs no space.
const TABLES: &str = "
    CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE fact (id INTEGER PRIMARY KEY, text TEXT NOT NULL);
    CREATE TABLE record (
        number INTEGER PRIMARY KEY, decision INTEGER, session INTEGER,
        text TEXT NOT NULL, link BLOB NOT NULL,
        kind TEXT AS (text ->> 'kind'), ended_at INTEGER AS (text ->> 'ended_at'),
        queue_id TEXT AS (text ->> 'queue_id'), domain TEXT AS (text ->> 'domain'),
        host TEXT AS (text ->> 'host'), outcome TEXT AS (text ->> 'outcome'),
        protection TEXT AS (text ->> 'protection'), sender TEXT AS (text ->> 'sender')
    );
    CREATE TABLE address (hash TEXT PRIMARY KEY, address TEXT NOT NULL) WITHOUT ROWID;
";

/// What a segment gets when it closes, so that it is searched fast.
const INDEXES: &str = "
    CREATE TABLE recipient (hash TEXT, number INTEGER, PRIMARY KEY (hash, number)) WITHOUT ROWID;
    INSERT OR IGNORE INTO recipient
        SELECT one.value, number FROM record, json_each(record.text, '$.recipients') AS one;
    CREATE INDEX record_queue_id ON record (queue_id);
    CREATE INDEX record_domain ON record (domain);
    CREATE INDEX record_host ON record (host);
    CREATE INDEX record_sender ON record (sender);
    CREATE INDEX record_session ON record (session);
";

/// Where a history goes on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct End {
    /// The number of the next record.
    pub(crate) next: u64,
    /// The last link of the chain.
    pub(crate) link: Link,
    /// The store's number of the last record that was taken from it.
    pub(crate) mark: u64,
}

impl End {
    /// Of a history in which there is nothing.
    pub(crate) const EMPTY: Self = Self { next: 1, link: Link::START, mark: 0 };
}

/// What is appended.
#[derive(Debug)]
pub(crate) enum Entry<'a> {
    /// An attempt.
    Attempt(Box<KeptAttempt<'a>>),
    /// Attempts that have no record.
    Gap(Gap),
}

/// A segment that is written.
#[derive(Debug)]
pub(crate) struct Segment {
    file: SegmentFile,
    connection: Connection,
    key: AddressKey,
    end: End,
    opened_at: u64,
    /// The numbers of the facts that are known, by their digests.
    facts: HashMap<String, i64>,
}

/// What is found in a segment that is to be written.
#[derive(Debug)]
pub(crate) enum Opened {
    /// It is full: the next one goes on from here.
    Closed(End),
    /// It is appended to.
    Open(Box<Segment>),
}

impl Segment {
    /// Begins a segment where a history goes on.
    pub(crate) fn create(
        file: SegmentFile,
        end: End,
        hostname: &str,
        now: u64,
    ) -> Result<Self, HistoryError> {
        // What a crash has left of an earlier try holds nothing.
        file.unlink()?;
        let key = AddressKey::new(&file.make_key()?);
        let made = connect(&file).and_then(|mut connection| {
            let transaction = connection.transaction()?;
            transaction.execute_batch(TABLES)?;
            for (name, value) in [
                ("format", FORMAT.to_string()),
                ("relay", hostname.to_owned()),
                ("first", end.next.to_string()),
                ("before", end.link.to_string()),
                ("opened_at", now.to_string()),
                ("mark", end.mark.to_string()),
            ] {
                set(&transaction, name, &value)?;
            }
            transaction.commit()?;
            Ok(connection)
        });
        let connection = made.map_err(HistoryError::segment(&file.path))?;
        Ok(Self { file, connection, key, end, opened_at: now, facts: HashMap::new() })
    }

    /// Opens a segment to be appended to, unless it is closed.
    pub(crate) fn open(file: SegmentFile) -> Result<Opened, HistoryError> {
        let failed = HistoryError::segment(&file.path);
        let connection = connect(&file).map_err(failed)?;
        let whole: String = connection
            .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
            .map_err(HistoryError::segment(&file.path))?;
        if whole != "ok" {
            return Err(damaged(&file, "SQLite finds it damaged"));
        }
        check_format(&connection, &file)?;
        let end = end_of(&connection, &file)?;
        if about(&connection, &file, "closed_at")?.is_some() {
            return Ok(Opened::Closed(end));
        }
        let opened_at = number(&connection, &file, "opened_at")?;
        let key = match file.key()? {
            Some(key) => key,
            None => file.make_key()?,
        };
        let (key, facts) = (AddressKey::new(&key), HashMap::new());
        Ok(Opened::Open(Box::new(Self { file, connection, key, end, opened_at, facts })))
    }

    /// Where the history goes on.
    pub(crate) const fn end(&self) -> End {
        self.end
    }

    /// Where the history went on when it was begun.
    pub(crate) fn began(&self) -> Result<End, HistoryError> {
        let link = before(&self.connection, &self.file)?;
        Ok(End { next: self.file.first, link, mark: 0 })
    }

    /// When it was begun, in milliseconds since 1970.
    pub(crate) const fn opened_at(&self) -> u64 {
        self.opened_at
    }

    /// Its file.
    pub(crate) const fn file(&self) -> &SegmentFile {
        &self.file
    }

    /// Appends entries, and notes that the store's records up to `mark` are here: all of it or
    /// nothing. It survives a power cut when this returns.
    pub(crate) fn append(
        &mut self,
        entries: &mut dyn Iterator<Item = Entry<'_>>,
        mark: u64,
        addresses: Addresses,
    ) -> Result<(), HistoryError> {
        if self.facts.len() > FACTS_KNOWN {
            self.facts.clear();
        }
        let Self { connection, key, facts, end, file, .. } = self;
        let mut after = End { mark, ..*end };
        let written = connection.transaction().and_then(|transaction| {
            let mut appending = Appending { transaction: &transaction, key, facts, addresses };
            for entry in entries {
                appending.append(entry, &mut after)?;
            }
            set(&transaction, "mark", &mark.to_string())?;
            transaction.commit()
        });
        if let Err(error) = written {
            // Those that were to be written are not there.
            self.facts.clear();
            return Err(HistoryError::segment(&file.path)(error));
        }
        self.end = after;
        Ok(())
    }

    /// Closes it: indexed, and with all in one file. Where that fails it is as it was.
    pub(crate) fn close(&mut self, now: u64) -> Result<(), HistoryError> {
        let Self { file, connection, end, .. } = self;
        let closed = connection.transaction().and_then(|transaction| {
            transaction.execute_batch(INDEXES)?;
            set(&transaction, "last", &end.next.saturating_sub(1).to_string())?;
            set(&transaction, "head", &end.link.to_string())?;
            set(&transaction, "closed_at", &now.to_string())?;
            transaction.commit()
        });
        let closed = closed
            .and_then(|()| connection.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(())));
        closed.map_err(HistoryError::segment(&file.path))
    }
}

/// Entries on their way into a segment.
struct Appending<'a> {
    transaction: &'a Transaction<'a>,
    key: &'a AddressKey,
    facts: &'a mut HashMap<String, i64>,
    addresses: Addresses,
}

impl Appending<'_> {
    /// Appends one entry, with which the history ends then.
    fn append(&mut self, entry: Entry<'_>, end: &mut End) -> rusqlite::Result<()> {
        let number = end.next;
        let (row, decision, session) = match entry {
            Entry::Gap(gap) => (Row::Gap(GapRow { number, gap }), None, None),
            Entry::Attempt(kept) => {
                let KeptAttempt { mut attempt, decision, session } = *kept;
                attempt.sender = self.sender(attempt.sender)?;
                attempt.recipients = self.recipients(&attempt.recipients)?;
                let (decision_id, decision) = self.fact(decision.get())?;
                let session = session.map(|session| self.fact(session.get())).transpose()?;
                let (session_id, session) = session.unzip();
                let row = AttemptRow { number, decision, session, attempt };
                (Row::Attempt(Box::new(row)), Some(decision_id), session_id)
            }
        };
        let text = text_of(&row)?;
        end.link = end.link.next(&text);
        end.next = number.saturating_add(1);
        let mut insert = self.transaction.prepare_cached(
            "INSERT INTO record (number, decision, session, text, link) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?;
        insert.execute(params![integer(number), decision, session, text, end.link.as_bytes()])?;
        Ok(())
    }

    /// What is kept of the sender.
    fn sender(&self, sender: Option<String>) -> rusqlite::Result<Option<String>> {
        match self.addresses {
            Addresses::None => Ok(None),
            Addresses::Clear | Addresses::Hashed => {
                sender.map(|sender| self.address(&sender)).transpose()
            }
        }
    }

    /// What is kept of the recipients.
    fn recipients(&self, recipients: &[String]) -> rusqlite::Result<Vec<String>> {
        match self.addresses {
            Addresses::None => Ok(Vec::new()),
            Addresses::Clear | Addresses::Hashed => {
                recipients.iter().map(|recipient| self.address(recipient)).collect()
            }
        }
    }

    /// What is kept of an address, which stands beside the chain if it is to be read.
    fn address(&self, address: &str) -> rusqlite::Result<String> {
        let hash = self.key.hashed(address);
        if self.addresses == Addresses::Clear && !address.is_empty() {
            let mut insert = self
                .transaction
                .prepare_cached("INSERT OR IGNORE INTO address (hash, address) VALUES (?1, ?2)")?;
            insert.execute(params![hash, address])?;
        }
        Ok(hash)
    }

    /// Writes a fact unless the segment has it; its number and its digest.
    fn fact(&mut self, text: &str) -> rusqlite::Result<(i64, String)> {
        let digest = sha256(text);
        if let Some(id) = self.facts.get(&digest) {
            return Ok((*id, digest));
        }
        self.transaction
            .prepare_cached("INSERT INTO fact (text) VALUES (?1)")?
            .execute(params![text])?;
        let id = self.transaction.last_insert_rowid();
        self.facts.insert(digest.clone(), id);
        Ok((id, digest))
    }
}

/// Opens a database to be written.
fn connect(file: &SegmentFile) -> rusqlite::Result<Connection> {
    let connection = Connection::open(&file.path)?;
    connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    connection.execute_batch("PRAGMA synchronous = FULL; PRAGMA secure_delete = ON;")?;
    Ok(connection)
}

/// Opens a database to be read, also while it is written.
pub(crate) fn connect_to_read(file: &SegmentFile) -> Result<Connection, HistoryError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(&file.path, flags)
        .map_err(HistoryError::segment(&file.path))?;
    check_format(&connection, file)?;
    Ok(connection)
}

/// Refuses a segment of a later version.
fn check_format(connection: &Connection, file: &SegmentFile) -> Result<(), HistoryError> {
    let format = number(connection, file, "format")?;
    let format = u32::try_from(format).unwrap_or(u32::MAX);
    if format > FORMAT {
        return Err(HistoryError::TooNew { path: file.path.clone(), format, known: FORMAT });
    }
    Ok(())
}

/// Where the history goes on after a segment.
fn end_of(connection: &Connection, file: &SegmentFile) -> Result<End, HistoryError> {
    let last = connection
        .query_row("SELECT number, link FROM record ORDER BY number DESC LIMIT 1", [], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?))
        })
        .optional()
        .map_err(HistoryError::segment(&file.path))?;
    let mark = number(connection, file, "mark")?;
    match last {
        Some((number, link)) => {
            let link = Link::read(&link).ok_or_else(|| damaged(file, "a link is cut short"))?;
            let number = u64::try_from(number).unwrap_or(0);
            Ok(End { next: number.saturating_add(1), link, mark })
        }
        None => Ok(End { next: file.first, link: before(connection, file)?, mark }),
    }
}

/// The link before the first record of a segment.
pub(crate) fn before(connection: &Connection, file: &SegmentFile) -> Result<Link, HistoryError> {
    let text = about(connection, file, "before")?;
    text.and_then(|text| Link::parse(&text))
        .ok_or_else(|| damaged(file, "it does not say which link it goes on from"))
}

/// What a segment says about itself.
pub(crate) fn about(
    connection: &Connection,
    file: &SegmentFile,
    name: &str,
) -> Result<Option<String>, HistoryError> {
    connection
        .query_row("SELECT value FROM about WHERE name = ?1", [name], |row| row.get(0))
        .optional()
        .map_err(HistoryError::segment(&file.path))
}

/// A number that a segment says about itself.
pub(crate) fn number(
    connection: &Connection,
    file: &SegmentFile,
    name: &str,
) -> Result<u64, HistoryError> {
    let text = about(connection, file, name)?;
    text.and_then(|text| text.parse().ok())
        .ok_or_else(|| damaged(file, "what it says about itself is not all there"))
}

/// Has a segment say something about itself.
fn set(transaction: &Transaction<'_>, name: &str, value: &str) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("INSERT OR REPLACE INTO about (name, value) VALUES (?1, ?2)")?
        .execute(params![name, value])
        .map(drop)
}

/// A segment does not hold what it should.
pub(crate) fn damaged(file: &SegmentFile, what: &'static str) -> HistoryError {
    HistoryError::Damaged { path: file.path.clone(), what }
}

/// The text of a record or of a fact.
fn text_of(value: &impl serde::Serialize) -> rusqlite::Result<String> {
    serde_json::to_string(value)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}

/// A number as SQLite keeps it.
pub(crate) fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
