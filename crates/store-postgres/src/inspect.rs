//! Looking into the store by hand.

use std::collections::BTreeMap;
use std::time::Duration;

use mail::{Message, QueueId, State};
use store::rows::{Depths, EntryRow, decode_message, entry_details, summary};
use store::{
    Counted, Counts, Depth, Details, EntryId, Filter, Matching, StateKind, StoreError, Summary,
};

use crate::connect::Session;
use crate::error::QueryError;
use crate::plan::Entry;
use crate::rows::{self, entry_columns, id, keys, signed, state, state_number, whole};
use crate::shared::Shared;

/// How many messages or entries are read at a time.
const SLICE: i64 = 512;

const MESSAGES: &str = "SELECT id, record, state, why, open_recipients FROM message \
    WHERE id > $1 AND ($2::smallint IS NULL OR state = $2) AND received_at <= $3 \
    ORDER BY id LIMIT $4";

const MESSAGE: &str = "SELECT id, record, state, why, open_recipients FROM message WHERE id = $1";

const ENTRIES: &str = concat!(
    "SELECT ",
    entry_columns!(),
    " FROM entry WHERE id = ANY($1::bigint[]) ORDER BY id, number"
);

const ALL_ENTRIES: &str = concat!(
    "SELECT ",
    entry_columns!(),
    " FROM entry WHERE (id, number) > ($1, $2) ORDER BY id, number LIMIT $3"
);

const COUNTS: &str = "SELECT state, count(*), min(received_at) FROM message GROUP BY state";

const OPEN: &str = "SELECT open_recipients FROM message WHERE id = $1";

/// A message as it is listed.
struct Listed {
    id: QueueId,
    message: Message,
    state: State,
    open_recipients: u32,
}

fn listed(row: &tokio_postgres::Row) -> Result<Listed, QueryError> {
    let open: i32 = row.try_get("open_recipients")?;
    Ok(Listed {
        id: id(row.try_get("id")?),
        message: decode_message(row.try_get("record")?)?,
        state: state(row.try_get("state")?, row.try_get("why")?),
        open_recipients: u32::try_from(open).unwrap_or(0),
    })
}

/// Up to `limit` messages that meet `filter`, oldest first, after `after` if given.
pub(crate) async fn list(
    shared: &Shared,
    filter: &Filter,
    after: Option<QueueId>,
    limit: usize,
) -> Result<Vec<Summary>, StoreError> {
    let mut found = Vec::new();
    let mut pages = Pages::new(shared, filter, after);
    while found.len() < limit {
        let Some(page) = pages.next().await? else { break };
        for (message, entries) in page {
            if found.len() < limit {
                found.extend(summary_of(message, &entries, filter));
            }
        }
    }
    Ok(found)
}

/// How many messages meet `filter`.
pub(crate) async fn matching(shared: &Shared, filter: &Filter) -> Result<Matching, StoreError> {
    let mut found = Matching::default();
    let mut pages = Pages::new(shared, filter, None);
    while let Some(page) = pages.next().await? {
        for (message, entries) in page {
            let id = message.id;
            if summary_of(message, &entries, filter).is_some() {
                found = Matching { messages: found.messages.saturating_add(1), last: Some(id) };
            }
        }
    }
    Ok(found)
}

/// A message in short, if its recipients meet the filter.
fn summary_of(message: Listed, entries: &[(EntryId, Entry)], filter: &Filter) -> Option<Summary> {
    let Listed { id, message, state, open_recipients } = message;
    let rows: Vec<(EntryId, EntryRow)> =
        entries.iter().map(|(id, entry)| (*id, entry.row.clone())).collect();
    let reason = |of: EntryId, which| {
        let entry = entries.iter().find(|(id, _)| *id == of);
        Ok::<_, std::convert::Infallible>(entry.and_then(|(_, entry)| entry.reason(which)))
    };
    match summary((id, message, state), open_recipients, &rows, filter, reason) {
        Ok(summary) => summary,
    }
}

/// The messages that meet a filter as far as they say it themselves, page by page, with their entries.
struct Pages<'a> {
    shared: &'a Shared,
    filter: &'a Filter,
    from: i64,
}

impl<'a> Pages<'a> {
    fn new(shared: &'a Shared, filter: &'a Filter, after: Option<QueueId>) -> Self {
        Self { shared, filter, from: after.map_or(-1, signed) }
    }

