//! Who writes: all that waits becomes one transaction, and two connections take turns, so that one collects
//! while the other waits for the disk.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use mail::QueueId;
use store::{CommitGroup, Committed, EntryId, Health, SharedEvent};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::connect::Session;
use crate::error::{QueryError, Verdict};
use crate::group::{self, Effects, GroupError, GroupKey, STATEMENTS};
use crate::plan::{Context, Done};
use crate::shared::Shared;
use crate::verdict::{Fate, Void, fate};
use crate::work::{Change, Room, Work};

/// How many connections take turns.
const LANES: i16 = 2;

/// A group has at most so many pieces of work.
const MOST_JOBS: usize = 1024;

/// And about so many bytes.
const MOST_BYTES: usize = 8 << 20;

/// So many entries a node owns before it leaves new ones to anybody: a few for each attempt that it may make,
/// so that a node that is slow or stops does not keep a backlog from the others.
const STOCK: i64 = 4096;

/// How long after a failure the database is tried again at first, and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// One of the connections that take turns.
#[derive(Debug)]
struct Lane {
    number: i16,
    session: Option<Session>,
}

/// Does all work that comes until the store is closed or nobody is left who could send any.
pub(crate) async fn commit_all(shared: Arc<Shared>, mut jobs: UnboundedReceiver<Work>) {
    let mut free: Vec<Lane> = (0..LANES).map(|number| Lane { number, session: None }).collect();
    let mut running = JoinSet::new();
    loop {
        let lane = match free.pop() {
            Some(lane) => lane,
            None => match running.join_next().await {
                Some(Ok(lane)) => lane,
                Some(Err(error)) => {
                    tracing::error!(%error, "commit task panicked");
                    Lane { number: 0, session: None }
                }
                None => return,
            },
        };
        let Some(first) = jobs.recv().await else { return };
        let (group, closing) = collect(first, &mut jobs);
        running.spawn(lane.commit(Arc::clone(&shared), group));
        if let Some(closed) = closing {
            while running.join_next().await.is_some() {}
            return end(&shared, jobs, closed);
        }
    }
}

/// Nothing is taken any more.
fn end(shared: &Shared, mut jobs: UnboundedReceiver<Work>, closed: oneshot::Sender<()>) {
    shared.set_health(Health::Closed);
    jobs.close();
    while let Ok(job) = jobs.try_recv() {
        job.refuse();
    }
    if closed.send(()).is_err() {
        tracing::debug!("nobody waited for the store's end");
    }
}

/// What waits, as far as it fits a group; and who waits for the end of the store, behind it.
fn collect(
    first: Work,
    jobs: &mut UnboundedReceiver<Work>,
) -> (Vec<Work>, Option<oneshot::Sender<()>>) {
    let (mut group, mut bytes, mut next) = (Vec::new(), 0_usize, Some(first));
    while let Some(work) = next {
        match work {
            Work::Close(closed) => return (group, Some(closed)),
            Work::Accept(..) | Work::Change(..) | Work::Settle(..) => {
                bytes = bytes.saturating_add(work.size());
                group.push(work);
            }
        }
        let is_full = group.len() >= MOST_JOBS || bytes >= MOST_BYTES;
        next = if is_full { None } else { jobs.try_recv().ok() };
    }
    (group, None)
}

/// What became of an attempt to commit a group.
enum Attempt {
    /// It is durable.
    Durable(Box<Effects>),
    /// Nothing of it is done: the server refuses it.
    Refused(QueryError),
    /// Nothing of it is done: the database was not reached, or was in somebody's way.
    Undone(QueryError),
}

impl Lane {
    /// Does a group, however long that takes; gives the lane back.
    async fn commit(mut self, shared: Arc<Shared>, group: Vec<Work>) -> Self {
        let mut groups = vec![group];
        while let Some(group) = groups.pop() {
            let group = self.commit_or_refuse(&shared, group).await;
            // One piece of work that the server refuses is not to take others with it.
            groups.extend(group.into_iter().map(|work| vec![work]));
        }
        self
    }

