//! A lease: one entry, lent to whoever tries to deliver it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use mail::{DelayNotice, Message, QueueId, Reason, Recipient};
use smtp::MailboxDomain;
use store::{BodyError, BodyReader, ByHand, EntryId, QueueEntry, Retry};

use crate::context::Context;
use crate::destination_health::DestinationHealth;
use crate::schedule::Jitter;

/// Recipients of one message at one destination that are due; nobody else has them meanwhile.
///
/// Settled, it is gone. Dropped, it returns to the queue and is due again after a rest.
#[derive(Debug)]
pub struct Lease {
    context: Arc<Context>,
    entry: EntryId,
    message: Message,
    destination: MailboxDomain,
    /// The same as the table of destinations has it.
    destination_name: Arc<str>,
    health: DestinationHealth,
    recipients: Vec<Recipient>,
    attempts: u32,
    by_hand: ByHand,
    reasons: Vec<Option<Reason>>,
    delays: Vec<DelayNotice>,
    /// The places of the recipients among all those of the message.
    places: Vec<u32>,
    state: LeaseState,
}

/// Whether the entry returns to the queue when the lease is dropped.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum LeaseState {
    /// It does.
    Held,
    /// The store has it now.
    HandedOver,
}

impl Lease {
    /// A lease of the entry that the table of destinations has marked as leased.
    pub(crate) fn new(
        context: Arc<Context>,
        destination_name: Arc<str>,
        health: DestinationHealth,
        entry: QueueEntry,
    ) -> Self {
        let QueueEntry { id, message, destination, recipients, attempts, by_hand } = entry;
        Self {
            context,
            entry: id,
            message,
            destination,
            destination_name,
            health,
            attempts,
            by_hand,
            reasons: recipients.iter().map(|one| one.reason.clone()).collect(),
            delays: recipients.iter().map(|one| one.delay).collect(),
            places: recipients.iter().map(|one| one.place).collect(),
            recipients: recipients.into_iter().map(|one| one.recipient).collect(),
            state: LeaseState::Held,
        }
    }

    /// The message.
    #[must_use]
    pub const fn id(&self) -> QueueId {
        self.entry.id
    }

    /// What is the same for all recipients.
    #[must_use]
    pub const fn message(&self) -> &Message {
        &self.message
    }

    /// Where the entry goes.
    #[must_use]
    pub const fn destination(&self) -> &MailboxDomain {
        &self.destination
    }

    /// How its destination stood when it was leased.
    #[must_use]
    pub const fn health(&self) -> DestinationHealth {
        self.health
    }

    /// Who it is for; outcomes are given in this order.
    #[must_use]
    pub fn recipients(&self) -> &[Recipient] {
        &self.recipients
    }

    /// How many attempts have failed so far.
    #[must_use]
    pub const fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Why each recipient was deferred last, in their order; none before the first attempt.
    #[must_use]
    pub fn reasons(&self) -> &[Option<Reason>] {
        &self.reasons
    }

    /// Whether the sender knows for each recipient that its mail is late, in their order.
    #[must_use]
    pub fn delays(&self) -> &[DelayNotice] {
        &self.delays
    }

    /// Notes that the delay notice was sent for those recipients for whom `is_sent` says so,
    /// by their place in this lease; kept by the settlement that ends it.
    pub fn delay_notices_sent(&mut self, is_sent: impl Fn(usize) -> bool) {
        for (place, delay) in self.delays.iter_mut().enumerate() {
            if is_sent(place) {
                *delay = DelayNotice::Sent;
            }
        }
    }

    /// Lets others of its destination be leased although this lease goes on: its attempt has ended,
    /// and only the settlement is still to come.
    pub fn park(&self) {
        let turns = &self.context.turns;
        turns.destinations().park(&self.destination_name, self.entry);
        turns.wake.notify_waiters();
    }

