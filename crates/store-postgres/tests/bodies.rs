//! Bodies in pieces: what is damaged, lost or given up.

use std::time::Duration;

use mail::State;
use store::conformance::{begun, delivered, pattern, settlement};
use store::{BodyError, Inspect as _, Owner, Store as _};
use tokio::io::AsyncReadExt as _;
use tokio::time::timeout;

use crate::home::{InSchema, claim, open};

const LEASE: Duration = Duration::from_secs(30);

const TO: &[&str] = &["a@one.example"];

/// Waits until a table has so many rows.
async fn rows(home: &InSchema, table: &str, count: i64) {
    let waited = async {
        while home.count(table).await != count {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(30), waited).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_body_is_not_given_to_its_end_and_its_message_is_set_aside() {
    let home = InSchema::empty();
    let store = open(home.node(LEASE)).await;
    for size in [100_000, 1 << 20] {
        let message = begun(&store, TO, &pattern(size)).await;
        let id = store.commit(message, Owner::ThisProcess).await.unwrap().id();
        home.execute("UPDATE body SET bytes = overlay(bytes PLACING '\\xff00' FROM 7)").await;
        assert_eq!(store.verify().await.unwrap().problems.len(), 1);
        let damage = match store.body(id).await {
            Ok(mut body) => {
                let mut read = Vec::new();
                let error = body.read_to_end(&mut read).await.unwrap_err();
                assert!(read.len() < size, "{} of {size} octets", read.len());
                error.to_string()
            }
            Err(error) => error.to_string(),
        };
        assert!(damage.contains("checksum"), "{damage}");
        let set_aside = async {
            while store.show(id).await.unwrap().unwrap().state == State::Queued {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(Duration::from_secs(30), set_aside).await.unwrap();
        assert_eq!(claim(&store, 1).await, []);
        assert!(store.delete(id, None).await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pieces_go_with_their_message_and_with_one_that_is_given_up() {
    let home = InSchema::empty();
    let store = open(home.node(LEASE)).await;
    let message = begun(&store, TO, &pattern(1 << 20)).await;
    assert_eq!(home.count("body").await, 4, "whole pieces are sent while they come");
    drop(message);
    rows(&home, "body", 0).await;
    let message = begun(&store, TO, &pattern(900_000)).await;
    store.commit(message, Owner::ThisProcess).await.unwrap();
    assert_eq!(home.count("body").await, 4);
    let entry = claim(&store, 1).await.remove(0);
    store.settle(settlement(&entry, &delivered(), 0)).await.unwrap();
    for table in ["body", "message", "entry"] {
        assert_eq!(home.count(table).await, 0, "{table}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_has_lost_pieces_is_not_kept() {
    let home = InSchema::empty();
    let store = open(home.node(LEASE)).await;
    let message = begun(&store, TO, &pattern(1 << 20)).await;
    let id = message.id();
    // As a server does that crashes before they were durable.
    home.execute("DELETE FROM body WHERE piece = 1").await;
    assert!(store.commit(message, Owner::ThisProcess).await.is_err());
    assert!(matches!(store.body(id).await, Err(BodyError::Gone)));
    assert_eq!(store.totals().messages, 0);
}
