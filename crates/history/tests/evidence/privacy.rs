//! What of addresses is in the files.

use std::fs;
use std::time::Duration;

use history::{Addresses, FoundRecord, Query, Wanted};

use crate::bench::Bench;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Whether any file of the history holds these octets.
fn holds(bench: &Bench, octets: &str) -> bool {
    fs::read_dir(&bench.settings.dir).unwrap().any(|entry| {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        bytes.windows(octets.len()).any(|part| part.eq_ignore_ascii_case(octets.as_bytes()))
    })
}

/// A message to one recipient, kept with so much of addresses.
async fn kept(addresses: Addresses) -> Bench {
    let bench = Bench::with(|settings| settings.addresses = addresses).await;
    bench.deliver(&["ann@one.example"]).await;
    bench.keep().await;
    for secret in ["subject", "a secret", "hello"] {
        assert!(!holds(&bench, secret), "{secret}");
    }
    bench
}

/// How many attempts are found for the recipient.
fn found(bench: &Bench) -> usize {
    let wanted = vec![Wanted::Recipient("ann@one.example".to_owned())];
    let query = Query { wanted, ..Query::default() };
    bench.history().find(&query, 10).unwrap().records.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hashed_address_is_found_and_is_in_no_file() {
    let bench = kept(Addresses::Hashed).await;
    assert_eq!(found(&bench), 1);
    for part in ["ann@", "sender@example.org"] {
        assert!(!holds(&bench, part), "{part}");
    }
    assert!(holds(&bench, "one.example"), "the domain is kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_key_no_address_is_found() {
    let bench = kept(Addresses::Hashed).await;
    for key in bench.keys() {
        fs::remove_file(bench.settings.dir.join(key)).unwrap();
    }
    assert_eq!(found(&bench), 0);
    assert_eq!(bench.all().records.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_is_replaced_monthly_and_goes_with_the_last_segment_that_it_was_used_for() {
    let bench = Bench::with(|settings| settings.keep = DAY * 20).await;
    let mut keys = Vec::new();
    for _ in 0..4 {
        bench.deliver(&["ann@one.example"]).await;
        bench.keep().await;
        keys.push(bench.keys());
        // The segment closes, and a month begins.
        bench.clock.advance(DAY * 16);
        bench.keep().await;
    }
    let of =
        |months: &[&str]| months.iter().map(|month| format!("addresses-{month}.key")).collect();
    let begun: [Vec<String>; 4] = [
        of(&["2027-01"]),
        of(&["2027-01"]),
        of(&["2027-01", "2027-02"]),
        of(&["2027-01", "2027-02", "2027-03"]),
    ];
    assert_eq!(keys, begun);
    assert_eq!(bench.keys(), begun[3][1..], "the last segment of January is gone");
    assert_eq!(found(&bench), 2, "under two keys");
    assert_eq!(bench.history().verify().unwrap().faults, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clear_address_is_shown() {
    let bench = kept(Addresses::Clear).await;
    assert_eq!(found(&bench), 1);
    let FoundRecord::Attempt { attempt, .. } = &bench.all().records[0] else { panic!("a gap") };
    assert_eq!(attempt.sender.as_deref(), Some("sender@example.org"));
    assert_eq!(attempt.recipients, ["ann@one.example"]);
    assert_eq!(bench.history().verify().unwrap().faults, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clear_address_is_forgotten_in_open_and_closed_segments_and_the_chain_holds() {
    let bench = kept(Addresses::Clear).await;
    bench.clock.advance(DAY);
    bench.keep().await;
    bench.deliver(&["Ann@one.example", "bob@one.example"]).await;
    bench.keep().await;
    assert_eq!((bench.segments().len(), holds(&bench, "ann@")), (2, true));
    assert_eq!(bench.history().forget("ANN@one.example").unwrap(), 2);
    assert!(!holds(&bench, "ann@") && holds(&bench, "bob@"));
    assert_eq!(found(&bench), 2, "it is still found by who knows it");
    assert_eq!(bench.history().verify().unwrap().faults, []);
    assert_eq!(bench.history().forget("ann@one.example").unwrap(), 0);
    bench.deliver(&["bob@one.example"]).await;
    bench.keep().await;
    assert_eq!(bench.history().verify().unwrap().faults, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_not_kept_is_not_found() {
    let bench = kept(Addresses::None).await;
    assert_eq!(found(&bench), 0);
    assert!(!holds(&bench, "ann@"));
    let FoundRecord::Attempt { attempt, .. } = &bench.all().records[0] else { panic!("a gap") };
    assert_eq!((attempt.sender.as_ref(), attempt.recipient_count), (None, 1));
}
