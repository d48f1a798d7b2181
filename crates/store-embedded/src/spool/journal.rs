//! The journal: what each group made of the index, between the messages in the segments.
//!
//! One `fdatasync` makes a commit group's messages and its changes durable together. The index's engine
//! follows later; after a crash it is brought up to date from here.
//!
//! The reasons: `docs/decisions/0012-journal.md`.

use store::rows::{Decoder, Encoder, Malformed};

use crate::index::{Change, Write};
use crate::key::Key;
use crate::rows::StoreRow;

/// A row that is written.
const WRITTEN: u8 = 1;

/// A row that is removed.
const REMOVED: u8 = 0;

/// The changes of one group, read back.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Changes {
    /// The store's row after the group; its mark is that of the group before.
    pub(crate) row: StoreRow,
    /// The other rows that the group wrote or removed.
    pub(crate) writes: Vec<Write>,
}

/// The changes of a commit group as bytes.
pub(crate) fn encode(row: &StoreRow, changes: &[(Key, Change)]) -> Vec<u8> {
    let mut out = Encoder::default();
    bytes(&mut out, &row.encode());
    for (key, change) in changes {
        match change.value() {
            Some(value) => {
                bytes(out.u8(WRITTEN), &key.0);
                bytes(&mut out, value);
            }
            None => bytes(out.u8(REMOVED), &key.0),
        }
    }
    out.finish()
}

/// Reads the changes of a commit group back.
pub(crate) fn decode(input: &[u8]) -> Result<Changes, Malformed> {
    let mut input = Decoder::new(input, "journal record");
    let row = StoreRow::decode(taken(&mut input)?)?;
    let mut writes = Vec::new();
    while !input.is_empty() {
        let kind = input.u8()?;
        let key = Key(taken(&mut input)?.to_vec());
        let value = match kind {
            WRITTEN => Some(taken(&mut input)?.to_vec()),
            REMOVED => None,
            _ => return Err(input.fault()),
        };
        writes.push((key, value));
    }
    Ok(Changes { row, writes })
}

/// Writes bytes behind their length; a key or a value has at most 4,096.
fn bytes(out: &mut Encoder, bytes: &[u8]) {
    out.u16(u16::try_from(bytes.len()).unwrap_or(u16::MAX)).raw(bytes);
}

/// Reads bytes behind their length.
fn taken<'a>(input: &mut Decoder<'a>) -> Result<&'a [u8], Malformed> {
    let length = usize::from(input.u16()?);
    input.raw(length)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn changes_are_read_back(
            rows in proptest::collection::vec(
                (any::<Vec<u8>>(), proptest::option::of(any::<Vec<u8>>()), any::<bool>()), 0..20,
            ),
            groups: u64,
        ) {
            let row = StoreRow { groups, ..StoreRow::empty() };
            let changes: Vec<(Key, Change)> = rows
                .into_iter()
                .map(|(key, value, is_new)| match value {
                    Some(value) if is_new => (Key(key), Change::Add(value)),
                    Some(value) => (Key(key), Change::Put(value)),
                    None => (Key(key), Change::Remove),
                })
                .collect();
            let read = decode(&encode(&row, &changes)).unwrap();
            prop_assert_eq!(read.row, row);
            let writes: Vec<Write> =
                changes.into_iter().map(|(key, change)| (key, change.into_value())).collect();
            prop_assert_eq!(read.writes, writes);
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
            let _refused = decode(&bytes);
        }
    }
}
