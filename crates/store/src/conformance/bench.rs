//! A store under test, and mail that is put into it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use clock::SystemClock;
use mail::{Envelope, Outcome, QueueId, Reason, ReasonClass, Recipient};
use smtp::{BodyType, Class, EnhancedCode, Mailbox, ReversePath, Smtputf8};
use tokio::io::AsyncReadExt;

use crate::body_writer::BodyWriter;
use crate::claim::{Demand, Next, QueueEntry};
use crate::conformance::home::Home;
use crate::contract::{Owner, Store};
use crate::health::SpaceGuard;
use crate::query::Filter;
use crate::settlement::{ClaimEnd, EntrySettlement, Retry, Settlement};

/// The store at `home`, by the system's clock.
pub async fn opened(home: &dyn Home) -> Arc<dyn Store> {
    home.open(Arc::new(SystemClock)).await
}

/// When all messages were taken: long ago, so that they are due.
pub(super) const TAKEN: Duration = Duration::from_secs(1_700_000_000);

/// A time that never comes, in milliseconds since 1970.
pub(super) const NEVER: u64 = 15_000_000_000_000;

pub(super) const DESTINATION: &str = "one.example";

/// When all messages were taken.
#[must_use]
pub fn taken() -> SystemTime {
    SystemTime::UNIX_EPOCH.checked_add(TAKEN).unwrap()
}

/// An envelope from `sender@example.org` to these recipients.
#[must_use]
pub fn envelope(recipients: &[&str]) -> Envelope {
    let mailbox = |text: &&str| Recipient::new(Mailbox::parse(text).unwrap());
    let recipients = recipients.iter().map(mailbox).collect();
    let sender = ReversePath::Mailbox(Mailbox::parse("sender@example.org").unwrap());
    Envelope::new(sender, recipients, BodyType::EightBitMime, Smtputf8::NotRequested)
}

/// A message to these recipients with this body, which is not committed.
pub async fn begun(store: &dyn Store, recipients: &[&str], body: &[u8]) -> Box<dyn BodyWriter> {
    let mut message = store.begin(&envelope(recipients), taken(), SpaceGuard::Applies).unwrap();
    message.write(body).await.unwrap();
    message
}

pub(super) async fn accept(store: &dyn Store, recipients: &[&str], body: &[u8]) -> QueueId {
    let message = begun(store, recipients, body).await;
    store.commit(message, Owner::ThisProcess).await.unwrap().id()
}

pub(super) async fn claim(store: &dyn Store, most: usize) -> (Vec<QueueEntry>, Next) {
    let demand = [Demand { destination: Arc::from(DESTINATION), most }];
    let claimed = store.claim(&demand, most).await.unwrap().pop().unwrap();
    (claimed.entries, claimed.next)
}

pub(super) async fn claim_one(store: &dyn Store) -> Option<QueueEntry> {
    claim(store, 1).await.0.pop()
}

pub(super) fn deferred() -> Outcome {
    let code = EnhancedCode::new(Class::PersistentTransient, 4, 1);
    Outcome::Deferred(Reason::new(ReasonClass::Connect, code, "no host answered"))
}

/// A host took the message.
#[must_use]
pub fn delivered() -> Outcome {
    Outcome::Delivered { mx: "mx.example".to_owned(), addr: None, reply: "250 ok".to_owned() }
}

/// All recipients of an entry had this outcome; who is deferred is due then.
#[must_use]
pub fn settlement(entry: &QueueEntry, outcome: &Outcome, due: u64) -> Settlement {
    let settled = EntrySettlement {
        entry: entry.id,
        destination: Arc::from(entry.destination.to_string()),
        recipients: entry.recipients.iter().map(|one| one.place).collect(),
        outcomes: entry.recipients.iter().map(|_| outcome.clone()).collect(),
        records: Vec::new(),
        notices_sent: Vec::new(),
        retry: Retry { due, attempts: entry.attempts.saturating_add(1), by_hand: 0 },
        claim: ClaimEnd::Ends,
    };
    Settlement { id: entry.id.id, at: taken(), entries: vec![settled], notice: None }
}

pub(super) async fn read(store: &dyn Store, id: QueueId) -> Vec<u8> {
    let mut bytes = Vec::new();
    store.body(id).await.unwrap().read_to_end(&mut bytes).await.unwrap();
    bytes
}

pub(super) async fn ids(store: &dyn Store) -> Vec<QueueId> {
    let listed = store.list(&Filter::default(), None, usize::MAX).await.unwrap();
    listed.into_iter().map(|summary| summary.id).collect()
}
