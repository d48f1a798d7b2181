//! A group of work as one transaction: the rows that it changes are locked and read, then all is written and
//! committed in one round trip. Work that only brings new messages needs no other.

use std::collections::BTreeSet;

use mail::QueueId;
use store::rows::encode_reasons;
use store::{Due, EntryId};
use tokio_postgres::Row;

use crate::columns::{self, Added, Changed};
use crate::connect::{Parameter, Session};
use crate::error::{QueryError, Verdict};
use crate::plan::{Context, Done, Locked, Plan};
use crate::rows::{self, entry_columns, keys, signed};
use crate::tally::Tally;
use crate::work::{EntryAt, Work};

const BEGIN_GROUP: &str = "INSERT INTO commit_group (node, number) VALUES ($1, $2)";

const LOCK_MESSAGES: &str = "SELECT id, state, why, open_entries, open_recipients, bytes \
    FROM message WHERE id = ANY($1::bigint[]) ORDER BY id FOR UPDATE";

const LOCK_ALL_ENTRIES: &str = concat!(
    "SELECT ",
    entry_columns!(),
    " FROM entry WHERE id = ANY($1::bigint[]) ORDER BY id, number FOR UPDATE"
);

const LOCK_ENTRIES: &str = concat!(
    "SELECT ",
    entry_columns!(),
    " FROM entry JOIN unnest($1::bigint[], $2::integer[]) AS wanted (id, number) \
     USING (id, number) ORDER BY id, number FOR UPDATE OF entry"
);

const COUNT_PIECES: &str = "SELECT id, count(*)::integer FROM body WHERE id = ANY($1::bigint[]) \
    GROUP BY id";

const ADD_PIECES: &str = "INSERT INTO body (id, piece, bytes) \
    SELECT * FROM unnest($1::bigint[], $2::integer[], $3::bytea[])";

const ADD_MESSAGES: &str = "INSERT INTO message (id, received_at, record, state, entries, \
    open_entries, open_recipients, bytes, body_sum, pieces) \
    SELECT id, received_at, record, state, entries, entries, recipients, bytes, body_sum, pieces \
    FROM unnest($1::bigint[], $2::bigint[], $3::bytea[], $4::smallint[], $5::integer[], \
    $6::integer[], $7::bigint[], $8::bigint[], $9::integer[]) \
    AS new (id, received_at, record, state, entries, recipients, bytes, body_sum, pieces)";

const ADD_ENTRIES: &str = "INSERT INTO entry (id, number, destination, due, owner, attempts, \
    by_hand, recipients, reasons) \
    SELECT id, number, destination, due, owner, 0, 0, recipients, $7 \
    FROM unnest($1::bigint[], $2::integer[], $3::text[], $4::bigint[], $5::bigint[], \
    $6::bytea[]) AS new (id, number, destination, due, owner, recipients)";

const CHANGE_MESSAGES: &str = "UPDATE message SET state = new.state, why = new.why, \
    open_entries = new.open_entries, open_recipients = new.open_recipients \
    FROM unnest($1::bigint[], $2::smallint[], $3::text[], $4::integer[], $5::integer[]) \
    AS new (id, state, why, open_entries, open_recipients) WHERE message.id = new.id";

const CHANGE_ENTRIES: &str = "UPDATE entry SET due = new.due, owner = new.owner, \
    attempts = new.attempts, planned = new.planned, by_hand = new.by_hand, \
    recipients = new.recipients, reasons = new.reasons \
    FROM unnest($1::bigint[], $2::integer[], $3::bigint[], $4::bigint[], $5::integer[], \
    $6::bigint[], $7::integer[], $8::bytea[], $9::bytea[]) \
    AS new (id, number, due, owner, attempts, planned, by_hand, recipients, reasons) \
    WHERE entry.id = new.id AND entry.number = new.number";

const REMOVE_ENTRIES: &str = "DELETE FROM entry USING \
    unnest($1::bigint[], $2::integer[]) AS gone (id, number) \
    WHERE entry.id = gone.id AND entry.number = gone.number";

const REMOVE_MESSAGES: &str = "DELETE FROM message WHERE id = ANY($1::bigint[])";

