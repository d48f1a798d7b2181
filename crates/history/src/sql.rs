//! The databases of segments: how they are opened, and what they say about themselves.

use rusqlite::{Connection, OpenFlags, OptionalExtension as _, Transaction, params};

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

/// Opens a database to be read, also while it is written.
pub(crate) fn connect_to_read(file: &SegmentFile) -> Result<Connection, HistoryError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(&file.path, flags)
        .map_err(HistoryError::segment(&file.path))?;
    check_format(&connection, file)?;
    Ok(connection)
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
pub(crate) fn set(transaction: &Transaction<'_>, name: &str, value: &str) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("INSERT OR REPLACE INTO about (name, value) VALUES (?1, ?2)")?
        .execute(params![name, value])
        .map(drop)
}

/// A segment does not hold what it should.
pub(crate) fn damaged(file: &SegmentFile, what: &'static str) -> HistoryError {
    HistoryError::Damaged { path: file.path.clone(), what }
}

/// A number as SQLite keeps it.
pub(crate) fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