    /// Does a group; gives the work back that is to be done piece by piece.
    async fn commit_or_refuse(&mut self, shared: &Arc<Shared>, mut group: Vec<Work>) -> Vec<Work> {
        let mut pause = PAUSE.0;
        let began = Instant::now();
        loop {
            // Nobody is told of what nobody waits for.
            group.retain(|work| !work.is_abandoned());
            if group.is_empty() {
                return Vec::new();
            }
            match self.attempt(shared, &group).await {
                Attempt::Durable(effects) => {
                    conclude(shared, group, *effects, began.elapsed());
                    return Vec::new();
                }
                Attempt::Refused(error) => return refuse(shared, group, &error),
                Attempt::Undone(error) => {
                    tracing::warn!(error = %error.in_full(), "group not committed");
                    if error.verdict() == Verdict::Unknown {
                        shared.set_health(Health::Failed);
                    }
                    if shared.is_closing.load(Ordering::Acquire) {
                        return refuse_all(group);
                    }
                    sleep(pause).await;
                    pause = pause.saturating_mul(2).min(PAUSE.1);
                }
            }
        }
    }

    /// Tries once, and finds out what became of it.
    async fn attempt(&mut self, shared: &Arc<Shared>, group: &[Work]) -> Attempt {
        let session = match self.session.take().filter(|session| !session.is_closed()) {
            Some(session) => session,
            None => match connect(shared).await {
                Ok(session) => session,
                Err(error) => return Attempt::Undone(error),
            },
        };
        let identity = shared.identity();
        let number = shared.groups.fetch_add(1, Ordering::AcqRel);
        let first_record = shared.records.begin(group.iter().map(Work::records).sum());
        let key = GroupKey {
            node: identity.token(),
            home: identity.home,
            slot: identity.slot,
            lane: self.number,
            number: crate::rows::big(number),
            first_record: crate::rows::big(first_record),
        };
        let context = Context {
            owner: identity.token(),
            tokens: &identity.tokens,
            stock: STOCK.saturating_sub(shared.owned.load(Ordering::Acquire)),
            now: shared.now(),
        };
        shared.under_way.fetch_add(1, Ordering::AcqRel);
        let ran = group::run(&session, key, group, context, |own| shared.reserve(own)).await;
        let attempt = match ran {
            Ok(effects) => {
                self.session = Some(session);
                Attempt::Durable(Box::new(effects))
            }
            Err(GroupError::Before(error)) => {
                if error.verdict() != Verdict::Unknown {
                    self.session = Some(session);
                }
                undone(error)
            }
            Err(GroupError::InDoubt(error, effects)) => {
                drop(session);
                tracing::warn!(error = %error.in_full(), "group in doubt");
                self.settle_doubt(shared, key, group, effects).await
            }
        };
        let last_record = match &attempt {
            Attempt::Durable(effects) => {
                shared.count(&effects.tally);
                effects.last_record
            }
            Attempt::Refused(_) | Attempt::Undone(_) => {
                group.iter().for_each(|work| shared.release(&work.own()));
                None
            }
        };
        shared.records.end(first_record, last_record);
        shared.under_way.fetch_sub(1, Ordering::AcqRel);
        attempt
    }

    /// Asks until it is known whether the group is committed.
    async fn settle_doubt(
        &mut self,
        shared: &Arc<Shared>,
        key: GroupKey,
        group: &[Work],
        mut effects: Box<Effects>,
    ) -> Attempt {
        shared.set_health(Health::Failed);
        let mut pause = PAUSE.0;
        loop {
            let void = Void::of(group);
            match fate(&shared.connector, key, &void).await {
                Ok((session, fate)) => {
                    tracing::warn!(?fate, "group in doubt decided");
                    shared.tell(match fate {
                        Fate::Committed => SharedEvent::GroupFoundCommitted,
                        Fate::Never => SharedEvent::GroupFoundUndone,
                    });
                    self.session = prepared(session).await;
                    return match fate {
                        Fate::Committed => {
                            effects.tally = effects.tally.plus(&void.tally);
                            Attempt::Durable(effects)
                        }
                        Fate::Never => Attempt::Undone(QueryError::Late),
                    };
                }
                Err(error) if error.verdict() == Verdict::Refused => {
                    return Attempt::Refused(error);
                }
                Err(error) => {
                    tracing::debug!(error = %error.in_full(), "group still in doubt");
                    if shared.is_closing.load(Ordering::Acquire) {
                        return Attempt::Undone(error);
                    }
                }
            }
            sleep(pause).await;
            pause = pause.saturating_mul(2).min(PAUSE.1);
        }
    }
}

