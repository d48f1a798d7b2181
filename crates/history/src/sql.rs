//! The databases of segments: how they are opened, and what they say about themselves.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, OptionalExtension as _, Transaction, params};
use serde::Serialize;

use crate::chain::Link;
use crate::error::HistoryError;
use crate::files::SegmentFile;
use crate::tables::FORMAT;

/// Opens a database to be written.
pub(crate) fn connect(file: &SegmentFile) -> rusqlite::Result<Connection> {
    let connection = Connection::open(&file.path)?;
    connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    connection.execute_batch("PRAGMA synchronous = FULL; PRAGMA secure_delete = ON;")?;
    Ok(connection)
}

/// Opens a segment to be read, also while it is written.
pub(crate) fn connect_to_read(file: &SegmentFile) -> Result<Connection, HistoryError> {
    let connection = open_to_read(&file.path)?;
    check_format(&connection, file)?;
    Ok(connection)
}

/// Opens a database to be read, also while it is written.
pub(crate) fn open_to_read(path: &Path) -> Result<Connection, HistoryError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(path, flags).map_err(HistoryError::segment(path))
}

/// The same; none where there is no file.
pub(crate) fn open_if_there(path: &Path) -> Result<Option<Connection>, HistoryError> {
    if !path.try_exists().map_err(HistoryError::io(path))? {
        return Ok(None);
    }
    open_to_read(path).map(Some)
}

/// Refuses a database that SQLite finds damaged.
pub(crate) fn check_whole(connection: &Connection, path: &Path) -> Result<(), HistoryError> {
    let found: String = connection
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(HistoryError::segment(path))?;
    if found == "ok" {
        return Ok(());
    }
    Err(HistoryError::Damaged { path: path.to_path_buf(), what: "SQLite finds it damaged" })
}

/// The format of a segment; one of a later version is refused.
pub(crate) fn check_format(
    connection: &Connection,
    file: &SegmentFile,
) -> Result<u32, HistoryError> {
    let format = number(connection, file, "format")?;
    let format = u32::try_from(format).unwrap_or(u32::MAX);
    if format > FORMAT {
        return Err(HistoryError::TooNew { path: file.path.clone(), format, known: FORMAT });
    }
    Ok(format)
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
    said(connection, name).map_err(HistoryError::segment(&file.path))
}

/// What a database says about itself.
pub(crate) fn said(connection: &Connection, name: &str) -> rusqlite::Result<Option<String>> {
    connection
        .query_row("SELECT value FROM about WHERE name = ?1", [name], |row| row.get(0))
        .optional()
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

/// Has a database say something about itself.
pub(crate) fn set(transaction: &Transaction<'_>, name: &str, value: &str) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("INSERT OR REPLACE INTO about (name, value) VALUES (?1, ?2)")?
        .execute(params![name, value])
        .map(drop)
}

/// The text of a fact.
pub(crate) fn fact(
    connection: &Connection,
    file: &SegmentFile,
    id: i64,
) -> Result<String, HistoryError> {
    let text = connection
        .prepare_cached("SELECT text FROM fact WHERE id = ?1")
        .and_then(|mut select| select.query_row([id], |row| row.get(0)).optional())
        .map_err(HistoryError::segment(&file.path))?;
    text.ok_or_else(|| damaged(file, "a fact is missing"))
}

/// A segment does not hold what it should.
pub(crate) fn damaged(file: &SegmentFile, what: &'static str) -> HistoryError {
    HistoryError::Damaged { path: file.path.clone(), what }
}

/// A number as SQLite keeps it.
pub(crate) fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// So many rows.
pub(crate) fn most(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// A value as text.
pub(crate) fn text_of(value: &impl Serialize) -> rusqlite::Result<String> {
    serde_json::to_string(value).map_err(unwritable)
}

/// What cannot be written as text.
pub(crate) fn unwritable(error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::ToSqlConversionFailure(Box::new(error))
}