    /// The next page; none at the end.
    async fn next(&mut self) -> Result<Option<Vec<(Listed, Vec<(EntryId, Entry)>)>>, QueryError> {
        let session = self.shared.reader.session().await?;
        let now = self.shared.clock.now();
        let wanted = self.filter.state.map(kind_number);
        let latest = now.checked_sub(self.filter.older_than.unwrap_or_default());
        let latest = match self.filter.older_than {
            Some(_) => latest.map_or(0, |latest| rows::big(clock::millis(latest))),
            None => i64::MAX,
        };
        let parameters: [crate::connect::Parameter<'_>; 4] = [&self.from, &wanted, &latest, &SLICE];
        let rows = session.query(MESSAGES, &parameters).await?;
        let messages = rows.iter().map(listed).collect::<Result<Vec<_>, _>>()?;
        let Some(last) = messages.last() else { return Ok(None) };
        self.from = signed(last.id);
        let admits = |one: &Listed| self.filter.admits_message(&one.message, &one.state, now);
        let messages: Vec<Listed> = messages.into_iter().filter(admits).collect();
        let ids: Vec<QueueId> = messages.iter().map(|message| message.id).collect();
        let mut entries = entries_of(&session, &ids).await?;
        let with_entries = |message: Listed| {
            let of_message = entries.remove(&message.id).unwrap_or_default();
            (message, of_message)
        };
        Ok(Some(messages.into_iter().map(with_entries).collect()))
    }
}

/// The number of a kind of state.
fn kind_number(kind: StateKind) -> i16 {
    match kind {
        StateKind::HeldByStaging => state_number(&State::HeldByStaging),
        StateKind::OnHold => state_number(&State::OnHold),
        StateKind::Quarantined => state_number(&State::Quarantined { why: String::new() }),
        StateKind::Queued => state_number(&State::Queued),
    }
}

/// The entries of messages.
pub(crate) async fn entries_of(
    session: &Session,
    ids: &[QueueId],
) -> Result<BTreeMap<QueueId, Vec<(EntryId, Entry)>>, QueryError> {
    let ids: Vec<i64> = ids.iter().copied().map(signed).collect();
    let mut found: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for row in &session.query(ENTRIES, &[&ids]).await? {
        let (id, entry) = rows::entry(row)?;
        found.entry(id.id).or_default().push((id, entry));
    }
    Ok(found)
}

/// All about one message.
pub(crate) async fn show(shared: &Shared, of: QueueId) -> Result<Option<Details>, StoreError> {
    Ok(details(shared, of).await?)
}

async fn details(shared: &Shared, of: QueueId) -> Result<Option<Details>, QueryError> {
    let session = shared.reader.session().await?;
    let rows = session.query(MESSAGE, &[&signed(of)]).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let Listed { id, message, state, .. } = listed(row)?;
    let entries = entries_of(&session, &[of]).await?.remove(&of).unwrap_or_default();
    let entries: Result<Vec<_>, QueryError> = entries
        .iter()
        .map(|(_, entry)| entry_details(&entry.row, |which| Ok(entry.reason(which))))
        .collect();
    let file = format!("{}.message", shared.settings.schema.as_str());
    Ok(Some(Details { id, message, state, file, entries: entries? }))
}

/// How many recipients of a message are not settled.
pub(crate) async fn open_recipients(shared: &Shared, of: QueueId) -> Result<usize, StoreError> {
    let read = async {
        let session = shared.reader.session().await?;
        let open: Vec<i32> = crate::node::column(&session.query(OPEN, &[&signed(of)]).await?)?;
        Ok::<_, QueryError>(open.first().copied().unwrap_or(0))
    };
    Ok(usize::try_from(read.await?).unwrap_or(0))
}

/// How many messages are in each state, and how old the oldest is.
pub(crate) async fn counts(shared: &Shared) -> Result<Counts, StoreError> {
    let read = async {
        let session = shared.reader.session().await?;
        let now = shared.now();
        let mut counts = Counts::default();
        for row in &session.query(COUNTS, &[]).await? {
            let counted = match state(row.try_get(0)?, None) {
                State::HeldByStaging => &mut counts.held_by_staging,
                State::OnHold => &mut counts.on_hold,
                State::Quarantined { .. } => &mut counts.quarantined,
                State::Queued => &mut counts.queued,
            };
            let (messages, oldest): (i64, i64) = (row.try_get(1)?, row.try_get(2)?);
            let oldest = Duration::from_millis(now.saturating_sub(whole(oldest)));
            *counted = Counted { messages: whole(messages), oldest };
        }
        Ok::<_, QueryError>(counts)
    };
    Ok(read.await?)
}

/// How much is queued for each destination.
pub(crate) async fn depths(shared: &Shared) -> Result<Vec<Depth>, StoreError> {
    let read = async {
        let session = shared.reader.session().await?;
        let (mut depths, mut from) = (Depths::at(shared.clock.now()), (-1_i64, -1_i32));
        loop {
            let rows = session.query(ALL_ENTRIES, &[&from.0, &from.1, &SLICE]).await?;
            for row in &rows {
                let (id, entry) = rows::entry(row)?;
                depths.add(id, &entry.row)?;
                from = (row.try_get("id")?, row.try_get("number")?);
            }
            if rows.is_empty() {
                break;
            }
        }
        let depths = depths.sorted();
        let samples = reasons(&session, &depths.samples().collect::<Vec<_>>()).await?;
        depths.finish(|entry, which| Ok(samples.get(&entry).and_then(|entry| entry.reason(which))))
    };
    read.await.map_err(|error: QueryError| StoreError::from(error))
}

const SAMPLES: &str = concat!(
    "SELECT ",
    entry_columns!(),
    " FROM entry JOIN unnest($1::bigint[], $2::integer[]) AS wanted (id, number) \
     USING (id, number)"
);

/// The entries that have the reasons which are shown.
async fn reasons(
    session: &Session,
    samples: &[EntryId],
) -> Result<BTreeMap<EntryId, Entry>, QueryError> {
    let (ids, numbers) = keys(samples);
    let rows = session.query(SAMPLES, &[&ids, &numbers]).await?;
    rows.iter().map(rows::entry).collect()
}
