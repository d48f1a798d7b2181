//! What a node does by itself: it renews its lease, learns what the others do, and tidies up.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use clock::{Clock as _, SystemClock, millis};
use store::{Due, Health, SharedEvent, StoreError};
use tokio::time::{Instant, sleep};

use crate::connect::Session;
use crate::edits::{self, ask, keys_of};
use crate::error::{OpenError, QueryError};
use crate::node;
use crate::rows::{big, signed, whole};
use crate::settings::Standby;
use crate::shared::Shared;
use crate::values;
use crate::work::Change;

/// How often a node looks at what others have done.
const TICK: Duration = Duration::from_secs(1);

/// A look at what is due comes at most after so many times what it took.
const SHARE: u32 = 50;

/// How often rows are cleared away that nobody needs any more.
const SWEEP: Duration = Duration::from_secs(60);

/// The destinations that have entries, by one look into the index for each, with the first that is due and
/// free and the last of all.
const DESTINATIONS: &str = "WITH RECURSIVE at AS (\
    (SELECT destination FROM entry ORDER BY destination LIMIT 1) UNION ALL \
    SELECT (SELECT destination FROM entry WHERE entry.destination > at.destination \
    ORDER BY destination LIMIT 1) FROM at WHERE at.destination IS NOT NULL) \
    SELECT at.destination, first.due, last.due FROM at \
    LEFT JOIN LATERAL (SELECT due FROM entry WHERE entry.destination = at.destination \
    AND due <= $1 AND owner = ANY($2::bigint[]) ORDER BY due LIMIT 1) AS first ON true \
    LEFT JOIN LATERAL (SELECT due FROM entry WHERE entry.destination = at.destination \
    AND due IS NOT NULL ORDER BY due DESC LIMIT 1) AS last ON true \
    WHERE at.destination IS NOT NULL AND (first.due IS NOT NULL OR last.due > $3)";

const TOO_LATE: &str = "SELECT id, number FROM entry WHERE destination = $1 AND due > $2 \
    ORDER BY id, number LIMIT $3";

/// Goes on until the store is gone.
pub(crate) async fn watch(
    shared: Weak<Shared>,
    session: Session,
    (store, entered): (i64, Duration),
) {
    let mut watch = Watch {
        store,
        session: Some(session),
        renewed: entered,
        // Nobody is declared dead within one lease after a connection was made: all must be able to renew
        // first.
        since: Instant::now(),
        swept: Instant::now(),
        looked: Instant::now(),
        pause: Duration::ZERO,
    };
    loop {
        sleep(TICK).await;
        let Some(shared) = shared.upgrade() else { return };
        if shared.health() == Health::Closed {
            return;
        }
        match watch.tick(&shared).await {
            Ok(()) => shared.set_health(Health::Ready),
            Err(error) => {
                tracing::warn!(%error, "database not reached");
                shared.tell(SharedEvent::DatabaseNotReached);
                watch.session = None;
                shared.set_health(Health::Failed);
            }
        }
        tell_ownership(&shared);
    }
}

/// What the watch knows.
struct Watch {
    store: i64,
    session: Option<Session>,
    /// When the last renewal that succeeded was sent, since the machine started: a time that no clock that is
    /// set changes, and that goes on while the machine sleeps.
    renewed: Duration,
    /// Since when the connection is there.
    since: Instant,
    swept: Instant,
    looked: Instant,
    /// How long after a look the next one may come.
    pause: Duration,
}

impl Watch {
    /// Looks at everything once.
    async fn tick(&mut self, shared: &Arc<Shared>) -> Result<(), OpenError> {
        let was_there = self.session.as_ref().is_some_and(|session| !session.is_closed());
        let session = match self.session.take().filter(|session| !session.is_closed()) {
            Some(session) => session,
            None => shared.connector.connect().await?,
        };
        if !was_there {
            self.since = Instant::now();
        }
        if !was_there {
            check_standby(&session, shared.settings.standby).await?;
        }
        self.renew(shared, &session).await?;
        self.look_after_others(shared, &session).await?;
        values::learn_all(shared, &session).await?;
        count(shared, &session).await?;
        if !was_there {
            shared.turns.reopened(all_due(&session, shared).await?);
        }
        if self.looked.elapsed() >= self.pause {
            let began = Instant::now();
            look_for_due(shared, &session).await?;
            let took = began.elapsed();
            self.pause =
                if took < TICK / 100 { Duration::ZERO } else { took.saturating_mul(SHARE) };
            self.looked = Instant::now();
        }
        forget_pieces(shared, &session).await?;
        if self.swept.elapsed() >= SWEEP {
            self.swept = Instant::now();
            sweep(&session).await?;
        }
        self.session = Some(session);
        Ok(())
    }

    /// Renews the lease, and the ids that may be given. Who was declared dead becomes another node: what it
    /// had may be others' by now.
    async fn renew(&mut self, shared: &Arc<Shared>, session: &Session) -> Result<(), OpenError> {
        let identity = shared.identity();
        if let Some(wanted) = identity.ids.wants(shared.clock.now()) {
            node::reserve(session, identity.slot, signed(wanted)).await?;
            identity.ids.reserve(wanted);
        }
        let lease = shared.settings.lease;
        let sent = SystemClock.since_boot();
        if sent.saturating_sub(self.renewed) < lease / 6 {
            return Ok(());
        }
        if node::renew(session, identity.token(), lease).await? {
            self.renewed = sent;
            shared.renewed(sent);
            return Ok(());
        }
        tracing::warn!(node = shared.settings.node, "node was declared dead");
        shared.tell(SharedEvent::DeclaredDead);
        let (settings, clock) = (&shared.settings, shared.clock.as_ref());
        let entered =
            node::register(session, settings, self.store, clock, &identity.tokens).await?;
        shared.become_another(entered.identity, entered.tally);
        self.renewed = sent;
        shared.renewed(sent);
        Ok(())
    }