const REMOVE_PIECES: &str = "DELETE FROM body WHERE id = ANY($1::bigint[])";

const ADD_RECORDS: &str = "INSERT INTO record (home, number, bytes) \
    SELECT $1, number, bytes FROM unnest($2::bigint[], $3::bytea[]) AS new (number, bytes)";

const COUNT: &str = "INSERT INTO total (slot, lane, messages, recipients, bytes, waiting, \
    last_record) VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (slot, lane) DO UPDATE SET \
    messages = total.messages + excluded.messages, \
    recipients = total.recipients + excluded.recipients, \
    bytes = total.bytes + excluded.bytes, \
    last_record = greatest(total.last_record, excluded.last_record), \
    waiting = ARRAY(SELECT coalesce(before, 0) + coalesce(more, 0) \
    FROM unnest(total.waiting, excluded.waiting) AS both_of (before, more))";

/// What a connection that commits prepares.
pub(crate) const STATEMENTS: [&str; 15] = [
    BEGIN_GROUP,
    LOCK_MESSAGES,
    LOCK_ALL_ENTRIES,
    LOCK_ENTRIES,
    COUNT_PIECES,
    ADD_PIECES,
    ADD_MESSAGES,
    ADD_ENTRIES,
    CHANGE_MESSAGES,
    CHANGE_ENTRIES,
    REMOVE_ENTRIES,
    REMOVE_MESSAGES,
    REMOVE_PIECES,
    ADD_RECORDS,
    COUNT,
];

/// What names a group in the database.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GroupKey {
    /// The node's token.
    pub(crate) node: i64,
    /// Whose the records are.
    pub(crate) home: i64,
    /// The node's slot.
    pub(crate) slot: i16,
    /// Which of the node's connections commits it.
    pub(crate) lane: i16,
    /// The number of the group.
    pub(crate) number: i64,
    /// The number of the first record that it may keep; it has numbers for all that it is given.
    pub(crate) first_record: i64,
}

/// What a group has done, to be told once it is durable.
#[derive(Debug)]
pub(crate) struct Effects {
    /// What is answered to each piece of work.
    pub(crate) done: Vec<Done>,
    /// By how much the totals change.
    pub(crate) tally: Tally,
    /// What becomes due.
    pub(crate) due: Vec<Due>,
    /// The claims that end.
    pub(crate) ended: Vec<EntryAt>,
    /// The new entries that are this node's own.
    pub(crate) own: Vec<EntryAt>,
    /// How many entries more this node owns.
    pub(crate) owned: i64,
    /// The number of the last record that is kept.
    pub(crate) last_record: Option<u64>,
    /// The entries that another node had taken over.
    pub(crate) lost: Vec<EntryId>,
}

/// Why a group came to nothing, or nobody knows to what.
#[derive(Debug)]
pub(crate) enum GroupError {
    /// Before COMMIT was sent: nothing is done.
    Before(QueryError),
    /// After it was sent, with what the group would have done.
    InDoubt(QueryError, Box<Effects>),
}

/// Does a group of work, in one transaction. `reserve` is told of the new entries that are this node's own
/// before anybody can see them.
pub(crate) async fn run(
    session: &Session,
    key: GroupKey,
    group: &[Work],
    context: Context<'_>,
    reserve: impl Fn(&[EntryAt]),
) -> Result<Effects, GroupError> {
    let needs = Needs::of(group);
    if needs.is_empty() {
        let (plan, done) = enter(Plan::default(), group, context).map_err(GroupError::Before)?;
        reserve(&plan.own);
        return Box::pin(write(session, key, Begin::Now, plan, done)).await;
    }
    let locked = lock(session, &needs).await;
    let planned = locked.and_then(|plan| enter(plan, group, context));
    match planned {
        Ok((plan, done)) => {
            reserve(&plan.own);
            Box::pin(write(session, key, Begin::Begun, plan, done)).await
        }
        Err(error) => {
            // What the transaction has locked is let go with it.
            if let Err(other) = session.batch("ROLLBACK").await {
                tracing::debug!(error = %other.in_full(), "transaction not rolled back");
            }
            Err(GroupError::Before(error))
        }
    }
}

