//! How long the ledger takes for so many records of so many domains, and how long it takes to be read:
//!
//! ```text
//! cargo run --release -p history --example ledger_speed -- 5000000 10000
//! ```
//!
//! The records are written here, by the tables of `docs/history-format.md`; all domains take turns, which
//! is the worst case for what the ledger keeps in memory. It takes half a kilobyte of disk a record, in
//! the current directory.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "it measures, and may stop")]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use clock::{Clock, SetClock};
use history::{Between, DomainQuery, HistorySettings, Ledger, LedgerKeeper, Span};
use rusqlite::{Connection, params};
use store::Store;
use store_embedded::{Embedded, StoreSettings};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// When the first attempt ended, in milliseconds since 1970.
const START: u64 = 1_800_000_000_000;

/// All attempts are within so many days.
const DAYS: u64 = 30;

fn main() {
    let mut numbers = std::env::args().skip(1).map(|text| text.parse::<u64>().unwrap());
    let (records, domains) = (numbers.next().unwrap(), numbers.next().unwrap());
    let dir = tempfile::tempdir_in(".").unwrap();
    let history = dir.path().join("history");
    std::fs::create_dir(&history).unwrap();
    timed("records written", || write(&history, records, domains));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    for what in ["ledger made of them", "ledger opened again, with nothing to take in"] {
        let before = Instant::now();
        runtime.block_on(keep(dir.path(), &history));
        println!("{what}: {:?}; memory at most {}", before.elapsed(), memory());
    }
    let ledger = Ledger::in_dir(&history);
    for _ in 0..3 {
        let all = timed("all domains", || ledger.domains(&DomainQuery::default()).unwrap());
        assert_eq!(u64::try_from(all.len()).unwrap(), domains);
    }
    let one = timed("one domain", || ledger.domain("d7.example", Between::ALWAYS, 200).unwrap());
    let delivered = one.unwrap().domain.state.counts.delivered;
    let hours = timed("its hours", || ledger.figures(Span::Hour, Between::ALWAYS).unwrap());
    println!("{delivered} delivered to one of them, {} hours", hours.len());
    timed("who needs a person", || ledger.needs(START).unwrap());
    let size = std::fs::metadata(history.join("ledger.sqlite")).unwrap().len();
    println!("the ledger has {} KiB", size / 1024);
}

/// Does something, and says how long it took.
fn timed<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let before = Instant::now();
    let done = work();
    println!("{what}: {:?}", before.elapsed());
    done
}

/// Keeps the ledger of what is there.
async fn keep(dir: &Path, history: &Path) {
    let end =
        SystemTime::UNIX_EPOCH + Duration::from_millis(START) + Duration::from_secs(86_400) * 30;
    let clock: Arc<dyn Clock> = Arc::new(SetClock::new(end));
    let own = StoreSettings { reserve: 0, min_free: 0, ..StoreSettings::new(dir.join("queue")) };
    let opening = Arc::clone(&clock);
    let store = tokio::task::spawn_blocking(move || Embedded::open(own, opening).unwrap());
    let store: Arc<dyn Store> = Arc::new(store.await.unwrap());
    let (settings, written) =
        (HistorySettings::new(history, "relay.example"), watch::Sender::new(0));
    let stop = CancellationToken::new();
    stop.cancel();
    let keeper = LedgerKeeper::new(settings, Arc::clone(&store), clock, written.subscribe());
    keeper.run(stop).await;
    store.close().await;
}

/// Writes a segment with so many attempts.
fn write(history: &Path, records: u64, domains: u64) {
    let file = history.join(format!("seg-{:020}.sqlite", 1));
    let connection = Connection::open(file).unwrap();
    connection
        .execute_batch(
            "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;
             CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
             INSERT INTO about VALUES ('format', '1'), ('opened_at', '0');
             CREATE TABLE fact (id INTEGER PRIMARY KEY, text TEXT NOT NULL);
             CREATE TABLE record (
                 number INTEGER PRIMARY KEY, decision INTEGER, session INTEGER,
                 text TEXT NOT NULL, link BLOB NOT NULL
             );",
        )
        .unwrap();
    let facts = "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?1)
        INSERT INTO fact SELECT 2 * i + 1, json_object('decision', 'enforced', 'mode', 'enforce',
            'policy_domain', 'd' || i || '.example', 'policy_id', '20261201') FROM n
        UNION ALL SELECT 2 * i + 2, json_object('host', 'mx.d' || i || '.example', 'proof', 'policy',
            'mta_sts', json('{\"verdict\":\"met\"}'), 'tls', json_object('version', 'TLSv1.3',
            'pkix', json('{\"verdict\":\"valid\"}'), 'dane', json('{\"verdict\":\"not-applied\"}'),
            'certificate', json_object('names', json('[]'), 'sha256', printf('%064d', i), 'not_after', ?2))) FROM n";
    let end = i64::try_from(START).unwrap() + 90 * 86_400_000;
    connection.execute(facts, params![i64::try_from(domains).unwrap(), end]).unwrap();
    let rows = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
        INSERT INTO record SELECT i, 2 * (i % ?2) + 1, 2 * (i % ?2) + 2,
            '{\"kind\":\"attempt\",\"number\":' || i || ',\"decision\":\"' || printf('%064d', i % ?2) ||
            '\",\"session\":\"' || printf('%064d', i % ?2) || '\",\"queue_id\":\"1mcc5rm000003\",' ||
            '\"attempt\":1,\"accepted_at\":1,\"began_at\":1,\"ended_at\":' ||
            (?3 + i * ?4 / ?1) || ',\"size\":4096,\"purpose\":\"mail\",\"sender\":\"' ||
            printf('%032d', i) || '\",\"recipients\":[\"' || printf('%032d', i) ||
            '\"],\"recipient_count\":1,\"domain\":\"d' || (i % ?2) || '.example\",' ||
            '\"outcome\":\"delivered\",\"protection\":\"verified\",\"host\":\"mx.d' || (i % ?2) ||
            '.example\",\"address\":\"192.0.2.1:25\",\"reply\":\"250 2.0.0 queued as 4bXz\"}',
            zeroblob(32) FROM n";
    let values =
        [records, domains, START, DAYS * 86_400_000].map(|one| i64::try_from(one).unwrap());
    connection.execute(rows, values).unwrap();
}

/// The most memory that this process has had.
fn memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap_or_default();
    line.trim_start_matches("VmHWM:").trim().to_owned()
}
