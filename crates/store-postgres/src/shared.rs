//! What the parts of an open store share.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use clock::{Clock, SystemClock, millis};
use mail::QueueId;
use store::{
    BeginError, CommitError, Due, EntryId, Health, HealthCell, Observer, Ownership, RecentBodies,
    SharedEvent, SpaceGuard, Subscription,
};
use tokio::sync::{Mutex as AsyncMutex, mpsc, watch};

use crate::connect::{Connector, Durability, Link};
use crate::held::Held;
use crate::node::{Entered, Identity};
use crate::record_numbers::RecordNumbers;
use crate::settings::StoreSettings;
use crate::tally::Tally;
use crate::value_numbers::ValueNumbers;
use crate::work::{EntryAt, Work};

/// How long a claim rests that was given up without a word.
const REST: Duration = Duration::from_secs(30);

/// How much earlier than the others a node stops to trust its own lease, at most.
const MARGIN: Duration = Duration::from_secs(5);

/// So many messages are noted whose pieces are to be deleted; those of others are found by the sweep.
const LEFTOVERS: usize = 4096;

/// What the parts of an open store share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) settings: StoreSettings,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) connector: Arc<Connector>,
    /// For what is asked by hand, and for bodies that are read.
    pub(crate) reader: Link,
    /// For claims.
    pub(crate) claimer: Link,
    /// For pieces of bodies that are received.
    pub(crate) pieces: Link,
    /// For values.
    pub(crate) values: Link,
    /// One claim at a time: the next one has to know what it got.
    pub(crate) claiming: AsyncMutex<()>,
    pub(crate) jobs: mpsc::UnboundedSender<Work>,
    pub(crate) recent: RecentBodies,
    pub(crate) turns: Subscription,
    pub(crate) numbers: ValueNumbers,
    pub(crate) ownership: watch::Sender<Ownership>,
    pub(crate) observer: OnceLock<Arc<dyn Observer>>,
    /// Whether the store is being closed: what cannot be done now is not waited for.
    pub(crate) is_closing: AtomicBool,
    /// Whether no living node has been here longer.
    pub(crate) is_eldest: AtomicBool,
    /// About how many entries this node owns.
    pub(crate) owned: AtomicI64,
    /// How many groups are on their way to the database.
    pub(crate) under_way: AtomicUsize,
    /// How many there have been.
    pub(crate) groups: AtomicU64,
    /// Until when the lease is trusted, since the machine started.
    trusted_until: Mutex<Duration>,
    /// Gives numbers to the records of what this process settles, whichever node it is by then.
    pub(crate) records: RecordNumbers,
    identity: Mutex<Arc<Identity>>,
    /// The owners whose entries are free: nobody, and the dead.
    free: Mutex<Vec<i64>>,
    held: Mutex<Held>,
    /// What this node's slot counts, and what the others' do.
    own: Mutex<Tally>,
    others: Mutex<Tally>,
    longest_wait: Mutex<Duration>,
    leftovers: Mutex<Vec<QueueId>>,
    health: HealthCell,
}

