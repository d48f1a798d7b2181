//! What is counted is kept, adds up, and is made into a report once.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use clock::SystemClock;
use store_embedded::{Embedded, StoreSettings};
use tempfile::TempDir;
use tls_rpt::{AppliedPolicy, FailureDetail, ResultType, Row};
use tokio::task::JoinSet;

use super::*;

fn open(directory: &TempDir) -> Arc<dyn Store> {
    let settings = StoreSettings::new(directory.path());
    Arc::new(Embedded::open(settings, Arc::new(SystemClock)).unwrap())
}

fn day(text: &str) -> Day {
    Day::parse(text).unwrap()
}

fn domain(name: &str) -> DomainName {
    DomainName::parse(name).unwrap()
}

/// So many sessions with the hosts of a domain, which all went the same way.
fn counted(name: &str, failure: Option<ResultType>, sessions: u64) -> DomainTally {
    let policy = Arc::new(AppliedPolicy::none(domain(name)));
    let mut tally = DomainTally::new(domain(name));
    tally.count(Row { policy, failure: failure.map(FailureDetail::new) }, sessions);
    tally
}

/// How many sessions a tally has that succeeded and that failed.
fn totals(tally: &DomainTally) -> (u64, u64) {
    let total = |failed: bool| {
        let of_kind = tally.rows().filter(|(row, _)| row.failure.is_some() == failed);
        of_kind.map(|(_, sessions)| sessions).sum()
    };
    (total(false), total(true))
}

#[tokio::test]
async fn what_several_count_adds_up_and_outlives_a_restart() {
    let directory = TempDir::new().unwrap();
    let monday = day("2026-11-30");
    let store = open(&directory);
    let add = |tallies: Tallies, number: u64| async move {
        let failure = number.is_multiple_of(2).then_some(ResultType::CertificateExpired);
        tallies.add(monday, counted("example.org", failure, number)).await.unwrap();
    };
    let mut relays: JoinSet<_> = (1..=20).map(|number| add(Tallies::new(&store), number)).collect();
    while let Some(added) = relays.join_next().await {
        added.unwrap();
    }
    store.close().await;
    let tallies = Tallies::new(&open(&directory));
    let kept = tallies.read(monday, &domain("example.org")).await.unwrap().unwrap();
    assert_eq!(totals(&kept), (100, 110));
    assert!(tallies.read(monday.after(), &domain("example.org")).await.unwrap().is_none());
}

#[tokio::test]
async fn days_and_domains_are_listed_in_their_order_until_they_are_dropped() {
    let directory = TempDir::new().unwrap();
    let tallies = Tallies::new(&open(&directory));
    let (monday, tuesday) = (day("2026-11-30"), day("2026-12-01"));
    for (day, name) in [(tuesday, "a.example"), (monday, "b.example"), (monday, "a-b.example")] {
        tallies.add(day, counted(name, None, 1)).await.unwrap();
    }
    let first = tallies.list(None, 2).await.unwrap();
    assert_eq!(first, [(monday, domain("a-b.example")), (monday, domain("b.example"))]);
    let rest = tallies.list(first.last(), 2).await.unwrap();
    assert_eq!(rest, [(tuesday, domain("a.example"))]);
    assert!(tallies.drop(monday, &domain("b.example")).await.unwrap());
    assert!(!tallies.drop(monday, &domain("b.example")).await.unwrap());
    assert_eq!(tallies.list(None, 9).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_part_that_was_taken_out_stays_as_it_is_until_its_report_is_kept() {
    let directory = TempDir::new().unwrap();
    let store = open(&directory);
    let tallies = Tallies::new(&store);
    let (monday, name) = (day("2026-11-30"), domain("example.org"));
    let taken = |next: Option<NextReport>| {
        next.map(|next| (next.part.number(), totals(&next.tally).0, next.state))
    };
    let add = async |sessions| {
        tallies.add(monday, counted("example.org", None, sessions)).await.unwrap();
    };
    assert_eq!(taken(tallies.take(monday, &name).await.unwrap()), None);
    add(3).await;
    assert_eq!(taken(tallies.take(monday, &name).await.unwrap()), Some((1, 3, PartState::Taken)));
    add(4).await;
    assert_eq!(taken(tallies.take(monday, &name).await.unwrap()), Some((1, 3, PartState::Taken)));
    tallies.reported(monday, &name, Part::FIRST).await.unwrap();
    // Whoever was killed before it was noted says it again.
    tallies.reported(monday, &name, Part::FIRST).await.unwrap();
    let rest = tallies.next(monday, &name).await.unwrap();
    assert_eq!(taken(rest), Some((2, 4, PartState::Counting)));
    tallies.clear(monday, &name).await.unwrap();
    add(5).await;
    store.close().await;
    let tallies = Tallies::new(&open(&directory));
    let kept = tallies.take(monday, &name).await.unwrap();
    assert_eq!(taken(kept), Some((2, 5, PartState::Taken)), "the name of the first is used");
}

#[tokio::test]
async fn of_what_was_never_reported_nothing_is_left_when_it_is_cleared() {
    let directory = TempDir::new().unwrap();
    let tallies = Tallies::new(&open(&directory));
    let (monday, name) = (day("2026-11-30"), domain("example.org"));
    tallies.clear(monday, &name).await.unwrap();
    tallies.add(monday, counted("example.org", None, 1)).await.unwrap();
    tallies.clear(monday, &name).await.unwrap();
    assert_eq!(tallies.list(None, 9).await.unwrap(), []);
}

#[tokio::test]
async fn a_closed_day_stays_closed() {
    let directory = TempDir::new().unwrap();
    let (monday, store) = (day("2026-11-30"), open(&directory));
    let tallies = Tallies::new(&store);
    assert!(!tallies.is_closed(monday).await.unwrap());
    tallies.close(monday).await.unwrap();
    store.close().await;
    let tallies = Tallies::new(&open(&directory));
    assert!(tallies.is_closed(monday).await.unwrap());
    assert!(!tallies.is_closed(monday.after()).await.unwrap());
}

/// Copies a folder.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

#[tokio::test]
async fn what_was_added_outlives_a_power_cut_that_the_index_has_not_heard_of() {
    let (directory, index) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let monday = day("2026-11-30");
    let tallies = Tallies::new(&open(&directory));
    copy(&directory.path().join("index"), index.path());
    tallies.add(monday, counted("example.org", None, 3)).await.unwrap();
    tallies.close(monday).await.unwrap();
    // What has reached the disk when the power fails, but for the index: that is written later.
    let cut = TempDir::new().unwrap();
    copy(directory.path(), cut.path());
    fs::remove_dir_all(cut.path().join("index")).unwrap();
    copy(index.path(), &cut.path().join("index"));
    let tallies = Tallies::new(&open(&cut));
    let kept = tallies.read(monday, &domain("example.org")).await.unwrap().unwrap();
    assert_eq!(totals(&kept), (3, 0));
    assert!(tallies.is_closed(monday).await.unwrap());
}