/// Whether the transaction has begun.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Begin {
    /// It has.
    Begun,
    /// It begins with what is written.
    Now,
}

/// What a group has to lock and to look at before it writes.
#[derive(Debug)]
struct Needs {
    messages: Vec<i64>,
    whole: Vec<i64>,
    entries: Vec<EntryId>,
    /// The messages of which pieces are in the database already, and how many.
    streamed: Vec<(QueueId, i32)>,
}

impl Needs {
    fn of(group: &[Work]) -> Self {
        let whole: BTreeSet<QueueId> = group.iter().flat_map(Work::messages).copied().collect();
        let entries: BTreeSet<EntryId> = group.iter().flat_map(Work::entries).collect();
        let of_entries = entries.iter().map(|entry| entry.id);
        let messages: BTreeSet<QueueId> = of_entries.chain(whole.iter().copied()).collect();
        let prepared = group.iter().filter_map(Work::prepared);
        let streamed = prepared.filter(|one| one.body.streamed > 0);
        Self {
            messages: messages.into_iter().map(signed).collect(),
            streamed: streamed.map(|one| (one.id, one.body.streamed)).collect(),
            entries: entries.into_iter().filter(|entry| !whole.contains(&entry.id)).collect(),
            whole: whole.into_iter().map(signed).collect(),
        }
    }

    fn is_empty(&self) -> bool {
        self.messages.is_empty() && self.streamed.is_empty()
    }
}

