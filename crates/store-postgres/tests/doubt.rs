//! Commits whose reply does not come: what is told, what is there and what is delivered agree.

use std::time::Duration;

use mail::QueueId;
use store::conformance::begun;
use store::{CommitError, Committed, Filter, Inspect as _, Owner, Store as _};
use store_postgres::{Postgres, StoreSettings};
use testbed::{Cut, DatabaseProxy, Flow};
use tokio::time::timeout;

use crate::home::{InSchema, claim, open, soon};

const LEASE: Duration = Duration::from_secs(10);

/// Commits a message whose COMMIT is cut like this.
async fn committed(
    store: &Postgres,
    proxy: &DatabaseProxy,
    cut: Cut,
) -> Result<Committed, CommitError> {
    let message = begun(store, &["a@one.example"], b"hello").await;
    proxy.cut(cut);
    let committed = store.commit(message, Owner::ThisProcess).await;
    assert!(proxy.has_cut());
    committed
}

async fn ids(store: &Postgres) -> Vec<QueueId> {
    let listed = store.list(&Filter::default(), None, 99).await.unwrap();
    listed.into_iter().map(|summary| summary.id).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_is_there_once_wherever_its_commit_was_cut() {
    let home = InSchema::empty();
    let proxy = DatabaseProxy::new(home.port()).await;
    let store = open(home.node_behind(&proxy, LEASE)).await;
    let mut expected = Vec::new();
    for cut in [Cut::BeforeCommit, Cut::BeforeReply, Cut::Delayed(Duration::from_millis(300))] {
        let id = committed(&store, &proxy, cut).await.unwrap().id();
        expected.push(id);
        soon(|| store.is_open()).await;
        assert_eq!(ids(&store).await, expected, "{cut:?}");
        assert_eq!(store.totals().messages, u64::try_from(expected.len()).unwrap());
    }
    assert_eq!(claim(&store, 99).await.len(), 3);
    assert_eq!(store.verify().await.unwrap().problems, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_committed_and_refused_to_its_client_is_taken_out_again() {
    let home = InSchema::empty();
    let proxy = DatabaseProxy::new(home.port()).await;
    let patience = Duration::from_millis(500);
    let settings = StoreSettings { patience, ..home.node_behind(&proxy, LEASE) };
    let store = open(settings).await;
    for cut in [Cut::BeforeReply, Cut::BeforeCommit] {
        let message = begun(&store, &["a@one.example"], b"hello").await;
        proxy.cut(cut);
        let break_off = async {
            soon(|| proxy.has_cut()).await;
            proxy.set_flow(Flow::Broken);
        };
        let (committed, ()) = tokio::join!(store.commit(message, Owner::ThisProcess), break_off);
        assert!(matches!(committed, Err(CommitError::Failed)), "{cut:?}: {committed:?}");
        proxy.set_flow(Flow::Open);
        soon(|| store.is_open()).await;
        // The next group comes behind the one in doubt.
        let next = committed_well(&store).await;
        let alone = async {
            while ids(&store).await != [next] {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(Duration::from_secs(30), alone).await.unwrap();
        assert!(store.delete(next, None).await.unwrap());
        soon(|| store.totals().messages == 0).await;
    }
}

/// Commits a message once the database is reached again: until then clients are asked to wait.
async fn committed_well(store: &Postgres) -> QueueId {
    let tried = async {
        loop {
            let message = begun(store, &["a@one.example"], b"hello").await;
            if let Ok(committed) = store.commit(message, Owner::ThisProcess).await {
                return committed.id();
            }
        }
    };
    timeout(Duration::from_secs(30), tried).await.unwrap()
}
