//! The tables, and the steps from one format of them to the next.

use std::time::Duration;

use crate::connect::Session;
use crate::error::{OpenError, QueryError, Verdict};
use crate::settings::{Migrate, Schema};

/// The format that this program writes.
pub(crate) const FORMAT: i32 = 1;

/// How many numbers say whether values have changed; keys share them.
pub(crate) const VALUE_NUMBERS: u32 = 4096;

/// Format 1. Owner and attempts are in no index, so that a claim rewrites no index; rows of entries have room
/// beside them for that. Bodies are not compressed: each piece is read and written whole.
const TABLES: &str = r#"
CREATE TABLE store (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    format integer NOT NULL,
    number bigint NOT NULL,
    made_at timestamptz NOT NULL DEFAULT clock_timestamp());
CREATE SEQUENCE token;
CREATE TABLE node (
    token bigint PRIMARY KEY,
    name text NOT NULL,
    slot smallint NOT NULL,
    home bigint NOT NULL,
    program text NOT NULL,
    started_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    dead boolean NOT NULL DEFAULT false);
CREATE TABLE slot (
    slot smallint PRIMARY KEY,
    id_ceiling bigint NOT NULL);
CREATE TABLE total (
    slot smallint NOT NULL,
    lane smallint NOT NULL,
    messages bigint NOT NULL,
    recipients bigint NOT NULL,
    bytes bigint NOT NULL,
    waiting bigint[] NOT NULL,
    last_record bigint NOT NULL,
    PRIMARY KEY (slot, lane)) WITH (fillfactor = 50);
CREATE TABLE commit_group (
    node bigint NOT NULL REFERENCES node ON DELETE CASCADE,
    number bigint NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (node, number));
CREATE TABLE message (
    id bigint PRIMARY KEY,
    received_at bigint NOT NULL,
    record bytea NOT NULL,
    state smallint NOT NULL,
    why text,
    entries integer NOT NULL,
    open_entries integer NOT NULL,
    open_recipients integer NOT NULL,
    bytes bigint NOT NULL,
    body_sum bigint NOT NULL,
    pieces integer NOT NULL);
CREATE TABLE entry (
    id bigint NOT NULL,
    number integer NOT NULL,
    destination text COLLATE "C" NOT NULL,
    due bigint,
    owner bigint NOT NULL,
    attempts integer NOT NULL,
    planned bigint,
    by_hand integer NOT NULL,
    recipients bytea NOT NULL,
    reasons bytea NOT NULL,
    PRIMARY KEY (id, number)) WITH (fillfactor = 50);
CREATE INDEX entry_due ON entry (destination, due, id, number);
CREATE TABLE body (
    id bigint NOT NULL,
    piece integer NOT NULL,
    bytes bytea NOT NULL,
    PRIMARY KEY (id, piece));
ALTER TABLE body ALTER bytes SET STORAGE EXTERNAL;
CREATE TABLE record (
    home bigint NOT NULL,
    number bigint NOT NULL,
    bytes bytea NOT NULL,
    PRIMARY KEY (home, number));
CREATE TABLE value (
    namespace text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    bytes bytea NOT NULL,
    PRIMARY KEY (namespace, key));
CREATE TABLE value_version (
    place smallint PRIMARY KEY,
    number bigint NOT NULL) WITH (fillfactor = 50);
INSERT INTO value_version SELECT place, 0 FROM generate_series(0, 4095) AS place;
"#;

/// Tables whose rows come and go: without this their dead rows outgrow the living ones.
const CHURN: [&str; 6] = ["message", "entry", "body", "record", "commit_group", "total"];

/// All tables.
pub(crate) const TABLE_NAMES: [&str; 11] = [
    "store",
    "node",
    "slot",
    "total",
    "commit_group",
    "message",
    "entry",
    "body",
    "record",
    "value",
    "value_version",
];

/// What there is in a schema.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Found {
    /// No store.
    Nothing,
    /// A store of a format, with its number.
    Store { format: i32, number: i64 },
}

/// How often the tables are looked for again while another node makes them.
const TRIES: u32 = 10;

/// Finds the store, or makes it where that is wanted; its number.
pub(crate) async fn open(
    session: &Session,
    schema: &Schema,
    migrate: Migrate,
) -> Result<i64, OpenError> {
    let mut tries = 0_u32;
    loop {
        match found(session, schema).await? {
            Found::Store { format: FORMAT, number } => return Ok(number),
            Found::Store { format, .. } => {
                return Err(OpenError::Format { found: format, known: FORMAT });
            }
            Found::Nothing => {}
        }
        if migrate == Migrate::Manual {
            return Err(OpenError::Missing(schema.as_str().to_owned()));
        }
        match make(session, schema).await {
            // Two nodes that start at the same time make it: one of them does.
            Err(error) if error.verdict() != Verdict::Unknown && tries < TRIES => {
                tries = tries.saturating_add(1);
                session.batch("ROLLBACK").await?;
                tracing::debug!(error = %error.in_full(), "tables not made");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            made => made?,
        }
    }
}

/// Looks for the store.
pub(crate) async fn found(session: &Session, schema: &Schema) -> Result<Found, QueryError> {
    let sql = "SELECT 1 FROM pg_catalog.pg_tables WHERE schemaname = $1 AND tablename = 'store'";
    if session.query(sql, &[&schema.as_str()]).await?.is_empty() {
        return Ok(Found::Nothing);
    }
    let rows = session.query("SELECT format, number FROM store", &[]).await?;
    let Some(row) = rows.first() else { return Ok(Found::Nothing) };
    Ok(Found::Store { format: row.try_get(0)?, number: row.try_get(1)? })
}

/// Makes the tables, all of them or none.
async fn make(session: &Session, schema: &Schema) -> Result<(), QueryError> {
    let name = schema.as_str();
    let mut sql = format!("BEGIN; CREATE SCHEMA IF NOT EXISTS {name}; {TABLES}");
    for table in CHURN {
        sql.push_str(&format!(
            "ALTER TABLE {table} SET (autovacuum_vacuum_scale_factor = 0.01, \
             autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);"
        ));
    }
    sql.push_str(&format!(
        "INSERT INTO store (format, number) \
         VALUES ({FORMAT}, (random() * 9007199254740991)::bigint); COMMIT"
    ));
    session.batch(&sql).await
}