    /// Forgets the recipients for whom `keep` does not say so, by their place in this lease: the
    /// store settles them.
    pub(crate) fn retain(&mut self, keep: impl Fn(usize) -> bool) {
        fn retain<T>(items: &mut Vec<T>, keep: &impl Fn(usize) -> bool) {
            let mut place = 0_usize;
            items.retain(|_| {
                let is_kept = keep(place);
                place = place.saturating_add(1);
                is_kept
            });
        }
        retain(&mut self.recipients, &keep);
        retain(&mut self.reasons, &keep);
        retain(&mut self.delays, &keep);
        retain(&mut self.places, &keep);
    }

    /// How often operators have asked for mail to be tried at once: what was found to be hopeless
    /// before the last time is worth another look.
    #[must_use]
    pub fn retry_epoch(&self) -> u64 {
        self.context.turns.destinations().retry_epoch()
    }

    /// Notes that the attempt hears nothing: its destination counts as failing from now on, until an
    /// attempt settles somebody.
    pub fn stalls(&self) {
        self.context.turns.destinations().stalls(&self.destination_name);
    }

    /// How long the message has been in the queue.
    #[must_use]
    pub fn queued_for(&self, now: SystemTime) -> Duration {
        now.duration_since(self.message.received_at).unwrap_or_default()
    }

    /// Whether the message's lifetime has ended, so that this attempt is the last. None ends while the
    /// clock is in doubt: the attempts may have failed because of it.
    #[must_use]
    pub fn expired(&self, now: SystemTime) -> bool {
        self.context.clock.doubt().is_none() && self.queued_for(now) >= self.lifetime()
    }

    /// When the message's lifetime ends; none beyond the end of time.
    #[must_use]
    pub fn expires_at(&self) -> Option<SystemTime> {
        self.message.received_at.checked_add(self.lifetime())
    }

    /// How long a message like this one is tried.
    fn lifetime(&self) -> Duration {
        self.context.tuning().lifetime_of(self.message.purpose)
    }

    /// The message's header and body, checked against its checksum before the last byte is given.
    ///
    /// # Errors
    ///
    /// [`BodyError`]; a damaged message is also quarantined.
    pub async fn body(&self) -> Result<BodyReader, BodyError> {
        self.context.store.body(self.entry.id).await
    }

    /// Gives the entry back as if it had never been leased: it is due at once, and no attempt counts.
    pub fn put_back(mut self) {
        self.hand_over();
        self.return_to_queue(None);
    }

    /// Returns the entry to the queue, where it rests until then.
    fn return_to_queue(&self, rest: Option<u64>) {
        let Context { store, turns, .. } = self.context.as_ref();
        // In this order: once the store has it back, somebody else may lease it.
        turns.destinations().give_back(&self.destination_name, self.entry, rest);
        store.give_back(&self.destination_name, self.entry, rest.unwrap_or_default());
        turns.wake.notify_waiters();
    }

    /// The entry.
    pub(crate) const fn entry_id(&self) -> EntryId {
        self.entry
    }

    /// The destination as the table of destinations has it.
    #[must_use]
    pub const fn destination_name(&self) -> &Arc<str> {
        &self.destination_name
    }

    /// The places of the recipients among all those of the message.
    pub(crate) fn places(&self) -> &[u32] {
        &self.places
    }

    /// The same places of those whose delay notice was sent.
    pub(crate) fn notices_sent(&self) -> Vec<u32> {
        let places = self.places.iter().zip(&self.delays);
        places.filter(|(_, delay)| **delay == DelayNotice::Sent).map(|(place, _)| *place).collect()
    }

    /// What holds for those of its recipients who are deferred at `now`.
    pub(crate) fn retry(&self, now: SystemTime) -> Retry {
        let schedule = self.context.tuning().retry;
        schedule.retry(self.attempts, self.by_hand, now, Jitter::random())
    }

    /// The store gives the entry back from now on.
    pub(crate) const fn hand_over(&mut self) {
        self.state = LeaseState::HandedOver;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.state == LeaseState::HandedOver {
            return;
        }
        self.return_to_queue(Some(self.context.rest_after_drop()));
    }
}
