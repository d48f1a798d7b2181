//! A queue over a store under test, and what is put into it.

use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use access::{Networks, Submitter};
use clock::{Clock, SetClock};
use mail::{Envelope, Outcome, Purpose, QueueId, Reason, ReasonClass, Recipient, TlsRequired};
use smtp::{BodyType, Class, EnhancedCode, Mailbox, ReversePath, Smtputf8};
use store::conformance::Home;
use store::{BodyError, Filter, StoreTuning};
use tokio::io::AsyncReadExt;

use crate::lease::Lease;
use crate::queue::{OwnMessage, Queue};
use crate::schedule::RetrySchedule;
use crate::settings::QueueSettings;

/// A queue, and the clock that it goes by, which is moved by hand.
#[derive(Debug)]
pub struct Desk {
    /// The clock.
    pub clock: Arc<SetClock>,
    /// The queue.
    pub queue: Queue,
}

impl Desk {
    /// Puts a message into the queue.
    pub async fn accept(&self, recipients: &[&str], body: &[u8]) -> QueueId {
        let mut draft = self.queue.begin(submitter(), envelope(recipients)).unwrap();
        draft.write(body).await.unwrap();
        draft.commit().await.unwrap().id()
    }

    /// Leases whatever is due.
    pub async fn lease(&self) -> Option<Lease> {
        self.queue.lease(usize::MAX).await.unwrap()
    }

    /// Delivers everything that is due; ids and recipients in the order of delivery.
    pub async fn deliver_all(&self) -> Vec<(QueueId, String)> {
        let mut delivered = Vec::new();
        while let Some(lease) = self.lease().await {
            let id = lease.id();
            delivered.extend(lease.recipients().iter().map(|r| (id, r.mailbox.to_string())));
            let outcomes: Vec<_> = lease.recipients().iter().map(|_| delivered_outcome()).collect();
            self.queue.settle(lease, outcomes, None).await.unwrap();
        }
        delivered
    }

    /// All messages in the queue.
    pub async fn ids(&self) -> Vec<QueueId> {
        let all = self.queue.store().list(&Filter::default(), None, usize::MAX).await.unwrap();
        all.into_iter().map(|summary| summary.id).collect()
    }
}

/// A queue over the store of a home.
#[derive(Debug)]
pub(super) struct Bench {
    home: Box<dyn Home>,
    desk: Desk,
}

impl Deref for Bench {
    type Target = Desk;

    fn deref(&self) -> &Desk {
        &self.desk
    }
}

impl Bench {
    /// Over the store that is at `home`, at the [`start`].
    pub(super) async fn new(home: Box<dyn Home>) -> Self {
        Self::with_queue(home, QueueSettings::default()).await
    }

    /// The same with a queue that behaves otherwise.
    pub(super) async fn with_queue(home: Box<dyn Home>, settings: QueueSettings) -> Self {
        Self::at(home, settings, Arc::new(SetClock::new(start()))).await
    }

    async fn at(home: Box<dyn Home>, settings: QueueSettings, clock: Arc<SetClock>) -> Self {
        let store = home.open(Arc::<SetClock>::clone(&clock)).await;
        let longest_wait = RetrySchedule::default().longest();
        store.tune(StoreTuning { min_free: 0, longest_wait });
        let shared: Arc<dyn Clock> = Arc::<SetClock>::clone(&clock);
        let queue = Queue::over(store, settings, shared);
        Self { home, desk: Desk { clock, queue } }
    }

    /// Closes the queue and opens it again.
    pub(super) async fn restart(self) -> Self {
        self.queue.close().await;
        let Self { home, desk: Desk { clock, queue } } = self;
        drop(queue);
        Self::at(home, QueueSettings::default(), clock).await
    }

    /// Opens what a process leaves that is killed now.
    pub(super) async fn killed(self) -> Self {
        self.copy().await
    }

    /// The same, while this queue goes on.
    pub(super) async fn copy(&self) -> Self {
        let left = self.home.killed().await;
        Self::at(left, QueueSettings::default(), Arc::clone(&self.clock)).await
    }
}

/// When a [`Bench`] begins.
#[must_use]
pub fn start() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

/// A client that may submit.
#[must_use]
pub fn submitter() -> Submitter {
    let networks = Networks::parse(["127.0.0.0/8"]).unwrap();
    networks.admit([127, 0, 0, 1].into()).unwrap()
}

/// A mailbox.
#[must_use]
pub fn mailbox(text: &str) -> Mailbox {
    Mailbox::parse(text).unwrap()
}

/// An envelope from `sender@example.org`.
#[must_use]
pub fn envelope(recipients: &[&str]) -> Envelope {
    let recipients = recipients.iter().map(|text| Recipient::new(mailbox(text))).collect();
    let sender = ReversePath::Mailbox(mailbox("sender@example.org"));
    Envelope::new(sender, recipients, BodyType::EightBitMime, Smtputf8::NotRequested)
}

/// A host took the message.
#[must_use]
pub fn delivered_outcome() -> Outcome {
    Outcome::Delivered { mx: "mx.example".to_owned(), addr: None, reply: "250 ok".to_owned() }
}

/// Why a host deferred a recipient.
#[must_use]
pub fn reason(text: &str) -> Reason {
    Reason {
        mx: Some("mx.example".to_owned()),
        reply: Some("450 later".to_owned()),
        ..Reason::new(ReasonClass::Reply, EnhancedCode::new(Class::PersistentTransient, 4, 1), text)
    }
}

/// A host said: later.
#[must_use]
pub fn deferred(text: &str) -> Outcome {
    Outcome::Deferred(reason(text))
}

/// A host said: never.
#[must_use]
pub fn bounced(text: &str) -> Outcome {
    let code = EnhancedCode::new(Class::Permanent, 1, 1);
    Outcome::Bounced(Reason::new(ReasonClass::Reply, code, text))
}

/// A message of the relay's own.
#[must_use]
pub fn own_message(recipient: &str) -> OwnMessage {
    OwnMessage {
        reverse_path: ReversePath::Null,
        recipients: vec![Recipient::new(mailbox(recipient))],
        body: BodyType::SevenBit,
        smtputf8: Smtputf8::NotRequested,
        purpose: Purpose::Mail,
        tls: TlsRequired::Unspecified,
    }
}

/// The whole body of a leased message.
///
/// # Errors
///
/// [`BodyError`]: it cannot be read.
pub async fn read(lease: &Lease) -> Result<Vec<u8>, BodyError> {
    let mut body = Vec::new();
    lease.body().await?.read_to_end(&mut body).await?;
    Ok(body)
}
