//! Small durable values, and the numbers that say whether they have changed.

use store::{Expected, Put, StoreError, check_key};

use crate::error::QueryError;
use crate::rows::big;
use crate::shared::Shared;
use crate::value_numbers::ValueNumbers;

const GET: &str = "SELECT value.bytes, value_version.number FROM value_version \
    LEFT JOIN value ON namespace = $1 AND key = $2 WHERE place = $3";

const SCAN: &str = "SELECT key, bytes FROM value WHERE namespace = $1 AND key > $2 \
    ORDER BY key LIMIT $3";

/// The row of the number is locked first, and looked at again after a wait.
const PUT: &str = "WITH counted AS (UPDATE value_version SET number = number + 1 \
    WHERE place = $4 AND ($5::bigint IS NULL OR number = $5) RETURNING number), \
    written AS (INSERT INTO value (namespace, key, bytes) \
    SELECT $1, $2, $3 FROM counted \
    ON CONFLICT (namespace, key) DO UPDATE SET bytes = excluded.bytes) \
    SELECT number FROM counted";

const PUT_NEW: &str = "WITH written AS (INSERT INTO value (namespace, key, bytes) \
    VALUES ($1, $2, $3) ON CONFLICT DO NOTHING RETURNING 1) \
    UPDATE value_version SET number = number + 1 \
    WHERE place = $4 AND EXISTS (SELECT 1 FROM written) RETURNING number";

const REMOVE: &str = "WITH gone AS (DELETE FROM value WHERE namespace = $1 AND key = $2 \
    RETURNING 1) UPDATE value_version SET number = number + 1 \
    WHERE place = $3 AND EXISTS (SELECT 1 FROM gone) RETURNING number";

/// The value at `key`.
pub(crate) async fn get(
    shared: &Shared,
    namespace: &str,
    key: &str,
) -> Result<Option<Vec<u8>>, StoreError> {
    check_key(key)?;
    let place = ValueNumbers::place(namespace, key);
    let read = async {
        let session = shared.values.session().await?;
        let rows = session.query(GET, &[&namespace, &key, &place]).await?;
        let Some(row) = rows.first() else { return Ok::<_, QueryError>(None) };
        shared.numbers.learn(place, row.try_get(1)?);
        Ok(row.try_get(0)?)
    };
    Ok(read.await?)
}

/// Up to `limit` values of a namespace, in the order of their keys.
pub(crate) async fn scan(
    shared: &Shared,
    namespace: &str,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
    if let Some(key) = after {
        check_key(key)?;
    }
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let read = async {
        let session = shared.values.session().await?;
        let rows = session.query(SCAN, &[&namespace, &after.unwrap_or(""), &limit]).await?;
        let values = rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?)));
        values.collect::<Result<_, QueryError>>()
    };
    Ok(read.await?)
}

/// Writes a value if what is there is what was expected.
pub(crate) async fn put(
    shared: &Shared,
    (namespace, key): (&str, &str),
    value: Vec<u8>,
    expected: Expected,
) -> Result<Put, StoreError> {
    check_key(key)?;
    let place = ValueNumbers::place(namespace, key);
    let version = match expected {
        Expected::Absent | Expected::Anything => None,
        Expected::Version(version) => Some(big(version)),
    };
    let written = async {
        let session = shared.values.session().await?;
        match expected {
            Expected::Absent => session.query(PUT_NEW, &[&namespace, &key, &value, &place]).await,
            Expected::Anything | Expected::Version(_) => {
                session.query(PUT, &[&namespace, &key, &value, &place, &version]).await
            }
        }
    };
    let is_written = learn(shared, place, &written.await?)?;
    Ok(if is_written { Put::Written } else { Put::Changed })
}

/// Removes a value; whether there was one.
pub(crate) async fn remove(
    shared: &Shared,
    namespace: &str,
    key: &str,
) -> Result<bool, StoreError> {
    check_key(key)?;
    let place = ValueNumbers::place(namespace, key);
    let removed = async {
        let session = shared.values.session().await?;
        session.query(REMOVE, &[&namespace, &key, &place]).await
    };
    Ok(learn(shared, place, &removed.await?)?)
}

/// Learns the number that a change has given its place; whether there was a change.
fn learn(shared: &Shared, place: i16, rows: &[tokio_postgres::Row]) -> Result<bool, QueryError> {
    let Some(row) = rows.first() else { return Ok(false) };
    shared.numbers.learn(place, row.try_get(0)?);
    Ok(true)
}

/// The number of a value's key, as far as this node knows.
pub(crate) fn version(shared: &Shared, namespace: &str, key: &str) -> u64 {
    shared.numbers.at(ValueNumbers::place(namespace, key))
}

/// Learns what other nodes have changed.
pub(crate) async fn learn_all(
    shared: &Shared,
    session: &crate::connect::Session,
) -> Result<(), QueryError> {
    let sql = "SELECT place, number FROM value_version WHERE number > 0";
    for row in &session.query(sql, &[]).await? {
        shared.numbers.learn(row.try_get(0)?, row.try_get(1)?);
    }
    Ok(())
}
