//! What a group writes, as columns: each parameter of a statement is one.

use mail::QueueId;
use store::rows::{
    EntryRow, count_recipients, encode_message, encode_reasons, encode_recipients, first_state,
};
use store::{EntryId, RecordBytes};

use crate::connect::Parameter;
use crate::plan::{Entry, MessageRow, New, Plan};
use crate::rows::{big, keys, signed, small, state_number, why};
use crate::work::Prepared;

/// Records, as a column.
pub(crate) fn records<'w>(records: &[&'w RecordBytes]) -> Vec<&'w [u8]> {
    records.iter().map(|record| record.as_slice()).collect()
}

/// What is new, column by column.
#[derive(Debug, Default)]
pub(crate) struct Added<'w> {
    pub(crate) pieces: PieceColumns<'w>,
    pub(crate) messages: MessageColumns,
    pub(crate) entries: EntryColumns,
}

#[derive(Debug, Default)]
pub(crate) struct PieceColumns<'w> {
    pub(crate) ids: Vec<i64>,
    pub(crate) numbers: Vec<i32>,
    pub(crate) bytes: Vec<&'w [u8]>,
}

#[derive(Debug, Default)]
pub(crate) struct MessageColumns {
    pub(crate) ids: Vec<i64>,
    received_at: Vec<i64>,
    records: Vec<Vec<u8>>,
    states: Vec<i16>,
    pub(crate) entries: Vec<i32>,
    recipients: Vec<i32>,
    pub(crate) bytes: Vec<i64>,
    sums: Vec<i64>,
    pub(crate) pieces: Vec<i32>,
}

#[derive(Debug, Default)]
pub(crate) struct EntryColumns {
    pub(crate) ids: Vec<i64>,
    pub(crate) numbers: Vec<i32>,
    destinations: Vec<String>,
    due: Vec<Option<i64>>,
    owners: Vec<i64>,
    recipients: Vec<Vec<u8>>,
}

impl<'w> Added<'w> {
    pub(crate) fn of(new: &[New<'w>]) -> Self {
        let mut added = Self::default();
        for New { message, owner } in new {
            let id = signed(message.id);
            for (number, bytes) in &message.body.rest {
                added.pieces.ids.push(id);
                added.pieces.numbers.push(*number);
                added.pieces.bytes.push(bytes.as_slice());
            }
            added.messages.push(message);
            for (number, entry) in (0_i32..).zip(&message.entries) {
                added.entries.push(id, number, *owner, entry);
            }
        }
        added
    }
}

impl PieceColumns<'_> {
    pub(crate) fn parameters(&self) -> [Parameter<'_>; 3] {
        [&self.ids, &self.numbers, &self.bytes]
    }
}

impl MessageColumns {
    fn push(&mut self, new: &Prepared) {
        self.ids.push(signed(new.id));
        self.received_at.push(big(clock::millis(new.message.received_at)));
        self.records.push(encode_message(&new.message));
        self.states.push(state_number(&first_state(&new.entries)));
        self.entries.push(small(new.entries.len()));
        self.recipients.push(small(count_recipients(&new.entries)));
        self.bytes.push(big(new.bytes()));
        self.sums.push(i64::from(new.body.sum));
        self.pieces.push(new.body.pieces);
    }

    pub(crate) fn parameters(&self) -> [Parameter<'_>; 9] {
        [
            &self.ids,
            &self.received_at,
            &self.records,
            &self.states,
            &self.entries,
            &self.recipients,
            &self.bytes,
            &self.sums,
            &self.pieces,
        ]
    }
}

impl EntryColumns {
    fn push(&mut self, id: i64, number: i32, owner: i64, entry: &EntryRow) {
        self.ids.push(id);
        self.numbers.push(number);
        let destination = entry.destination().map(ToString::to_string);
        self.destinations.push(destination.unwrap_or_default());
        self.due.push(entry.due.map(big));
        self.owners.push(owner);
        self.recipients.push(encode_recipients(&entry.recipients));
    }

    pub(crate) fn parameters<'p>(&'p self, reasons: &'p Vec<u8>) -> [Parameter<'p>; 7] {
        [
            &self.ids,
            &self.numbers,
            &self.destinations,
            &self.due,
            &self.owners,
            &self.recipients,
            reasons,
        ]
    }
}

/// What changes or goes, column by column.
#[derive(Debug, Default)]
pub(crate) struct Changed {
    pub(crate) messages: ChangedMessages,
    pub(crate) entries: ChangedEntries,
    pub(crate) gone: Vec<i64>,
    pub(crate) gone_entries: (Vec<i64>, Vec<i32>),
}

#[derive(Debug, Default)]
pub(crate) struct ChangedMessages {
    pub(crate) ids: Vec<i64>,
    states: Vec<i16>,
    whys: Vec<Option<String>>,
    open_entries: Vec<i32>,
    open_recipients: Vec<i32>,
}

#[derive(Debug, Default)]
pub(crate) struct ChangedEntries {
    pub(crate) ids: Vec<i64>,
    pub(crate) numbers: Vec<i32>,
    due: Vec<Option<i64>>,
    owners: Vec<i64>,
    attempts: Vec<i32>,
    planned: Vec<Option<i64>>,
    by_hand: Vec<i32>,
    recipients: Vec<Vec<u8>>,
    reasons: Vec<Vec<u8>>,
}

impl Changed {
    pub(crate) fn of(plan: &Plan<'_>) -> Self {
        let mut changed = Self::default();
        for (id, locked) in plan.messages.iter().filter(|(_, locked)| locked.is_changed) {
            match &locked.row {
                Some(row) => changed.messages.push(*id, row),
                None => changed.gone.push(signed(*id)),
            }
        }
        let mut gone = Vec::new();
        for (id, locked) in plan.entries.iter().filter(|(_, locked)| locked.is_changed) {
            match &locked.row {
                Some(entry) => changed.entries.push(*id, entry),
                None => gone.push(*id),
            }
        }
        changed.gone_entries = keys(&gone);
        changed
    }
}

impl ChangedMessages {
    fn push(&mut self, id: QueueId, row: &MessageRow) {
        self.ids.push(signed(id));
        self.states.push(state_number(&row.state));
        self.whys.push(why(&row.state).map(str::to_owned));
        self.open_entries.push(small(row.open_entries));
        self.open_recipients.push(small(row.open_recipients));
    }

    pub(crate) fn parameters(&self) -> [Parameter<'_>; 5] {
        [&self.ids, &self.states, &self.whys, &self.open_entries, &self.open_recipients]
    }
}

impl ChangedEntries {
    fn push(&mut self, id: EntryId, entry: &Entry) {
        let Entry { row, reasons, owner } = entry;
        self.ids.push(signed(id.id));
        self.numbers.push(small(id.number));
        self.due.push(row.due.map(big));
        self.owners.push(*owner);
        self.attempts.push(small(row.attempts));
        self.planned.push(row.by_hand.planned.map(big));
        self.by_hand.push(small(row.by_hand.attempts));
        self.recipients.push(encode_recipients(&row.recipients));
        self.reasons.push(encode_reasons(reasons));
    }

    pub(crate) fn parameters(&self) -> [Parameter<'_>; 9] {
        [
            &self.ids,
            &self.numbers,
            &self.due,
            &self.owners,
            &self.attempts,
            &self.planned,
            &self.by_hand,
            &self.recipients,
            &self.reasons,
        ]
    }
}
