//! The records of what this node has settled.

use store::{KeptRecord, RecordNumber, StoreError};

use crate::error::QueryError;
use crate::rows::{big, whole};
use crate::shared::Shared;

const RECORDS: &str = "SELECT number, bytes FROM record \
    WHERE home = $1 AND number > $2 AND number <= $3 ORDER BY number LIMIT $4";

const FORGET: &str = "DELETE FROM record WHERE home = $1 AND number <= $2";

/// Up to `limit` records with numbers above `after`, oldest first.
pub(crate) async fn records(
    shared: &Shared,
    after: RecordNumber,
    limit: usize,
) -> Result<Vec<KeptRecord>, StoreError> {
    let identity = shared.identity();
    let (after, seen) = (big(after), big(shared.records.seen()));
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let read = async {
        let session = shared.reader.session().await?;
        let rows = session.query(RECORDS, &[&identity.home, &after, &seen, &limit]).await?;
        let record = |row: &tokio_postgres::Row| {
            Ok(KeptRecord { number: whole(row.try_get(0)?), bytes: row.try_get(1)? })
        };
        rows.iter().map(record).collect::<Result<_, QueryError>>()
    };
    Ok(read.await?)
}

/// Removes all records up to `through`.
pub(crate) async fn forget(shared: &Shared, through: RecordNumber) -> Result<(), StoreError> {
    let identity = shared.identity();
    let forgotten = async {
        let session = shared.reader.session().await?;
        session.execute(FORGET, &[&identity.home, &big(through)]).await
    };
    Ok(forgotten.await.map(drop)?)
}
