//! Commits whose reply does not come: what is told, what is there and what is delivered agree.

use std::sync::Arc;
use std::time::Duration;

use mail::QueueId;
use store::conformance::{begun, delivered, envelope, settlement, taken};
use store::{CommitError, Committed, Demand, Filter, Inspect as _, Owner, SpaceGuard, Store as _};
use store_postgres::{Postgres, StoreSettings};
use testbed::{Cut, DatabaseProxy, Flow};
use tokio::task::JoinSet;
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

/// Takes messages until so many were acknowledged; their ids.
async fn take(store: Arc<Postgres>, count: usize) -> Vec<QueueId> {
    let mut acknowledged = Vec::new();
    while acknowledged.len() < count {
        let begun = store.begin(&envelope(&["a@one.example"]), taken(), SpaceGuard::Applies);
        match begun {
            Ok(message) => {
                let committed = store.commit(message, Owner::ThisProcess).await;
                acknowledged.extend(committed.ok().map(|committed| committed.id()));
            }
            Err(_refused) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
    acknowledged
}

/// Delivers until so many messages are settled; their ids.
async fn deliver(store: Arc<Postgres>, count: usize) -> Vec<QueueId> {
    let demand = [Demand { destination: Arc::from("one.example"), most: 20 }];
    let mut settled = Vec::new();
    while settled.len() < count {
        let claimed = store.claim(&demand, 20).await.unwrap_or_default();
        for entry in claimed.into_iter().flat_map(|one| one.entries) {
            store.settle(settlement(&entry, &delivered(), 0)).await.unwrap();
            settled.push(entry.id.id);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    settled
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_acknowledged_is_delivered_once_while_connections_are_killed() {
    const WRITERS: usize = 8;
    const EACH: usize = 40;
    let home = InSchema::empty();
    let node = "killed now and then".to_owned();
    let store = Arc::new(open(StoreSettings { node, ..home.node(LEASE) }).await);
    let mut writers = JoinSet::new();
    for _ in 0..WRITERS {
        writers.spawn(take(Arc::clone(&store), EACH));
    }
    let delivering = deliver(Arc::clone(&store), WRITERS * EACH);
    let (done, mut is_done) = tokio::sync::watch::channel(false);
    let killing = async {
        let mut kills = 0;
        while timeout(Duration::from_millis(25), is_done.wait_for(|done| *done)).await.is_err() {
            home.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                 WHERE application_name = 'killed now and then' AND random() < 0.5",
            )
            .await;
            kills += 1;
        }
        kills
    };
    let work = async {
        let (acknowledged, delivered) = tokio::join!(writers.join_all(), delivering);
        done.send_replace(true);
        (acknowledged.concat(), delivered)
    };
    let ((mut acknowledged, mut delivered), kills) =
        timeout(Duration::from_secs(120), async { tokio::join!(work, killing) }).await.unwrap();
    acknowledged.sort_unstable();
    delivered.sort_unstable();
    assert_eq!(delivered, acknowledged);
    assert!(kills > 3, "{kills}");
    soon(|| store.is_open()).await;
    assert_eq!(store.verify().await.unwrap().messages, 0);
}
