//! The tables of a segment.

/// The format of the segments that are written (`docs/history-format.md`).
pub(crate) const FORMAT: u32 = 2;

/// The tables of a segment. What is read of a record's text by name costs no space.
pub(crate) const TABLES: &str = "
    CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE fact (id INTEGER PRIMARY KEY, sha256 BLOB NOT NULL, text TEXT NOT NULL);
    CREATE TABLE blob (id INTEGER PRIMARY KEY, sha256 BLOB NOT NULL, kind TEXT NOT NULL, octets BLOB NOT NULL);
    CREATE TABLE seal (number INTEGER PRIMARY KEY, link BLOB NOT NULL, at INTEGER NOT NULL);
    CREATE TABLE record (
        number INTEGER PRIMARY KEY, decision INTEGER, session INTEGER,
        text TEXT NOT NULL, link BLOB NOT NULL,
        kind TEXT AS (text ->> 'kind'), ended_at INTEGER AS (text ->> 'ended_at'),
        queue_id TEXT AS (text ->> 'queue_id'), domain TEXT AS (text ->> 'domain'),
        host TEXT AS (text ->> 'host'), outcome TEXT AS (text ->> 'outcome'),
        protection TEXT AS (text ->> 'protection'), sender TEXT AS (text ->> 'sender'),
        message_id TEXT AS (text ->> 'message_id')
    );
    CREATE TABLE address (hash TEXT PRIMARY KEY, address TEXT NOT NULL) WITHOUT ROWID;
";

/// What a segment of any format gets when it closes, so that it is searched fast.
pub(crate) const INDEXES: &str = "
    CREATE TABLE recipient (hash TEXT, number INTEGER, PRIMARY KEY (hash, number)) WITHOUT ROWID;
    INSERT OR IGNORE INTO recipient
        SELECT one.value, number FROM record, json_each(record.text, '$.recipients') AS one;
    CREATE INDEX record_queue_id ON record (queue_id);
    CREATE INDEX record_domain ON record (domain);
    CREATE INDEX record_host ON record (host);
    CREATE INDEX record_sender ON record (sender);
    CREATE INDEX record_session ON record (session);
";

/// The same, of format 2 alone.
pub(crate) const INDEXES_2: &str = "
    CREATE INDEX record_message_id ON record (message_id);
    CREATE INDEX fact_sha256 ON fact (sha256);
    CREATE INDEX fact_certificate ON fact (text ->> '$.tls.certificate.sha256');
    CREATE INDEX blob_sha256 ON blob (sha256);
";
