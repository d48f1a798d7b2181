//! Whose mail it is: nodes that die, stall, come back, and claim at the same time.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use clock::SystemClock;
use store::conformance::{begun, delivered, settlement};
use store::{
    Demand, Duties, EntryId, Expected, Inspect as _, Owner, Ownership, Put, ReadValues as _,
    RecordBytes, Records as _, Store, Values as _,
};
use store_postgres::{OpenError, Postgres, Standby, StoreSettings};
use testbed::{DatabaseProxy, Flow};
use tokio::io::AsyncReadExt as _;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::home::{InSchema, accept, claim, open, soon};

/// Short, so that a test need not wait for long.
const LEASE: Duration = Duration::from_secs(2);

/// Claims until so many entries were had, with the ids of all.
async fn claim_until(store: &dyn Store, count: usize) -> Vec<EntryId> {
    let mut all = Vec::new();
    let had = async {
        while all.len() < count {
            all.extend(claim(store, 100).await.into_iter().map(|entry| entry.id));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(30), had).await.unwrap();
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_dead_node_owned_is_anybodys_once_its_lease_has_ended() {
    let home = InSchema::empty();
    let dying = open(home.node(LEASE)).await;
    let other = open(home.other_node(LEASE)).await;
    for _ in 0..3 {
        accept(&dying, Owner::ThisProcess).await;
    }
    assert_eq!(claim(&dying, 1).await.len(), 1);
    let died = Instant::now();
    drop(dying);
    assert_eq!(claim(&other, 100).await, [], "its lease goes on");
    assert_eq!(claim_until(&other, 3).await.len(), 3);
    let waited = died.elapsed();
    assert!(waited >= LEASE / 2 && waited <= LEASE * 2 + Duration::from_secs(2), "{waited:?}");
    other.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_back_in_its_own_directory_waits_for_no_lease() {
    let home = InSchema::empty();
    let killed = open(home.node(LEASE)).await;
    accept(&killed, Owner::ThisProcess).await;
    assert_eq!(claim(&killed, 1).await.len(), 1);
    drop(killed);
    let back = open(home.node(LEASE)).await;
    assert_eq!(claim(&back, 1).await.len(), 1);
    back.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_cut_off_stops_to_trust_its_lease_before_others_take_its_mail() {
    let home = InSchema::empty();
    let proxy = DatabaseProxy::new(home.port()).await;
    let cut_off = open(home.node_behind(&proxy, LEASE)).await;
    let other = open(home.other_node(LEASE)).await;
    accept(&cut_off, Owner::ThisProcess).await;
    let lent = claim(&cut_off, 1).await.remove(0);
    let mut ownership = cut_off.ownership();
    assert_eq!(*ownership.borrow_and_update(), Ownership::Certain);
    proxy.set_flow(Flow::Broken);
    let lost = async {
        drop(ownership.wait_for(|now| *now == Ownership::Lost).await.unwrap());
        Instant::now()
    };
    let taken = async {
        assert_eq!(claim_until(&other, 1).await, [lent.id]);
        Instant::now()
    };
    let mut body = cut_off.body(lent.id.id).await.unwrap();
    let (lost, taken) = tokio::join!(lost, taken);
    assert!(lost < taken, "it trusted a lease that had ended");
    // The end of a body that is read meanwhile is not given, so the end of the data cannot be sent.
    let mut read = Vec::new();
    assert!(body.read_to_end(&mut read).await.is_err());
    assert_eq!(read, b"hello");
    // It comes back as another node, and what it settles now is not its own any more.
    proxy.set_flow(Flow::Open);
    soon(|| *cut_off.ownership().borrow() == Ownership::Certain).await;
    soon(|| cut_off.is_open()).await;
    let mut late = settlement(&lent, &delivered(), 0);
    late.notice = Some(begun(&cut_off, &["ann@one.example"], b"not delivered").await);
    let settled = cut_off.settle(late).await.unwrap();
    assert_eq!(home.count("message").await, 1, "the other node tells the sender");
    assert!(settled[0].message_gone, "{settled:?}");
    assert!(other.show(lent.id.id).await.unwrap().is_some(), "the other node has it still");
    other.settle(settlement(&lent, &delivered(), 0)).await.unwrap();
    assert!(other.show(lent.id.id).await.unwrap().is_none());
    soon(|| cut_off.is_open()).await;
    accept(&cut_off, Owner::ThisProcess).await;
    assert_eq!(claim(&cut_off, 1).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_node_does_what_one_is_enough_for_and_another_once_it_is_dead() {
    let home = InSchema::empty();
    let proxy = DatabaseProxy::new(home.port()).await;
    let first = open(home.node_behind(&proxy, LEASE)).await;
    let second = open(home.other_node(LEASE)).await;
    soon(|| first.duties() == Duties::Here).await;
    assert_eq!(second.duties(), Duties::Elsewhere);
    proxy.set_flow(Flow::Broken);
    soon(|| second.duties() == Duties::Here).await;
    assert_eq!(first.duties(), Duties::Elsewhere, "its lease has ended");
    proxy.set_flow(Flow::Open);
    soon(|| *first.ownership().borrow() == Ownership::Certain).await;
    second.close().await;
    soon(|| first.duties() == Duties::Here).await;
}

/// Settles a message with a record of these bytes.
async fn record(store: &dyn Store, bytes: &[u8]) {
    accept(store, Owner::ThisProcess).await;
    let entry = claim(store, 1).await.remove(0);
    let mut settled = settlement(&entry, &delivered(), 0);
    let only = settled.entries.first_mut().unwrap();
    only.records = vec![RecordBytes::new(bytes.to_vec()).unwrap()];
    store.settle(settled).await.unwrap();
}

/// The records after `after`: number and bytes.
async fn records(store: &dyn Store, after: u64) -> Vec<(u64, Vec<u8>)> {
    let records = store.records(after, 100).await.unwrap();
    records.into_iter().map(|one| (one.number, one.bytes)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_wait_for_the_node_that_made_them_whichever_slot_it_gets() {
    let home = InSchema::empty();
    let first = open(home.node(LEASE)).await;
    record(&first, b"one").await;
    record(&first, b"two").await;
    let (mark, _) = records(&first, 0).await.remove(0);
    let other = open(home.other_node(LEASE)).await;
    for _ in 0..5 {
        record(&other, b"other's").await;
    }
    first.close().await;
    // The slot of ids that was free is another's now.
    let third = open(home.other_node(LEASE)).await;
    assert_eq!(records(&third, 0).await, []);
    let back = open(home.node(LEASE)).await;
    // What is kept of the first is known by its number alone.
    back.forget_records(mark).await.unwrap();
    record(&back, b"three").await;
    let left = records(&back, mark).await;
    let bytes: Vec<_> = left.iter().map(|(_, bytes)| bytes.as_slice()).collect();
    assert_eq!(bytes, [&b"two"[..], b"three"]);
    assert!(left.is_sorted_by_key(|(number, _)| *number), "{left:?}");
    assert_eq!(left.last().map(|(number, _)| *number), Some(*back.last_record().borrow()));
    assert_eq!(records(&other, 0).await.len(), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_entry_is_claimed_by_one_node() {
    const ENTRIES: usize = 300;
    let home = InSchema::empty();
    let nodes = [
        Arc::new(open(home.node(LEASE)).await),
        Arc::new(open(home.other_node(LEASE)).await),
        Arc::new(open(home.other_node(LEASE)).await),
    ];
    for _ in 0..ENTRIES {
        accept(&*nodes[0], Owner::Anybody).await;
    }
    let mut claims = JoinSet::new();
    for node in &nodes {
        let node = Arc::clone(node);
        claims.spawn(async move {
            let (mut mine, mut empty) = (Vec::new(), 0);
            while empty < 20 {
                let claimed = claim(&*node, 7).await;
                empty = if claimed.is_empty() { empty + 1 } else { 0 };
                mine.extend(claimed.into_iter().map(|entry| entry.id));
            }
            mine
        });
    }
    let claimed = claims.join_all().await;
    let all: Vec<EntryId> = claimed.iter().flatten().copied().collect();
    let once: BTreeSet<EntryId> = all.iter().copied().collect();
    assert_eq!((all.len(), once.len()), (ENTRIES, ENTRIES));
    assert!(claimed.iter().all(|mine| !mine.is_empty()), "all three had a share");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_node_does_the_others_know() {
    let home = InSchema::empty();
    let here = open(home.node(LEASE)).await;
    let there = open(home.other_node(LEASE)).await;
    accept(&here, Owner::Anybody).await;
    soon(|| there.totals().messages == 1).await;
    let version = there.version("n", "k");
    here.put("n", "k", b"one".to_vec(), Expected::Absent).await.unwrap();
    soon(|| there.version("n", "k") != version).await;
    assert_eq!(there.get("n", "k").await.unwrap(), Some(b"one".to_vec()));
    let stale = Expected::Version(version);
    assert_eq!(there.put("n", "k", b"two".to_vec(), stale).await.unwrap(), Put::Changed);
    let fresh = Expected::Version(there.version("n", "k"));
    assert_eq!(there.put("n", "k", b"two".to_vec(), fresh).await.unwrap(), Put::Written);
    assert_eq!(here.get("n", "k").await.unwrap(), Some(b"two".to_vec()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_of_a_newer_format_is_refused() {
    let home = InSchema::empty();
    open(home.node(LEASE)).await.close().await;
    home.execute("UPDATE store SET format = 2").await;
    let refused = Postgres::open(home.node(LEASE), Arc::new(SystemClock)).await.unwrap_err();
    assert!(matches!(refused, OpenError::Format { found: 2, known: 1 }), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_database_refuses_takes_nothing_else_with_it() {
    let home = InSchema::empty();
    let store = Arc::new(open(home.node(LEASE)).await);
    home.execute("ALTER TABLE message ADD CHECK (bytes < 1000)").await;
    let mut commits = JoinSet::new();
    for n in 0..40_usize {
        let store = Arc::clone(&store);
        let body = vec![b'x'; if n % 4 == 0 { 2_000 } else { 10 }];
        commits.spawn(async move {
            let message = begun(&*store, &["a@one.example"], &body).await;
            (n, store.commit(message, Owner::Anybody).await.is_ok())
        });
    }
    for (n, is_kept) in commits.join_all().await {
        assert_eq!(is_kept, n % 4 != 0, "{n}");
    }
    assert_eq!(store.totals().messages, 30);
    let demand = [Demand { destination: Arc::from("one.example"), most: 100 }];
    assert_eq!(store.claim(&demand, 100).await.unwrap()[0].entries.len(), 30);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_standby_that_is_required_no_store_is_opened() {
    let home = InSchema::empty();
    let settings = StoreSettings { standby: Standby::Required, ..home.node(LEASE) };
    let refused = Postgres::open(settings, Arc::new(SystemClock)).await.unwrap_err();
    assert!(matches!(refused, OpenError::Standby), "{refused}");
}
