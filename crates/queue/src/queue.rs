//! The queue as its users see it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use access::Submitter;
use clock::{Clock, millis, time};
use mail::{Envelope, Outcome, Purpose, QueueId, Recipient, TlsRequired};
use smtp::{BodyType, ReversePath, Smtputf8};
use store::{
    Act, BeginError, ClaimEnd, Claimed, Demand, EntrySettlement, Filter, Health, Namespace, Next,
    Selection, Settled, Settlement, SpaceGuard, Store, StoreError, Totals, Waiting, Which,
};

use crate::context::Context;
use crate::destination_health::DestinationHealth;
use crate::destinations::Destinations;
use crate::draft::Draft;
use crate::lease::Lease;
use crate::lease_result::LeaseResult;
use crate::paced_lines::{AtMost, Paced, PacedLine, Pacing};
use crate::settings::{QueueSettings, QueueTuning};
use crate::turns::{OpenTurn, TurnTable};

/// The longest a worker waits before it looks again.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The durable queue; clones are handles to the same one.
#[derive(Clone, Debug)]
pub struct Queue {
    context: Arc<Context>,
}

/// A message of the relay's own: a bounce or a report.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OwnMessage {
    /// Where a bounce of it goes: nowhere for a bounce, so that nothing can answer it with another
    /// (RFC 5321 §4.5.5).
    pub reverse_path: ReversePath,
    /// Who it is for.
    pub recipients: Vec<Recipient>,
    /// What its body may hold.
    pub body: BodyType,
    /// Whether it needs SMTPUTF8.
    pub smtputf8: Smtputf8,
    /// What it is.
    pub purpose: Purpose,
    /// What it says about TLS on its way (RFC 8689).
    pub tls: TlsRequired,
}

impl Queue {
    /// The queue of what `store` holds.
    #[must_use]
    pub fn over(store: Arc<dyn Store>, settings: QueueSettings, clock: Arc<dyn Clock>) -> Self {
        let context = Arc::new(Context::new(store, settings, clock));
        let turns = Arc::<TurnTable>::clone(&context.turns);
        context.store.tell(turns);
        Self { context }
    }