/// What the failure of a group that is not in doubt means.
fn undone(error: QueryError) -> Attempt {
    match error.verdict() {
        Verdict::Refused => Attempt::Refused(error),
        Verdict::Again | Verdict::Unknown => Attempt::Undone(error),
    }
}

/// A connection on which all statements of a group are prepared.
async fn connect(shared: &Shared) -> Result<Session, QueryError> {
    let session = shared.connector.connect().await?;
    session.prepare_all(&STATEMENTS).await?;
    Ok(session)
}

/// The same with one that is there; none where it has ended meanwhile.
async fn prepared(session: Session) -> Option<Session> {
    session.prepare_all(&STATEMENTS).await.is_ok().then_some(session)
}

/// The store is being closed and the database is not there.
fn refuse_all(group: Vec<Work>) -> Vec<Work> {
    group.into_iter().for_each(Work::refuse);
    Vec::new()
}

/// The server refuses a group: one piece of work is told so, of several each is to be tried by itself.
fn refuse(shared: &Shared, group: Vec<Work>, error: &QueryError) -> Vec<Work> {
    if group.len() > 1 {
        return group;
    }
    tracing::error!(error = %error.in_full(), "change refused by the database");
    let room = if error.is_full() { Room::None } else { Room::Some };
    if let Some(observer) = shared.observer.get() {
        observer.failed();
    }
    for work in group {
        if let Work::Settle(settling, _) = &work {
            for one in &settling.entries {
                shared.abandon(&one.destination, one.entry);
            }
        }
        work.fail(room);
    }
    Vec::new()
}

/// A group is durable: whoever waits is told, first of all who decides the turns.
fn conclude(shared: &Shared, group: Vec<Work>, effects: Effects, took: Duration) {
    let Effects { done, due, ended, own, owned, lost, .. } = effects;
    if shared.health() != Health::Ready {
        shared.set_health(Health::Ready);
    }
    if let Some(observer) = shared.observer.get() {
        let messages = done.iter().filter(|one| matches!(one, Done::Committed(_))).count();
        observer.committed(CommitGroup { jobs: group.len(), messages, spool: Some(took) });
    }
    for EntryId { id, number } in lost {
        tracing::warn!(queue_id = %id, entry = number, "settlement came too late");
        shared.tell(SharedEvent::SettlementLost);
    }
    shared.owned.fetch_add(owned, Ordering::AcqRel);
    shared.release(&own);
    if !due.is_empty() {
        shared.turns.due(&due);
    }
    for one in ended {
        shared.settled(&one.destination, one.entry);
    }
    let unwanted: Vec<QueueId> =
        group.into_iter().zip(done).filter_map(|(work, done)| answer(work, done)).collect();
    if !unwanted.is_empty() {
        let (answer, _) = oneshot::channel();
        if shared.jobs.send(Work::Change(Change::Void(unwanted), answer)).is_err() {
            tracing::debug!("the committer has ended");
        }
    }
}

/// Tells who waits for a piece of work; the message that nobody waits for any more.
fn answer(work: Work, done: Done) -> Option<QueueId> {
    match (work, done) {
        (Work::Accept(_, _, answer), Done::Committed(id)) => {
            answer.send(Ok(Committed::assertion(id))).is_err().then_some(id)
        }
        (Work::Change(_, answer), Done::Changed(changed)) => {
            drop(answer.send(Ok(changed)));
            None
        }
        (Work::Settle(_, answer), Done::Settled(settled)) => {
            drop(answer.send(Ok(settled)));
            None
        }
        (Work::Accept(..) | Work::Change(..) | Work::Close(_) | Work::Settle(..), _) => None,
    }
}