/// The lock, whatever became of who had it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// Of a store that has just been opened by the node that `entered` it.
    pub(crate) fn new(
        settings: StoreSettings,
        clock: Arc<dyn Clock>,
        connector: Arc<Connector>,
        jobs: mpsc::UnboundedSender<Work>,
        Entered { identity, tally, last_record }: Entered,
    ) -> Self {
        let link = |durability| Link::new(&connector, durability);
        Self {
            reader: link(Durability::Synchronous),
            claimer: link(Durability::Synchronous),
            pieces: link(Durability::Deferred),
            values: link(Durability::Synchronous),
            longest_wait: Mutex::new(settings.longest_wait),
            settings,
            clock,
            connector,
            claiming: AsyncMutex::default(),
            jobs,
            recent: RecentBodies::default(),
            turns: Subscription::default(),
            numbers: ValueNumbers::new(),
            ownership: watch::Sender::new(Ownership::Certain),
            observer: OnceLock::new(),
            is_closing: AtomicBool::new(false),
            is_eldest: AtomicBool::new(false),
            owned: AtomicI64::new(0),
            under_way: AtomicUsize::new(0),
            groups: AtomicU64::new(0),
            trusted_until: Mutex::default(),
            records: RecordNumbers::after(last_record),
            identity: Mutex::new(Arc::new(identity)),
            free: Mutex::new(vec![crate::plan::NOBODY]),
            held: Mutex::default(),
            own: Mutex::new(tally),
            others: Mutex::default(),
            leftovers: Mutex::default(),
            health: HealthCell::new(Health::Ready),
        }
    }

    /// Something has happened that a store of one process does not know.
    pub(crate) fn tell(&self, event: SharedEvent) {
        if let Some(observer) = self.observer.get() {
            observer.shared(event);
        }
    }

    /// The time, in milliseconds since 1970.
    pub(crate) fn now(&self) -> u64 {
        millis(self.clock.now())
    }

    /// Who this node is.
    pub(crate) fn identity(&self) -> Arc<Identity> {
        Arc::clone(&lock(&self.identity))
    }

    /// This node is another one from now on.
    pub(crate) fn become_another(&self, identity: Identity, own: Tally) {
        *lock(&self.identity) = Arc::new(identity);
        self.owned.store(0, Ordering::Release);
        *lock(&self.own) = own;
    }

    /// The owners whose entries this node may claim, itself first.
    pub(crate) fn free_for_claims(&self) -> Vec<i64> {
        let mut free = self.identity().tokens.clone();
        free.extend_from_slice(&lock(&self.free));
        free
    }

    /// The owners whose entries anybody may claim.
    pub(crate) fn free_for_all(&self) -> Vec<i64> {
        lock(&self.free).clone()
    }

    /// These nodes are dead.
    pub(crate) fn set_dead(&self, tokens: &[i64]) {
        let mut free = vec![crate::plan::NOBODY];
        free.extend_from_slice(tokens);
        *lock(&self.free) = free;
    }

    /// Whether this node may still trust its lease: less long than the others do. Asked at the moment, not
    /// each second, for a process that was stopped goes on where it was.
    pub(crate) fn ownership_now(&self) -> Ownership {
        if SystemClock.since_boot() < *lock(&self.trusted_until) {
            Ownership::Certain
        } else {
            Ownership::Lost
        }
    }

    /// The lease was renewed by a statement that was sent at this time since the machine started.
    pub(crate) fn renewed(&self, sent: Duration) {
        let lease = self.settings.lease;
        let trusted = lease.saturating_sub(MARGIN.min(lease / 6));
        *lock(&self.trusted_until) = sent.saturating_add(trusted);
    }

    /// What is claimed and what rests.
    pub(crate) fn held(&self) -> MutexGuard<'_, Held> {
        lock(&self.held)
    }

    /// How much there is on all nodes.
    pub(crate) fn tally(&self) -> Tally {
        let own = *lock(&self.own);
        own.plus(&lock(&self.others))
    }

    /// A group of this node is committed that changes the totals so.
    pub(crate) fn count(&self, change: &Tally) {
        let mut own = lock(&self.own);
        *own = own.plus(change);
    }

    /// What the other nodes count; and what this one does, where that was read while nothing changed it.
    pub(crate) fn set_tallies(&self, others: Tally, own: Option<Tally>) {
        *lock(&self.others) = others;
        if let Some(counted) = own {
            *lock(&self.own) = counted;
        }
    }

    /// How many groups there have been, if none is under way.
    pub(crate) fn quiet(&self) -> Option<u64> {
        let is_quiet = self.under_way.load(Ordering::Acquire) == 0;
        is_quiet.then(|| self.groups.load(Ordering::Acquire))
    }

    /// The longest wait there is between two attempts.
    pub(crate) fn longest_wait(&self) -> Duration {
        *lock(&self.longest_wait)
    }

    /// Goes by this wait from now on.
    pub(crate) fn set_longest_wait(&self, wait: Duration) {
        *lock(&self.longest_wait) = wait;
    }

    /// A new id, if the store takes mail.
    pub(crate) fn next_id(&self, guard: SpaceGuard) -> Result<QueueId, BeginError> {
        self.health().admits(guard)?;
        self.identity().ids.next(self.clock.now()).ok_or(BeginError::Failed)
    }

    /// Puts a piece of a body into the database; it is durable once its message is.
    pub(crate) async fn keep_piece(
        &self,
        id: QueueId,
        piece: i32,
        bytes: &[u8],
    ) -> Result<(), CommitError> {
        let sql = "INSERT INTO body (id, piece, bytes) VALUES ($1, $2, $3)";
        let session = self.pieces.session().await?;
        session.execute(sql, &[&crate::rows::signed(id), &piece, &bytes]).await?;
        Ok(())
    }

    /// The pieces of a message that was never committed are to go.
    pub(crate) fn forget_pieces(&self, id: QueueId) {
        let mut leftovers = lock(&self.leftovers);
        if leftovers.len() < LEFTOVERS {
            leftovers.push(id);
        }
    }

    /// The messages whose pieces are to go.
    pub(crate) fn take_leftovers(&self) -> Vec<QueueId> {
        std::mem::take(&mut *lock(&self.leftovers))
    }

    /// New entries of this node's own are on their way to the database: nobody claims them before it is known
    /// what became of them.
    pub(crate) fn reserve(&self, own: &[EntryAt]) {
        let mut held = self.held();
        own.iter().for_each(|one| held.claim(&one.destination, one.entry));
    }

    /// What became of them is known.
    pub(crate) fn release(&self, own: &[EntryAt]) {
        let mut held = self.held();
        own.iter().for_each(|one| held.release(&one.destination, one.entry));
    }

    /// A claim has ended with a settlement. Whoever decides the turns hears of that before the entry can be
    /// claimed again: it would take the end of this claim for the end of the next one.
    pub(crate) fn settled(&self, destination: &str, entry: EntryId) {
        if let Some(turns) = self.turns.attached() {
            turns.settled(destination, entry);
        }
        self.held().release(destination, entry);
    }

    /// A claim has ended of which nothing has come; the entry rests.
    pub(crate) fn abandon(&self, destination: &str, entry: EntryId) {
        if let Some(turns) = self.turns.attached() {
            turns.settled(destination, entry);
        }
        let rested = self.clock.now().checked_add(REST);
        self.give_back(destination, entry, rested.map_or(u64::MAX, millis));
    }

    /// A claim has ended; the entry rests until then.
    pub(crate) fn give_back(&self, destination: &str, entry: EntryId, until: u64) {
        let was_claimed = self.held().rest(destination, entry, until);
        if was_claimed {
            self.turns.due(&[Due { destination: destination.to_owned(), at: until }]);
        }
    }

    /// Whether the store takes and gives mail.
    pub(crate) fn health(&self) -> Health {
        self.health.get()
    }

    /// Says how the store is; once closed it stays so.
    pub(crate) fn set_health(&self, health: Health) {
        if self.health.set(health)
            && let Some(turns) = self.turns.attached()
        {
            turns.health_changed();
        }
    }
}
