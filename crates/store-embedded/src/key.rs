//! The index's keys: one ordered map, one byte in front of each key for the kind of row.
//!
//! All rows live in one tree, so that one batch changes any of them at once or none.

use mail::QueueId;
use store::rows::{Decoder, Encoder, Malformed};
use store::{EntryId, RecordNumber};

/// No value in the index is longer: a longer one may become a file of its own in sled, which sled
/// never syncs.
pub(crate) const VALUE_MOST: usize = 4096;

/// A row's place in the index.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct Key(pub(crate) Vec<u8>);

impl Key {
    /// The one row of the store itself.
    pub(crate) fn store() -> Self {
        Self(b"S".to_vec())
    }

    /// A message.
    pub(crate) fn message(id: QueueId) -> Self {
        Self(Encoder::default().u8(b'M').u64(id.number()).finish())
    }

    /// An entry.
    pub(crate) fn entry(entry: EntryId) -> Self {
        Self(Encoder::default().u8(b'L').u64(entry.id.number()).u32(entry.number).finish())
    }

    /// The first key that is no longer one of the message's entries.
    pub(crate) fn after_entries(id: QueueId) -> Self {
        Self(Encoder::default().u8(b'L').u64(id.number()).u32(u32::MAX).u8(0).finish())
    }

    /// One of an entry's reasons.
    pub(crate) fn reason(entry: EntryId, number: u16) -> Self {
        Self(
            Encoder::default()
                .u8(b'R')
                .u64(entry.id.number())
                .u32(entry.number)
                .u16(number)
                .finish(),
        )
    }

    /// An entry's place among those of its destination, by the time it is due.
    pub(crate) fn due(destination: &str, due: u64, entry: EntryId) -> Self {
        let mut key = Encoder::default();
        key.u8(b'D').raw(destination.as_bytes()).u8(0);
        Self(key.u64(due).u64(entry.id.number()).u32(entry.number).finish())
    }

    /// After the last entry of a destination.
    pub(crate) fn after_destination(destination: &str) -> Self {
        Self(Encoder::default().u8(b'D').raw(destination.as_bytes()).u8(1).finish())
    }

    /// Before all rows of a kind.
    pub(crate) fn first(kind: u8) -> Self {
        Self(vec![kind])
    }

    /// After all rows of a kind.
    pub(crate) fn end(kind: u8) -> Self {
        Self(vec![kind.saturating_add(1)])
    }

    /// What recipients wait for.
    pub(crate) fn waiting() -> Self {
        Self(b"W".to_vec())
    }

    /// What is alive in a segment.
    pub(crate) fn segment(segment: u32) -> Self {
        Self(Encoder::default().u8(b'G').u32(segment).finish())
    }

    /// A body file that may be unlinked.
    pub(crate) fn finished_body(id: QueueId) -> Self {
        Self(Encoder::default().u8(b'B').u64(id.number()).finish())
    }

    /// The number of the last delivery record.
    pub(crate) fn last_record() -> Self {
        Self(b"E".to_vec())
    }

    /// A piece of a delivery record.
    pub(crate) fn record(number: RecordNumber, piece: u16) -> Self {
        Self(Encoder::default().u8(b'E').u64(number).u16(piece).finish())
    }

    /// The key that follows this one.
    pub(crate) fn next(&self) -> Self {
        let mut bytes = self.0.clone();
        bytes.push(0);
        Self(bytes)
    }

    /// Whether it is a message's.
    pub(crate) fn is_message(&self) -> bool {
        self.0.first() == Some(&b'M')
    }

    /// Whether it is a value's.
    pub(crate) fn is_value(&self) -> bool {
        self.0.first() == Some(&b'F')
    }

    /// Whether it is of delivery records.
    pub(crate) fn is_of_records(&self) -> bool {
        self.0.first() == Some(&b'E')
    }

    /// The delivery record that the key of one of its pieces names.
    pub(crate) fn record_number(&self) -> Result<RecordNumber, Malformed> {
        let mut input = Decoder::new(&self.0, "record key");
        input.u8()?;
        let number = input.u64()?;
        input.u16()?;
        input.end()?;
        Ok(number)
    }

    /// The message that a message's key names.
    pub(crate) fn message_id(&self) -> Result<QueueId, Malformed> {
        let mut input = Decoder::new(&self.0, "key");
        input.u8()?;
        let id = input.u64()?;
        input.end()?;
        Ok(QueueId::from_number(id))
    }

    /// The entry that an entry's key names.
    pub(crate) fn entry_id(&self) -> Result<EntryId, Malformed> {
        let mut input = Decoder::new(&self.0, "entry key");
        input.u8()?;
        let (id, number) = (input.u64()?, input.u32()?);
        input.end()?;
        Ok(EntryId { id: QueueId::from_number(id), number })
    }

    /// The segment that a segment's key names.
    pub(crate) fn segment_number(&self) -> Result<u32, Malformed> {
        let mut input = Decoder::new(&self.0, "segment key");
        input.u8()?;
        let segment = input.u32()?;
        input.end()?;
        Ok(segment)
    }

    /// What a due key says.
    pub(crate) fn due_entry(&self) -> Result<DueEntry, Malformed> {
        let malformed = Malformed("due key");
        let (name, place) = self.due_parts()?;
        let destination = String::from_utf8(name.to_vec()).map_err(|_cause| malformed)?;
        Ok(DueEntry { destination, due: place.due, entry: place.entry })
    }

    /// What a due key says of when.
    pub(crate) fn due_position(&self) -> Result<DuePosition, Malformed> {
        Ok(self.due_parts()?.1)
    }

    /// A due key's destination and what follows it.
    fn due_parts(&self) -> Result<(&[u8], DuePosition), Malformed> {
        let malformed = Malformed("due key");
        let body = self.0.get(1..).ok_or(malformed)?;
        let end = body.iter().position(|byte| *byte == 0).ok_or(malformed)?;
        let (name, rest) = body.split_at_checked(end).ok_or(malformed)?;
        let mut input = Decoder::new(rest, "due key");
        input.u8()?;
        let (due, id, number) = (input.u64()?, input.u64()?, input.u32()?);
        input.end()?;
        Ok((name, DuePosition { due, entry: EntryId { id: QueueId::from_number(id), number } }))
    }
}

/// An entry's position in the due index among those of its destination.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct DuePosition {
    /// When it is due, in milliseconds since 1970.
    pub(crate) due: u64,
    /// The entry.
    pub(crate) entry: EntryId,
}

impl DuePosition {
    /// Before all entries that are due at `due`.
    pub(crate) const fn first_at(due: u64) -> Self {
        Self { due, entry: EntryId::FIRST }
    }

    /// After this one, and before any other.
    pub(crate) const fn next(self) -> Self {
        let EntryId { id, number } = self.entry;
        Self { due: self.due, entry: EntryId { id, number: number.saturating_add(1) } }
    }
}

/// An entry in the due index.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct DueEntry {
    /// Its destination.
    pub(crate) destination: String,
    /// When it is due, in milliseconds since 1970.
    pub(crate) due: u64,
    /// The entry.
    pub(crate) entry: EntryId,
}