    /// Finds out who is dead.
    async fn look_after_others(
        &self,
        shared: &Shared,
        session: &Session,
    ) -> Result<(), QueryError> {
        if self.since.elapsed() >= shared.settings.lease {
            for (token, name) in node::declare_dead(session).await? {
                tracing::warn!(node = name, token, "node taken over");
                shared.tell(SharedEvent::NodeTakenOver);
            }
        }
        shared.set_dead(&node::dead(session).await?);
        let is_eldest = node::eldest(session).await? == Some(shared.identity().token());
        shared.is_eldest.store(is_eldest, Ordering::Release);
        Ok(())
    }
}

/// Says when the lease is not to be trusted any more, and when it is again.
fn tell_ownership(shared: &Shared) {
    let now = shared.ownership_now();
    shared.ownership.send_if_modified(|before| {
        let is_other = *before != now;
        if is_other {
            tracing::warn!(ownership = ?now, "ownership changed");
        }
        *before = now;
        is_other
    });
}

/// Finds out whether a standby confirms each commit, and refuses to go on where one has to.
pub(crate) async fn check_standby(session: &Session, standby: Standby) -> Result<(), OpenError> {
    let sql = "SELECT current_setting('synchronous_standby_names') <> ''";
    let rows = session.query(sql, &[]).await?;
    let is_confirmed = node::column::<bool>(&rows)?.contains(&true);
    match (is_confirmed, standby) {
        (true, Standby::Any | Standby::Required) => Ok(()),
        (false, Standby::Any) => {
            tracing::info!("no standby confirms commits");
            Ok(())
        }
        (false, Standby::Required) => Err(OpenError::Standby),
    }
}

/// Reads the totals: the others', and this node's own if no group of it was under way meanwhile.
async fn count(shared: &Shared, session: &Session) -> Result<(), QueryError> {
    let before = shared.quiet();
    let tallies = node::tallies(session, shared.identity().slot).await?;
    let is_quiet = before.is_some() && before == shared.quiet();
    shared.set_tallies(tallies.others, is_quiet.then_some(tallies.own));
    Ok(())
}

/// Every destination that has entries, and when the first that is free is due.
pub(crate) async fn all_due(session: &Session, shared: &Shared) -> Result<Vec<Due>, QueryError> {
    let free = shared.free_for_claims();
    let rows = session.query(DESTINATIONS, &[&i64::MAX, &free, &i64::MAX]).await?;
    let due = rows.iter().map(|row| {
        let at: Option<i64> = row.try_get(1)?;
        Ok(at.map(|at| Ok::<_, QueryError>(Due { destination: row.try_get(0)?, at: whole(at) })))
    });
    due.filter_map(Result::transpose).map(|due| due.and_then(|due| due)).collect()
}

/// Tells of what others have left that is due, and brings forward what is due later than may be.
async fn look_for_due(shared: &Arc<Shared>, session: &Session) -> Result<(), OpenError> {
    let now = shared.now();
    let latest = shared
        .clock
        .now()
        .checked_add(shared.longest_wait())
        .map_or(i64::MAX, |latest| big(millis(latest)));
    let parameters: [crate::connect::Parameter<'_>; 3] =
        [&big(now), &shared.free_for_all(), &latest];
    let (mut due, mut late) = (Vec::new(), Vec::new());
    for row in &session.query(DESTINATIONS, &parameters).await? {
        let destination: String = row.try_get(0).map_err(QueryError::from)?;
        let first: Option<i64> = row.try_get(1).map_err(QueryError::from)?;
        let last: Option<i64> = row.try_get(2).map_err(QueryError::from)?;
        if last.is_some_and(|last| last > latest) {
            late.push(destination.clone());
        }
        due.extend(first.map(|at| Due { destination, at: whole(at) }));
    }
    if !due.is_empty() {
        shared.turns.due(&due);
    }
    for destination in late {
        let rows = session.query(TOO_LATE, &[&destination, &latest, &edits::SLICE]).await?;
        match ask(shared, Change::Forward(keys_of(&rows)?, now)).await {
            Ok(_) => {}
            Err(StoreError::Closed) => return Ok(()),
            Err(error) => tracing::warn!(error = %error.in_full(), "entries not brought forward"),
        }
    }
    Ok(())
}

/// Deletes the pieces of messages that were given up.
async fn forget_pieces(shared: &Shared, session: &Session) -> Result<(), QueryError> {
    let ids: Vec<i64> = shared.take_leftovers().into_iter().map(signed).collect();
    if !ids.is_empty() {
        let sql = "DELETE FROM body WHERE id = ANY($1::bigint[]) \
                   AND NOT EXISTS (SELECT 1 FROM message WHERE message.id = body.id)";
        session.execute(sql, &[&ids]).await?;
    }
    Ok(())
}

/// Clears away what nobody needs any more: verdicts that nobody asks for now, the dead who own nothing, and
/// pieces of messages whose node died while it received them.
async fn sweep(session: &Session) -> Result<(), QueryError> {
    let sql = "DELETE FROM commit_group WHERE at < clock_timestamp() - interval '1 hour'";
    session.execute(sql, &[]).await?;
    node::forget_dead(session).await?;
    let sql = "DELETE FROM body WHERE id < (extract(epoch FROM clock_timestamp() \
               - interval '2 days') * 1000)::bigint << 20 \
               AND NOT EXISTS (SELECT 1 FROM message WHERE message.id = body.id)";
    session.execute(sql, &[]).await.map(drop)
}
