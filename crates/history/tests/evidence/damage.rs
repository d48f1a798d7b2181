//! Files that are not what was written.

use std::fs;
use std::time::Duration;

use history::Fault;
use rusqlite::Connection;
use store::{RecordBytes, Records as _};

use crate::bench::Bench;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// One octet in so many is changed, unless `STS_RELAY_EVERY_OCTET` is set: all of them take two minutes.
const OCTET_STEP: usize = 13;

/// Three records in one segment.
async fn three() -> Bench {
    let bench = Bench::new().await;
    for _ in 0..3 {
        bench.deliver(&["a@one.example"]).await;
    }
    bench.keep().await;
    assert_eq!(bench.history().verify().unwrap().faults, []);
    bench
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_changed_removed_or_put_in_is_found() {
    for (change, number) in [
        (
            "UPDATE record SET text = replace(text, 'delivered', 'bounced') WHERE number = 2",
            Some(2),
        ),
        ("UPDATE record SET link = zeroblob(32) WHERE number = 2", Some(2)),
        ("DELETE FROM record WHERE number = 2", Some(2)),
        ("UPDATE fact SET text = replace(text, 'valid', 'never')", Some(1)),
        ("UPDATE fact SET text = replace(text, 'enforced', 'whatever')", Some(1)),
        ("UPDATE about SET value = replace(value, '0', '1') WHERE name = 'before'", Some(1)),
        ("UPDATE record SET number = 4 WHERE number = 3", Some(3)),
        (
            "INSERT INTO record (number, decision, session, text, link) \
             SELECT 4, decision, session, text, link FROM record WHERE number = 3",
            Some(4),
        ),
        ("DELETE FROM fact", Some(1)),
    ] {
        let bench = three().await;
        let connection = Connection::open(&bench.segments()[0]).unwrap();
        assert!(connection.execute(change, []).unwrap() > 0, "{change}");
        let faults = bench.history().verify().unwrap().faults;
        assert_eq!(faults.first().map(|fault| fault.number), Some(number), "{change}: {faults:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn any_octet_of_a_closed_segment_that_is_changed_is_found() {
    let bench = three().await;
    bench.clock.advance(DAY);
    bench.keep().await;
    let segment = bench.segments().remove(0);
    let whole = fs::read(&segment).unwrap();
    let step = if std::env::var_os("STS_RELAY_EVERY_OCTET").is_some() { 1 } else { OCTET_STEP };
    for place in (0..whole.len()).step_by(step) {
        let mut changed = whole.clone();
        changed[place] ^= 1 << (place % 8);
        fs::write(&segment, &changed).unwrap();
        assert_ne!(bench.history().verify().unwrap().faults, [], "octet {place}");
    }
    fs::write(&segment, &whole).unwrap();
    assert_eq!(bench.history().verify().unwrap().faults, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn any_octet_of_a_text_that_is_changed_is_found_in_a_segment_that_is_written() {
    let bench = three().await;
    let connection = Connection::open(&bench.segments()[0]).unwrap();
    let columns = [("record", "text"), ("record", "link"), ("fact", "text"), ("blob", "octets")];
    for (table, column) in columns {
        let read = format!("SELECT CAST({column} AS BLOB) FROM {table} ORDER BY rowid LIMIT 1");
        let whole: Vec<u8> = connection.query_row(&read, [], |row| row.get(0)).unwrap();
        let kind = if column == "text" { "TEXT" } else { "BLOB" };
        let write = format!(
            "UPDATE {table} SET {column} = CAST(?1 AS {kind}) WHERE rowid = (SELECT min(rowid) FROM {table})"
        );
        let mut taken = 0;
        for place in 0..whole.len() {
            let mut changed = whole.clone();
            changed[place] ^= 1;
            // SQLite takes no record that is no JSON.
            if connection.execute(&write, [&changed]).is_ok() {
                taken += 1;
                let faults = bench.history().verify().unwrap().faults;
                assert_ne!(faults, [], "{table}.{column} {place}");
            }
        }
        assert!(taken > whole.len() / 2, "{table}.{column}");
        connection.execute(&write, [&whole]).unwrap();
        assert_eq!(bench.history().verify().unwrap().faults, [], "{table}.{column}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_are_cut_off_a_closed_segment_are_missed() {
    let bench = three().await;
    bench.clock.advance(DAY);
    bench.keep().await;
    let connection = Connection::open(&bench.segments()[0]).unwrap();
    connection.execute("DELETE FROM record WHERE number = 3", []).unwrap();
    let faults = bench.history().verify().unwrap().faults;
    let [Fault { number: None, what, .. }, Fault { number: None, what: file, .. }] = &faults[..]
    else {
        panic!("{faults:?}")
    };
    assert_eq!(what, "records at its end are missing");
    assert_eq!(file, "the file is not what it was when it closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_that_is_gone_from_the_middle_is_missed() {
    let bench = Bench::new().await;
    for _ in 0..3 {
        bench.deliver(&["a@one.example"]).await;
        bench.keep().await;
        bench.clock.advance(DAY);
        bench.keep().await;
    }
    fs::remove_file(&bench.segments()[1]).unwrap();
    let faults = bench.history().verify().unwrap().faults;
    assert_eq!(faults.len(), 1, "{faults:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_segment_is_set_aside_and_named_and_the_rest_goes_on() {
    let bench = three().await;
    let segment = bench.segments().remove(0);
    for end in ["", "-wal"] {
        let path = segment.with_extension(format!("sqlite{end}"));
        if path.exists() {
            fs::write(&path, vec![b'x'; 10_000]).unwrap();
        }
    }
    let id = bench.deliver(&["a@one.example"]).await;
    bench.keep().await;
    assert!(segment.with_extension("sqlite.damaged").exists());
    assert_eq!(bench.told(), ["Damaged None".to_owned(), id.to_string()]);
    assert_eq!(bench.history().verify().unwrap().faults, []);
    let number = bench.history().stats().unwrap().first.unwrap();
    assert!(number > 3, "a number that may have been given is not given again: {number}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_cannot_be_read_is_a_gap() {
    let bench = Bench::new().await;
    let lease = async {
        let mut draft = bench
            .queue
            .begin(
                queue::conformance::submitter(),
                queue::conformance::envelope(&["a@one.example"]),
            )
            .unwrap();
        draft.write(b"x").await.unwrap();
        draft.commit().await.unwrap();
        bench.queue.lease(1).await.unwrap().unwrap()
    };
    let lease = lease.await;
    let result = queue::LeaseResult {
        outcomes: vec![queue::conformance::delivered_outcome()],
        records: vec![RecordBytes::new(b"{\"attempt\":".to_vec()).unwrap()],
    };
    bench.queue.settle(lease, result, None).await.unwrap();
    let id = bench.deliver(&["a@one.example"]).await;
    bench.keep().await;
    assert_eq!(bench.told(), ["Unreadable Some(1)".to_owned(), id.to_string()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_the_store_had_to_drop_are_counted_as_a_gap() {
    let bench = Bench::new().await;
    let first = bench.deliver(&["a@one.example"]).await;
    bench.keep().await;
    bench.deliver(&["a@one.example"]).await;
    bench.deliver(&["a@one.example"]).await;
    bench.queue.values("barrier").put("synced", Vec::new()).await.unwrap();
    let dropped = bench.store_records().await.last().unwrap().number;
    bench.store.forget_records(dropped).await.unwrap();
    let last = bench.deliver(&["a@one.example"]).await;
    bench.keep().await;
    let told = [first.to_string(), "NotWritten Some(2)".to_owned(), last.to_string()];
    assert_eq!(bench.told(), told);
}
