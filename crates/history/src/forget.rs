//! Removing an address that is kept in clear: the chain holds without it.

use rusqlite::Connection;

use crate::address::AddressKey;
use crate::error::HistoryError;
use crate::file_digest::write_digest;
use crate::files::SegmentFile;
use crate::sql::{about, check_format};

/// Removes an address from a segment; how many places it was in. What the segment had of it is overwritten,
/// also where it is still written by a relay.
pub(crate) fn forget(
    file: &SegmentFile,
    keys: &[AddressKey],
    address: &str,
) -> Result<usize, HistoryError> {
    let failed = || HistoryError::segment(&file.path);
    let connection = Connection::open(&file.path).map_err(failed())?;
    let format = check_format(&connection, file)?;
    let removed = (|| {
        connection.execute_batch("PRAGMA secure_delete = ON")?;
        let mut delete = connection.prepare("DELETE FROM address WHERE hash = ?1")?;
        let mut removed = 0_usize;
        for key in keys {
            removed = removed.saturating_add(delete.execute([key.hashed(address)])?);
        }
        Ok(removed)
    })();
    let removed = removed.map_err(failed())?;
    if removed == 0 {
        return Ok(0);
    }
    match about(&connection, file, "closed_at")? {
        // Its digest stands beside it from format 2 on.
        Some(_) if format >= 2 => {
            drop(connection);
            write_digest(file)?;
        }
        Some(_) => {}
        None => {
            let checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)";
            connection.query_row(checkpoint, [], |_| Ok(())).map_err(failed())?;
        }
    }
    Ok(removed)
}