    /// Where the mail is: to look into it, and for what belongs to no turn.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.context.store
    }

    /// The durable values under this name, which is the program's own and has no NUL.
    #[must_use]
    pub fn values(&self, name: &str) -> Namespace {
        Namespace::new(Arc::clone(&self.context.store), name)
    }

    /// Begins a message.
    ///
    /// # Errors
    ///
    /// [`BeginError`], whose [`reply`](BeginError::reply) says what to answer.
    pub fn begin(&self, submitter: Submitter, envelope: Envelope) -> Result<Draft, BeginError> {
        drop(submitter); // It is spent: one admission is one draft.
        self.draft(envelope, SpaceGuard::Applies)
    }

    /// Begins a message, for a client or for the relay itself.
    fn draft(&self, envelope: Envelope, guard: SpaceGuard) -> Result<Draft, BeginError> {
        if envelope.recipients().is_empty() {
            return Err(BeginError::NoRecipients);
        }
        let Context { store, clock, .. } = self.context.as_ref();
        let received_at = clock.now();
        let body = store.begin(&envelope, received_at, guard)?;
        Ok(Draft::new(Arc::clone(&self.context), received_at, envelope, body))
    }

    /// Begins a bounce or a report, which nobody has handed in: nobody has to be admitted.
    ///
    /// # Errors
    ///
    /// [`BeginError`]; a disk that is nearly full is none here.
    pub fn begin_own(&self, message: OwnMessage) -> Result<Draft, BeginError> {
        let OwnMessage { reverse_path, recipients, body, smtputf8, purpose, tls } = message;
        let envelope = Envelope::new(reverse_path, recipients, body, smtputf8);
        self.draft(envelope.with_purpose(purpose).with_tls(tls), SpaceGuard::Waived)
    }

    /// Leases an entry that is due, from the destination whose turn it is; at most `per_destination`
    /// entries of one destination are leased at a time.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where the store could not be read.
    pub async fn lease(&self, per_destination: usize) -> Result<Option<Lease>, StoreError> {
        let leased =
            self.lease_within(DestinationHealth::Failing, &AtMost(per_destination)).await?;
        Ok(leased.map(|(lease, ())| lease))
    }

    /// The same, from destinations that stand no worse than `worst`, as `pacing` lets them; with what
    /// the lease holds of its limits.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where the store could not be read.
    pub async fn lease_within<P: Pacing>(
        &self,
        worst: DestinationHealth,
        pacing: &P,
    ) -> Result<Option<(Lease, P::Held)>, StoreError> {
        let Context { store, turns, .. } = self.context.as_ref();
        if !store.is_open() {
            return Err(match store.health() {
                Health::Closed => StoreError::Closed,
                Health::Failed | Health::LowOnSpace | Health::Ready => StoreError::Failed,
            });
        }
        loop {
            let begun = turns.destinations().begin_turn(self.context.now(), worst);
            let Some(turn) = begun else { return Ok(None) };
            let (destination, health) = (Arc::clone(&turn.destination), turn.health);
            let is_full = turn.leased >= pacing.window(&destination).max(1);
            let open = OpenTurn::new(turns, turn);
            if is_full {
                open.end(Destinations::turn_full);
                continue;
            }
            let held = match pacing.admit(&destination) {
                Ok(held) => held,
                Err(Paced { line, until }) => {
                    let due = until.map(millis);
                    open.end(|table, turn| table.turn_paced(turn, line, due));
                    continue;
                }
            };
            let demand = [Demand { destination: Arc::clone(&destination), most: 1 }];
            let claimed = store.claim(&demand, 1).await?;
            let Some(Claimed { entries, next }) = claimed.into_iter().next() else {
                open.end(|table, turn| table.turn_passed(turn, Next::Nothing));
                continue;
            };
            let Some(entry) = entries.into_iter().next() else {
                open.end(|table, turn| table.turn_passed(turn, next));
                continue;
            };
            open.end(|table, turn| table.turn_leased(turn, entry.id, next));
            let context = Arc::clone(&self.context);
            return Ok(Some((Lease::new(context, destination, health, entry), held)));
        }
    }

    /// The limit with this line may have room: the destinations that wait there have their turns.
    pub fn move_on(&self, line: PacedLine) {
        self.context.turns.destinations().move_on(line);
        self.context.turns.wake.notify_waiters();
    }

    /// The same for all limits: they have changed.
    pub fn move_all(&self) {
        self.context.turns.destinations().move_all();
        self.context.turns.wake.notify_waiters();
    }

    /// How many destinations wait in the line of a limit.
    #[must_use]
    pub fn paced_in(&self, line: PacedLine) -> usize {
        self.context.turns.destinations().paced_in(line)
    }

    /// Waits until something may be leasable from destinations that stand no worse than `worst`.
    pub async fn work(&self, worst: DestinationHealth) {
        let Context { store, turns, .. } = self.context.as_ref();
        loop {
            let woken = turns.wake.notified();
            tokio::pin!(woken);
            woken.as_mut().enable();
            let (now, is_open) = (self.context.now(), store.is_open());
            let next = {
                let table = turns.destinations();
                if is_open && table.is_ready(now, worst) {
                    return;
                }
                table.next_due().filter(|_| is_open)
            };
            let wait =
                next.map_or(LOOK_AGAIN, |due| Duration::from_millis(due.saturating_sub(now)));
            let wait = wait.clamp(Duration::from_millis(1), LOOK_AGAIN);
            let _woken_or_not = tokio::time::timeout(wait, woken).await;
        }
    }

    /// Ends a lease: what is delivered or bounced leaves the queue, what is deferred stays for
    /// later, the records of the attempt are kept, and the bounce is in the queue, all at once or not
    /// at all.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; the entry then stays in the queue as it was. While the store has failed, the
    /// settlement waits until it is open again.
    pub async fn settle(
        &self,
        lease: Lease,
        result: impl Into<LeaseResult>,
        bounce: Option<Draft>,
    ) -> Result<Settled, StoreError> {
        let id = lease.id();
        let settled = self.settle_together(id, vec![(lease, result.into())], bounce).await?;
        settled.into_iter().next().ok_or(StoreError::Failed)
    }

    /// The same for several leases of message `id`: one bounce tells of all of them.
    ///
    /// # Errors
    ///
    /// [`StoreError`], as for one; a lease of another message is given back unsettled.
    pub async fn settle_together(
        &self,
        id: QueueId,
        parts: Vec<(Lease, LeaseResult)>,
        bounce: Option<Draft>,
    ) -> Result<Vec<Settled>, StoreError> {
        let at = self.context.clock.now();
        let (mut leases, mut entries) = (Vec::new(), Vec::new());
        for (lease, result) in parts.into_iter().filter(|(lease, _)| lease.id() == id) {
            entries.push(self.settlement_of(&lease, result, at, ClaimEnd::Ends)?);
            leases.push(lease);
        }
        // Not before all of them are well: what is handed over and not settled would stay claimed.
        leases.iter_mut().for_each(Lease::hand_over);
        let notice = bounce.map(Draft::into_body);
        self.context.store.settle(Settlement { id, at, entries, notice }).await
    }

    /// Settles those recipients of a lease who have the message, of whom the records are, so that they
    /// do not get it again while the lease goes on for the others.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; the entry then stays in the queue as it was.
    pub async fn settle_delivered(
        &self,
        lease: &mut Lease,
        result: impl Into<LeaseResult>,
        notice: Option<Draft>,
    ) -> Result<(), StoreError> {
        let result = result.into();
        let is_done = |outcome: &Outcome| match outcome {
            Outcome::Delivered { .. } => true,
            Outcome::Bounced(_) | Outcome::Deferred(_) => false,
        };
        let done: Vec<bool> = result.outcomes.iter().map(is_done).collect();
        let at = self.context.clock.now();
        let mut entry = self.settlement_of(lease, result, at, ClaimEnd::GoesOn)?;
        let is_done = |place: usize| done.get(place).copied().unwrap_or(false);
        entry.recipients = kept(entry.recipients, is_done);
        entry.outcomes = kept(entry.outcomes, is_done);
        entry.notices_sent = Vec::new();
        lease.retain(|place| !is_done(place));
        let (id, entries, notice) = (lease.id(), vec![entry], notice.map(Draft::into_body));
        self.context.store.settle(Settlement { id, at, entries, notice }).await.map(drop)
    }

    /// What the store is told of a lease.
    fn settlement_of(
        &self,
        lease: &Lease,
        result: LeaseResult,
        at: SystemTime,
        claim: ClaimEnd,
    ) -> Result<EntrySettlement, StoreError> {
        let LeaseResult { outcomes, records } = result;
        let recipients = lease.recipients().len();
        if outcomes.len() != recipients {
            return Err(StoreError::OutcomeCount { given: outcomes.len(), recipients });
        }
        let destination = Arc::clone(lease.destination_name());
        self.context.turns.destinations().attempted(&destination, &outcomes);
        Ok(EntrySettlement {
            entry: lease.entry_id(),
            destination,
            recipients: lease.places().to_vec(),
            outcomes,
            records,
            notices_sent: lease.notices_sent(),
            retry: lease.retry(at),
            claim,
        })
    }

    /// How many recipients of a message are not settled; none of one that has left the queue.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where the store could not be read.
    pub async fn open_recipients(&self, id: QueueId) -> Result<usize, StoreError> {
        self.context.store.open_recipients(id).await
    }

    /// Makes messages due now that are due later; how many entries that are not held there were. Each is
    /// tried once more, and when that fails, it is due when it would have been.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; some may have been moved.
    pub async fn retry(&self, selection: Selection) -> Result<usize, StoreError> {
        // What is leased between two slices is to know of the wish as well.
        self.wake_up(&selection).await?;
        let moved = self.context.store.change(&Which::from(&selection), Act::Retry).await?;
        self.wake_up(&selection).await?;
        Ok(moved)
    }

    /// Makes those entries of messages due now that meet `filter`; how many were moved. Meant for a few
    /// hundred messages at a time: they are moved in one batch.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; none was moved.
    pub async fn retry_messages(
        &self,
        ids: &[QueueId],
        filter: &Filter,
    ) -> Result<usize, StoreError> {
        let store = &self.context.store;
        let mut meant = Vec::new();
        for id in ids {
            let entries = store.show(*id).await?.into_iter().flat_map(|details| details.entries);
            meant.extend(
                entries.filter(|entry| filter.admits_entry(entry)).map(|entry| entry.destination),
            );
        }
        let moved =
            store.change(&Which::Messages(ids.to_vec(), filter.clone()), Act::Retry).await?;
        for destination in meant {
            self.wake_destination(Some(&destination.to_string()));
        }
        Ok(moved)
    }

    /// Keeps a message from being sent until it is released; whether it was on its way.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; nothing has changed.
    pub async fn hold(&self, id: QueueId) -> Result<bool, StoreError> {
        let changed = self.context.store.change(&Which::Message(id), Act::Hold).await?;
        Ok(changed > 0)
    }

    /// Lets a held or quarantined message go; whether it was one.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; nothing has changed.
    pub async fn release(&self, id: QueueId) -> Result<bool, StoreError> {
        let changed = self.context.store.change(&Which::Message(id), Act::Release).await?;
        Ok(changed > 0)
    }

    /// Removes a message, with a bounce if one is given; whether there was one.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; nothing has changed.
    pub async fn delete(&self, id: QueueId, bounce: Option<Draft>) -> Result<bool, StoreError> {
        self.context.store.delete(id, bounce.map(Draft::into_body)).await
    }

    /// Lets the destinations of a selection be leased at once, and counts that an operator wished so.
    async fn wake_up(&self, selection: &Selection) -> Result<(), StoreError> {
        match selection {
            Selection::All => self.wake_destination(None),
            Selection::Destination(domain) => self.wake_destination(Some(&domain.to_string())),
            Selection::Message(id) => {
                let details = self.context.store.show(*id).await?;
                for entry in details.into_iter().flat_map(|details| details.entries) {
                    self.wake_destination(Some(&entry.destination.to_string()));
                }
            }
        }
        Ok(())
    }

    /// Ends the rests of a destination, or of all.
    fn wake_destination(&self, destination: Option<&str>) {
        let Context { store, turns, .. } = self.context.as_ref();
        store.end_rests(destination);
        turns.destinations().wake_up(destination);
        turns.wake.notify_waiters();
    }

    /// Goes by these settings from now on.
    pub fn tune(&self, tuning: QueueTuning) {
        self.context.tune(tuning);
    }

    /// Whether the queue takes and gives mail.
    #[must_use]
    pub fn health(&self) -> Health {
        self.context.store.health()
    }

    /// How much is in the queue, without looking into it.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.context.store.totals()
    }

    /// How many recipients wait for another attempt, by what the last one met, without looking into
    /// the queue.
    #[must_use]
    pub fn waiting(&self) -> Waiting {
        self.context.store.waiting()
    }

    /// When the next entry is due, if none is due now.
    #[must_use]
    pub fn next_due(&self) -> Option<SystemTime> {
        self.context.turns.destinations().next_due().map(time)
    }

    /// The newest time that the queue knows: when its last id was given, or 10 minutes later.
    #[must_use]
    pub fn newest(&self) -> SystemTime {
        self.context.store.newest()
    }

    /// How many entries are leased.
    #[must_use]
    pub fn leased(&self) -> usize {
        self.context.turns.destinations().leased()
    }

    /// Ends the queue in order: everything asked for before is done, nothing is taken afterwards.
    pub async fn close(&self) {
        self.context.store.close().await;
    }
}

/// The items at the places that `keep` names, in their order.
fn kept<T>(items: Vec<T>, keep: impl Fn(usize) -> bool) -> Vec<T> {
    items.into_iter().enumerate().filter(|(place, _)| keep(*place)).map(|(_, item)| item).collect()
}
