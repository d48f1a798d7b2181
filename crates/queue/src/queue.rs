//! The queue as its users see it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use access::Submitter;
use clock::{Clock, time};
use mail::{Envelope, Outcome, Purpose, QueueId, Recipient};
use smtp::{BodyType, ReversePath, Smtputf8};
use store::{BeginError, Health, Settled, StoreError, Totals, Waiting};

use crate::committer::Committer;
use crate::destinations::Picked;
use crate::draft::Draft;
use crate::error::OpenError;
use crate::index::{EngineError, Lookup};
use crate::key::Key;
use crate::lease::{Found, Lease};
use crate::observer::Observer;
use crate::record::ENVELOPE_MOST;
use crate::rows::{LotRow, MessageRow, decode_reason};
use crate::settings::{QueueSettings, QueueTuning};
use crate::shared::{Handle, Shared, SpaceGuard};
use crate::standing::Standing;
use crate::work::{LeaseEnd, LotSettlement, Prepared, Settlement, Work};

/// The longest a worker waits before it looks again.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The durable queue; clones are handles to the same one.
#[derive(Clone, Debug)]
pub struct Queue {
    pub(crate) handle: Arc<Handle>,
}

/// A message of the relay's own: a bounce or a report. Its reverse-path is always the null one,
/// so that nothing can answer it with a bounce (RFC 5321 §4.5.5).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OwnMessage {
    /// Who it is for.
    pub recipients: Vec<Recipient>,
    /// What its body may hold.
    pub body: BodyType,
    /// Whether it needs SMTPUTF8.
    pub smtputf8: Smtputf8,
    /// What it is.
    pub purpose: Purpose,
}

impl Queue {
    /// Opens the queue, or makes it; blocks until its index is whole.
    ///
    /// # Errors
    ///
    /// [`OpenError`]; another process that has the queue open is one.
    pub fn open(settings: QueueSettings, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        let handle = Committer::start(settings, clock)?;
        Ok(Self { handle: Arc::new(handle) })
    }

    /// Has `observer` told of every round from now on; the first one who asks is told, no other.
    pub fn observe(&self, observer: Arc<dyn Observer>) {
        if self.handle.shared.observer.set(observer).is_err() {
            tracing::debug!("the queue is observed already");
        }
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
        let id = self.handle.shared.next_id(guard)?;
        let draft = Draft::new(Arc::clone(&self.handle), id, envelope);
        match u32::try_from(draft.envelope_len()) {
            Ok(length) if length <= ENVELOPE_MOST => Ok(draft),
            Ok(_) | Err(_) => Err(BeginError::TooManyRecipients),
        }
    }

    /// Begins a bounce or a report: always from the null reverse-path, so nobody has to be admitted.
    ///
    /// # Errors
    ///
    /// [`BeginError`]; a disk that is nearly full is none here.
    pub fn begin_own(&self, message: OwnMessage) -> Result<Draft, BeginError> {
        let OwnMessage { recipients, body, smtputf8, purpose } = message;
        let envelope = Envelope::new(ReversePath::Null, recipients, body, smtputf8);
        self.draft(envelope.with_purpose(purpose), SpaceGuard::Waived)
    }

    /// Leases a lot that is due, from the destination whose turn it is; at most `per_destination`
    /// lots of one destination are leased at a time.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where the index could not be read.
    pub fn lease(&self, per_destination: usize) -> Result<Option<Lease>, StoreError> {
        self.lease_within(Standing::Failing, |_| per_destination)
    }

    /// The same, from destinations that stand no worse than `worst`, and with a limit for each; it is
    /// asked for while the table of destinations is locked, so it must be quick and must not use the
    /// queue.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where the index could not be read.
    pub fn lease_within(
        &self,
        worst: Standing,
        per_destination: impl Fn(&str) -> usize,
    ) -> Result<Option<Lease>, StoreError> {
        let leased = self.handle.read(|engine| {
            while let Some(picked) = self.pick(engine, worst, &per_destination)? {
                match self.find(engine, &picked) {
                    Ok(Some(found)) => return Ok(Some((picked, found))),
                    Ok(None) => self.give_back(&picked, None),
                    Err(error) => {
                        self.give_back(&picked, Some(self.handle.shared.rest_after_drop()));
                        return Err(error);
                    }
                }
            }
            Ok(None)
        });
        Ok(leased?.map(|(picked, found)| Lease::new(Arc::clone(&self.handle), picked, found)))
    }

