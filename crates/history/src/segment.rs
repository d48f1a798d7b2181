//! One segment: an SQLite database that is appended to until it closes, then indexed and only read.

use rusqlite::{Connection, OptionalExtension as _, params};

use crate::appending::{Appending, Contents, End, Entry, With};
use crate::chain::Link;
use crate::digest::Digest;
use crate::error::HistoryError;
use crate::file_digest::write_digest;
use crate::files::SegmentFile;
use crate::sql::{
    about, before, check_format, check_whole, connect, connect_to_read, damaged, integer, number,
    set,
};
use crate::tables::{FORMAT, INDEXES, INDEXES_2, TABLES};

/// A segment that is written.
#[derive(Debug)]
pub(crate) struct Segment {
    file: SegmentFile,
    connection: Connection,
    format: u32,
    end: End,
    opened_at: u64,
    contents: Contents,
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
        let (format, contents) = (FORMAT, Contents::default());
        Ok(Self { file, connection, format, end, opened_at: now, contents })
    }

    /// Opens a segment to be appended to, unless it is closed.
    pub(crate) fn open(file: SegmentFile) -> Result<Opened, HistoryError> {
        // What is closed is not to be touched.
        let connection = connect_to_read(&file)?;
        check_whole(&connection, &file.path)?;
        let end = end_of(&connection, &file)?;
        if about(&connection, &file, "closed_at")?.is_some() {
            return Ok(Opened::Closed(end));
        }
        drop(connection);
        let connection = connect(&file).map_err(HistoryError::segment(&file.path))?;
        let format = check_format(&connection, &file)?;
        let opened_at = number(&connection, &file, "opened_at")?;
        let contents =
            if format < FORMAT { Contents::default() } else { contents_of(&connection, &file)? };
        Ok(Opened::Open(Box::new(Self { file, connection, format, end, opened_at, contents })))
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

    /// Its format.
    pub(crate) const fn format(&self) -> u32 {
        self.format
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
        with: With<'_>,
    ) -> Result<(), HistoryError> {
        let Self { connection, contents, end, file, .. } = self;
        let (mut after, months) = (End { mark, ..*end }, contents.months.len());
        let written = connection.transaction().and_then(|transaction| {
            let mut appending = Appending::new(&transaction, with, contents);
            for entry in entries {
                appending.append(entry, &mut after)?;
            }
            let new = appending.new;
            set(&transaction, "mark", &mark.to_string())?;
            if contents.months.len() > months {
                let months: Vec<&str> = contents.months.iter().map(String::as_str).collect();
                set(&transaction, "keys", &months.join(" "))?;
            }
            transaction.commit()?;
            Ok(new)
        });
        match written {
            Ok(new) => {
                self.end = after;
                with.shared.known.add(&new);
                Ok(())
            }
            Err(error) => {
                let error = HistoryError::segment(&file.path)(error);
                // Those that were to be written are not there.
                *contents = contents_of(connection, file)?;
                Err(error)
            }
        }
    }

    /// Notes that its last link goes to the log.
    pub(crate) fn seal(&self, now: u64) -> Result<(), HistoryError> {
        if self.format < FORMAT {
            return Ok(());
        }
        let End { next, link, .. } = self.end;
        let sealed = self.connection.execute(
            "INSERT OR REPLACE INTO seal (number, link, at) VALUES (?1, ?2, ?3)",
            params![integer(next.saturating_sub(1)), link.as_bytes(), integer(now)],
        );
        sealed.map(drop).map_err(HistoryError::segment(&self.file.path))
    }

    /// Closes it: indexed, and with all in one file. Where that fails it is as it was.
    pub(crate) fn close(&mut self, now: u64) -> Result<(), HistoryError> {
        self.seal(now)?;
        let Self { file, connection, end, format, .. } = self;
        let closed = connection.transaction().and_then(|transaction| {
            transaction.execute_batch(INDEXES)?;
            if *format >= FORMAT {
                transaction.execute_batch(INDEXES_2)?;
            }
            set(&transaction, "last", &end.next.saturating_sub(1).to_string())?;
            set(&transaction, "head", &end.link.to_string())?;
            set(&transaction, "closed_at", &now.to_string())?;
            transaction.commit()
        });
        let closed = closed
            .and_then(|()| connection.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(())));
        closed.map_err(HistoryError::segment(&file.path))?;
        write_digest(file)
    }
}

/// What a segment has.
fn contents_of(connection: &Connection, file: &SegmentFile) -> Result<Contents, HistoryError> {
    let read = || {
        let mut contents = Contents::default();
        let mut facts = connection.prepare("SELECT sha256, id FROM fact")?;
        let facts = facts.query_map([], |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get(1)?)))?;
        for fact in facts {
            let (digest, id) = fact?;
            contents.facts.extend(Digest::read(&digest).map(|digest| (digest, id)));
        }
        let mut blobs = connection.prepare("SELECT sha256 FROM blob")?;
        for digest in blobs.query_map([], |row| row.get::<_, Vec<u8>>(0))? {
            contents.blobs.extend(Digest::read(&digest?));
        }
        Ok(contents)
    };
    let mut contents = read().map_err(HistoryError::segment(&file.path))?;
    let months = about(connection, file, "keys")?.unwrap_or_default();
    contents.months = months.split_whitespace().map(str::to_owned).collect();
    Ok(contents)
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
