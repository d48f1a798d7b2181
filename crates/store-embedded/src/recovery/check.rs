//! Whether the index agrees with itself, after a process that did not close it.

use std::collections::BTreeMap;

use mail::{QueueId, State};
use store::rows::EntryRow;
use store::{EntryId, Waiting};

use crate::index::{EngineError, Lookup, Row, for_each};
use crate::key::Key;
use crate::rows::{MessageRow, RecordLocation, SegmentRow, StoreRow};
use crate::waiting::count_in;

/// How many rows are read at a time.
const SLICE: usize = 512;

/// Reads all messages and entries and compares them with each other and with the store's numbers; what
/// recipients wait for, counted on the way.
pub(crate) fn check(engine: &dyn Lookup, store: &StoreRow) -> Result<Waiting, EngineError> {
    let mut counted = StoreRow::empty();
    let mut alive: BTreeMap<u32, SegmentRow> = BTreeMap::new();
    let mut entries = Rows::new(engine, Key::first(b'L'), Key::end(b'L'));
    let (mut due, mut waiting) = (0_u64, Waiting::NOBODY);
    for_each(engine, Key::first(b'M'), &Key::end(b'M'), |key, value| {
        let id = key.message_id()?;
        let message = MessageRow::decode(&value)?;
        let (mut open_entries, mut recipients) = (0_u32, 0_u64);
        while let Some((entry_id, entry)) = entries.next_entry_up_to(id)? {
            open_entries = open_entries.saturating_add(1);
            recipients =
                recipients.saturating_add(u64::try_from(entry.recipients.len()).unwrap_or(0));
            count_in(&mut waiting, &entry);
            due = due.saturating_add(check_entry(engine, entry_id, &entry, &message)?);
        }
        if open_entries != message.open_entries || recipients != u64::from(message.open_recipients)
        {
            return Err(disagreement(&format!("message {id} and its recipients")));
        }
        count(&mut counted, &mut alive, &message);
        Ok(())
    })?;
    if entries.peek()?.is_some() {
        return Err(disagreement("recipients without a message"));
    }
    compare(store, &counted)?;
    compare_segments(engine, &alive)?;
    let mut entries = 0_u64;
    for_each(engine, Key::first(b'D'), &Key::end(b'D'), |_, _| {
        entries = entries.saturating_add(1);
        Ok(())
    })?;
    if entries == due { Ok(waiting) } else { Err(disagreement("the due index and the recipients")) }
}

/// Whether an entry is where its time says; 1 if it is in the due index.
fn check_entry(
    engine: &dyn Lookup,
    entry_id: EntryId,
    entry: &EntryRow,
    message: &MessageRow,
) -> Result<u64, EngineError> {
    let Some(due) = entry.due else {
        let is_held = message.state != State::Queued;
        return if is_held { Ok(0) } else { Err(disagreement("an entry that is never due")) };
    };
    let key = Key::due(&entry.destination()?.to_string(), due, entry_id);
    if engine.find(&key)?.is_some() {
        Ok(1)
    } else {
        Err(disagreement("an entry and the due index"))
    }
}

/// Counts a message.
fn count(store: &mut StoreRow, alive: &mut BTreeMap<u32, SegmentRow>, message: &MessageRow) {
    store.messages = store.messages.saturating_add(1);
    store.entries = store.entries.saturating_add(message.open_entries.into());
    store.recipients = store.recipients.saturating_add(message.open_recipients.into());
    store.bytes = store.bytes.saturating_add(message.record_size());
    if let RecordLocation::Segment { segment, .. } = message.place {
        let row = alive.entry(segment).or_default();
        row.messages = row.messages.saturating_add(1);
        row.bytes = row.bytes.saturating_add(message.record_size());
    }
}

/// Compares the store's numbers with what was counted.
fn compare(store: &StoreRow, counted: &StoreRow) -> Result<(), EngineError> {
    let numbers = |row: &StoreRow| [row.messages, row.entries, row.recipients, row.bytes];
    if numbers(store) == numbers(counted) {
        Ok(())
    } else {
        Err(disagreement("the store's numbers and its messages"))
    }
}

/// Compares the segments' numbers with what was counted.
fn compare_segments(
    engine: &dyn Lookup,
    alive: &BTreeMap<u32, SegmentRow>,
) -> Result<(), EngineError> {
    let mut rows = BTreeMap::new();
    for_each(engine, Key::first(b'G'), &Key::end(b'G'), |key, value| {
        let row = SegmentRow::decode(&value)?;
        if row.messages > 0 {
            rows.insert(key.segment_number()?, row);
        }
        Ok(())
    })?;
    if rows == *alive { Ok(()) } else { Err(disagreement("the segments and the messages")) }
}

/// The index disagrees with itself.
fn disagreement(between: &str) -> EngineError {
    EngineError::Damaged(format!("disagreement: {between}"))
}

/// Rows, one after the other.
#[derive(Debug)]
struct Rows<'a> {
    engine: &'a dyn Lookup,
    from: Key,
    until: Key,
    slice: std::vec::IntoIter<Row>,
    next: Option<Row>,
}

impl<'a> Rows<'a> {
    /// The rows from `from` on and before `until`.
    fn new(engine: &'a dyn Lookup, from: Key, until: Key) -> Self {
        Self { engine, from, until, slice: Vec::new().into_iter(), next: None }
    }

    /// The next row, without passing it.
    fn peek(&mut self) -> Result<Option<&Row>, EngineError> {
        if self.next.is_none() {
            self.next = self.slice.next();
        }
        if self.next.is_none() {
            let rows = self.engine.scan(&self.from, &self.until, SLICE)?;
            if let Some((last, _)) = rows.last() {
                self.from = last.next();
            }
            self.slice = rows.into_iter();
            self.next = self.slice.next();
        }
        Ok(self.next.as_ref())
    }

    /// The next entry, if it belongs to message `id`; one of an earlier message has none.
    fn next_entry_up_to(
        &mut self,
        id: QueueId,
    ) -> Result<Option<(EntryId, EntryRow)>, EngineError> {
        let Some((key, value)) = self.peek()? else { return Ok(None) };
        let entry_id = key.entry_id()?;
        if entry_id.id > id {
            return Ok(None);
        }
        if entry_id.id < id {
            return Err(disagreement("recipients without a message"));
        }
        let entry = EntryRow::decode(value)?;
        self.next = None;
        Ok(Some((entry_id, entry)))
    }
}