    /// Waits until something may be leasable from destinations that stand no worse than `worst`.
    pub async fn work(&self, worst: Standing) {
        let shared = &self.handle.shared;
        loop {
            let woken = shared.wake.notified();
            tokio::pin!(woken);
            woken.as_mut().enable();
            let now = shared.now();
            let next = {
                let table = shared.destinations();
                let is_open = shared.is_open();
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
    /// later, and the bounce is in the queue, all at once or not at all.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; the lot then stays in the queue as it was. While the store has failed, the
    /// settlement waits until it is open again.
    pub async fn settle(
        &self,
        lease: Lease,
        outcomes: Vec<Outcome>,
        bounce: Option<Draft>,
    ) -> Result<Settled, StoreError> {
        let id = lease.id();
        let settled = self.settle_together(id, vec![(lease, outcomes)], bounce).await?;
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
        parts: Vec<(Lease, Vec<Outcome>)>,
        bounce: Option<Draft>,
    ) -> Result<Vec<Settled>, StoreError> {
        let bounce = prepared(bounce).await?;
        let (mut leases, mut lots) = (Vec::new(), Vec::new());
        for (lease, outcomes) in parts.into_iter().filter(|(lease, _)| lease.id() == id) {
            lots.push(self.settlement_of(&lease, outcomes, LeaseEnd::Ends)?);
            leases.push(lease);
        }
        let answer = self.handle.ask(|answer| {
            leases.iter_mut().for_each(Lease::hand_over);
            Work::Settle(Settlement { id, lots, bounce }, answer)
        });
        answer.await.unwrap_or(Err(StoreError::Closed))
    }

    /// Settles those recipients of a lease who have the message, so that they do not get it again
    /// while the lease goes on for the others; gives the others' outcomes back, in their order.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; the lot then stays in the queue as it was.
    pub async fn settle_delivered(
        &self,
        lease: &mut Lease,
        outcomes: Vec<Outcome>,
        notice: Option<Draft>,
    ) -> Result<Vec<Outcome>, StoreError> {
        let bounce = prepared(notice).await?;
        let is_done = |outcome: &Outcome| match outcome {
            Outcome::Delivered { .. } => true,
            Outcome::Bounced(_) | Outcome::Deferred(_) => false,
        };
        let done: Vec<bool> = outcomes.iter().map(is_done).collect();
        let mut lot = self.settlement_of(lease, outcomes, LeaseEnd::GoesOn)?;
        let is_done = |place: usize| done.get(place).copied().unwrap_or(false);
        lot.recipients = kept(lot.recipients, is_done);
        let left = kept(lot.outcomes.clone(), |place| !is_done(place));
        lot.outcomes = kept(lot.outcomes, is_done);
        lot.told = Vec::new();
        let settlement = Settlement { id: lease.id(), lots: vec![lot], bounce };
        let answer = self.handle.ask(|answer| {
            lease.retain(|place| !is_done(place));
            Work::Settle(settlement, answer)
        });
        answer.await.unwrap_or(Err(StoreError::Closed))?;
        Ok(left)
    }

    /// What the committer is told of a lease.
    fn settlement_of(
        &self,
        lease: &Lease,
        outcomes: Vec<Outcome>,
        end: LeaseEnd,
    ) -> Result<LotSettlement, StoreError> {
        let recipients = lease.recipients().len();
        if outcomes.len() != recipients {
            return Err(StoreError::OutcomeCount { given: outcomes.len(), recipients });
        }
        let destination = lease.destination_name();
        self.handle.shared.destinations().attempted(&destination, &outcomes);
        Ok(LotSettlement {
            lot: lease.lot_id(),
            destination,
            recipients: lease.places().to_vec(),
            outcomes,
            told: lease.told(),
            lease: end,
        })
    }

    /// How many recipients of a message are not settled; none of one that has left the queue.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where the index could not be read.
    pub fn open_recipients(&self, id: QueueId) -> Result<usize, StoreError> {
        let row = self.handle.read(|engine| {
            let row = engine.find(&Key::message(id))?;
            Ok(row.map(|row| MessageRow::decode(&row)).transpose()?)
        })?;
        let open = row.map_or(0, |row| row.open_recipients);
        Ok(usize::try_from(open).unwrap_or(usize::MAX))
    }

    /// Goes by these settings from now on.
    pub fn tune(&self, tuning: QueueTuning) {
        self.handle.shared.tune(tuning);
    }

    /// Whether the queue takes and gives mail.
    #[must_use]
    pub fn health(&self) -> Health {
        self.handle.shared.health()
    }

    /// How much is in the queue, without looking into it.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.handle.shared.totals()
    }

    /// How many recipients wait for another attempt, by what the last one met, without looking into
    /// the queue.
    #[must_use]
    pub fn waiting(&self) -> Waiting {
        self.handle.shared.waiting()
    }

    /// When the next lot is due, if none is due now.
    #[must_use]
    pub fn next_due(&self) -> Option<SystemTime> {
        self.handle.shared.destinations().next_due().map(time)
    }

    /// The newest time that the queue knows: when its last id was given, or 10 minutes later.
    #[must_use]
    pub fn newest(&self) -> SystemTime {
        self.handle.shared.ids.last().given_at()
    }

    /// How many lots are leased.
    #[must_use]
    pub fn leased(&self) -> usize {
        self.handle.shared.destinations().leased()
    }

    /// Ends the queue in order: everything asked for before is done, nothing is taken afterwards.
    pub async fn close(&self) {
        let closed: Option<Result<(), StoreError>> = self.handle.ask(Work::Close).await;
        if closed.is_none() {
            tracing::debug!("the queue was closed before");
        }
    }

    /// Picks a lot and marks it as leased.
    fn pick(
        &self,
        engine: &dyn Lookup,
        worst: Standing,
        per_destination: &impl Fn(&str) -> usize,
    ) -> Result<Option<Picked>, EngineError> {
        let shared = &self.handle.shared;
        let now = shared.now();
        shared.destinations().pick(now, worst, per_destination, |destination, from| {
            Shared::read_due(engine, destination, from)
        })
    }

    /// What the index holds about a lot that is due; none if it was settled or moved meanwhile.
    fn find(&self, engine: &dyn Lookup, picked: &Picked) -> Result<Option<Found>, EngineError> {
        let row = engine.find(&Key::lot(picked.lot))?;
        let message = engine.find(&Key::message(picked.lot.id))?;
        let (Some(row), Some(message)) = (row, message) else {
            return self.vanished(engine, picked);
        };
        let row = LotRow::decode(&row)?;
        if row.due != Some(picked.due) {
            return self.vanished(engine, picked);
        }
        let message = MessageRow::decode(&message)?.message;
        let mut reasons = Vec::new();
        for number in 0..row.reasons {
            if let Some(reason) = engine.find(&Key::reason(picked.lot, number))? {
                reasons.push(decode_reason(&reason)?);
            }
        }
        let destination = row.destination()?.clone();
        Ok(Some(Found { row, message, destination, reasons }))
    }

    /// A lot in the due index that has no row: fine while a batch goes by, damage if it stays.
    fn vanished(&self, engine: &dyn Lookup, picked: &Picked) -> Result<Option<Found>, EngineError> {
        let key = Key::due(&picked.destination, picked.due, picked.lot);
        if engine.find(&key)?.is_none() {
            return Ok(None);
        }
        match engine.find(&Key::lot(picked.lot))? {
            Some(row) if LotRow::decode(&row)?.due == Some(picked.due) => Ok(None),
            Some(_) | None => {
                let lot = format!("{} lot {}", picked.lot.id, picked.lot.lot);
                Err(EngineError::Damaged(format!("{lot} is due and is not there")))
            }
        }
    }

    /// Gives a lot back that was picked.
    fn give_back(&self, picked: &Picked, rest: Option<u64>) {
        self.handle.shared.destinations().give_back(&picked.destination, picked.lot, rest);
    }
}

/// A bounce, ready for the committer.
async fn prepared(bounce: Option<Draft>) -> Result<Option<Box<Prepared>>, StoreError> {
    let Some(draft) = bounce else { return Ok(None) };
    match draft.prepare().await {
        Ok(prepared) => Ok(Some(Box::new(prepared))),
        Err(error) => {
            tracing::error!(%error, "bounce not written");
            Err(StoreError::Failed)
        }
    }
}

/// The items at the places that `keep` names, in their order.
fn kept<T>(items: Vec<T>, keep: impl Fn(usize) -> bool) -> Vec<T> {
    items.into_iter().enumerate().filter(|(place, _)| keep(*place)).map(|(_, item)| item).collect()
}