/// Begins the transaction and locks the rows that the group may change, messages first, all in the order of
/// their keys.
async fn lock<'w>(session: &Session, needs: &Needs) -> Result<Plan<'w>, QueryError> {
    let (ids, numbers) = keys(&needs.entries);
    let streamed: Vec<i64> = needs.streamed.iter().map(|(id, _)| signed(*id)).collect();
    let wanted: [Parameter<'_>; 2] = [&ids, &numbers];
    let messages: [Parameter<'_>; 1] = [&needs.messages];
    let (whole, streamed): ([Parameter<'_>; 1], [Parameter<'_>; 1]) = ([&needs.whole], [&streamed]);
    let (begun, messages, whole, entries, pieces) = tokio::join!(
        session.batch("BEGIN"),
        query(session, LOCK_MESSAGES, &needs.messages, &messages),
        query(session, LOCK_ALL_ENTRIES, &needs.whole, &whole),
        query(session, LOCK_ENTRIES, &needs.entries, &wanted),
        query(session, COUNT_PIECES, &needs.streamed, &streamed),
    );
    begun?;
    let mut plan = Plan::default();
    for row in &messages? {
        let (id, message) = rows::message(row)?;
        plan.messages.insert(id, Locked::read(message));
    }
    for row in whole?.iter().chain(&entries?) {
        let (id, entry) = rows::entry(row)?;
        plan.entries.insert(id, Locked::read(entry));
    }
    let found: Result<Vec<(i64, i32)>, QueryError> =
        pieces?.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect();
    let found = found?;
    for (id, count) in &needs.streamed {
        // A server that crashed, or another one, may not have what was not durable yet.
        if !found.contains(&(signed(*id), *count)) {
            return Err(QueryError::Pieces(*id));
        }
    }
    Ok(plan)
}

/// Asks for the rows of these keys, if there are any.
async fn query<K: Sync>(
    session: &Session,
    sql: &'static str,
    keys: &[K],
    parameters: &[Parameter<'_>],
) -> Result<Vec<Row>, QueryError> {
    if keys.is_empty() { Ok(Vec::new()) } else { session.query(sql, parameters).await }
}

/// Enters all work into the plan.
fn enter<'w>(
    mut plan: Plan<'w>,
    group: &'w [Work],
    context: Context<'_>,
) -> Result<(Plan<'w>, Vec<Done>), QueryError> {
    let done = group.iter().map(|work| plan.enter(work, context)).collect::<Result<_, _>>()?;
    Ok((plan, done))
}

/// Writes what was planned and commits it, in one round trip.
async fn write(
    session: &Session,
    key: GroupKey,
    begin: Begin,
    plan: Plan<'_>,
    done: Vec<Done>,
) -> Result<Effects, GroupError> {
    let (added, changed) = (Added::of(&plan.new), Changed::of(&plan));
    let tally = plan.tally;
    let no_reasons = encode_reasons(&[]);
    let Changed { gone, gone_entries, .. } = &changed;
    let group: [Parameter<'_>; 2] = [&key.node, &key.number];
    let (pieces, messages) = (added.pieces.parameters(), added.messages.parameters());
    let entries = added.entries.parameters(&no_reasons);
    let (kept, moved) = (changed.messages.parameters(), changed.entries.parameters());
    let done_with: [Parameter<'_>; 2] = [&gone_entries.0, &gone_entries.1];
    let (first, records) = (key.first_record, columns::records(&plan.records));
    let numbers: Vec<i64> = (first..).take(records.len()).collect();
    let last_record = numbers.last().copied();
    let kept_records: [Parameter<'_>; 3] = [&key.home, &numbers, &records];
    let gone: [Parameter<'_>; 1] = [gone];
    let written = tokio::join!(
        begin_if(session, begin),
        execute(session, BEGIN_GROUP, Some(&group)),
        execute(session, ADD_PIECES, when_any(&added.pieces.ids, &pieces)),
        execute(session, ADD_MESSAGES, when_any(&added.messages.ids, &messages)),
        execute(session, ADD_ENTRIES, when_any(&added.entries.ids, &entries)),
        execute(session, CHANGE_MESSAGES, when_any(&changed.messages.ids, &kept)),
        execute(session, CHANGE_ENTRIES, when_any(&changed.entries.ids, &moved)),
        execute(session, REMOVE_ENTRIES, when_any(&gone_entries.0, &done_with)),
        execute(session, REMOVE_MESSAGES, when_any(&changed.gone, &gone)),
        execute(session, REMOVE_PIECES, when_any(&changed.gone, &gone)),
        execute(session, ADD_RECORDS, when_any(&numbers, &kept_records)),
        count(session, key, &tally, last_record.unwrap_or(0)),
        session.batch("COMMIT"),
    );
    let effects = Effects {
        done,
        tally,
        due: plan.due,
        ended: plan.ended,
        own: plan.own,
        owned: plan.owned,
        last_record: last_record.map(rows::whole),
        lost: plan.lost,
    };
    let (a, b, c, d, e, f, g, h, i, j, k, l, committed) = written;
    // A transaction in which a statement failed is rolled back by COMMIT, which is then no commit.
    let failed = [a, b, c, d, e, f, g, h, i, j, k, l, committed].into_iter().find_map(Result::err);
    match failed {
        None => Ok(effects),
        Some(error) if error.verdict() == Verdict::Unknown => {
            Err(GroupError::InDoubt(error, Box::new(effects)))
        }
        Some(error) => Err(GroupError::Before(error)),
    }
}

/// Counts what changes in the totals, if anything does.
pub(crate) async fn count(
    session: &Session,
    key: GroupKey,
    tally: &Tally,
    last_record: i64,
) -> Result<(), QueryError> {
    if *tally == Tally::default() && last_record == 0 {
        return Ok(());
    }
    let waiting = tally.waiting.to_vec();
    let Tally { messages, recipients, bytes, .. } = tally;
    let parameters: [Parameter<'_>; 7] =
        [&key.slot, &key.lane, messages, recipients, bytes, &waiting, &last_record];
    session.execute(COUNT, &parameters).await.map(drop)
}

/// Begins the transaction, if it has not.
async fn begin_if(session: &Session, begin: Begin) -> Result<(), QueryError> {
    match begin {
        Begin::Begun => Ok(()),
        Begin::Now => session.batch("BEGIN").await,
    }
}

/// The parameters of a statement that is for these keys, if there is any.
fn when_any<'p, T>(keys: &[T], parameters: &'p [Parameter<'p>]) -> Option<&'p [Parameter<'p>]> {
    (!keys.is_empty()).then_some(parameters)
}

/// Changes rows, if there are some to be changed.
async fn execute(
    session: &Session,
    sql: &'static str,
    parameters: Option<&[Parameter<'_>]>,
) -> Result<(), QueryError> {
    match parameters {
        Some(parameters) => session.execute(sql, parameters).await.map(drop),
        None => Ok(()),
    }
}
