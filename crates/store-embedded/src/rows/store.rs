//! The store's own row.

use store::rows::{Decoder, Encoder, Malformed};

use mail::QueueId;

/// The store's own row: rewritten in every batch.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct StoreRow {
    /// The highest id that may have been given.
    pub(crate) reserved: QueueId,
    /// The segment up to which the spool is indexed.
    pub(crate) mark_segment: u32,
    /// How far that segment is indexed.
    pub(crate) mark_offset: u64,
    /// How many messages there are.
    pub(crate) messages: u64,
    /// How many entries there are.
    pub(crate) entries: u64,
    /// How many recipients are left.
    pub(crate) recipients: u64,
    /// The bytes of all records.
    pub(crate) bytes: u64,
    /// How many batches there have been.
    pub(crate) groups: u64,
}

/// The format of the index.
const INDEX_FORMAT: u16 = 1;

impl StoreRow {
    /// The row of an empty store.
    pub(crate) const fn empty() -> Self {
        Self {
            reserved: QueueId::from_number(0),
            mark_segment: 0,
            mark_offset: 0,
            messages: 0,
            entries: 0,
            recipients: 0,
            bytes: 0,
            groups: 0,
        }
    }

    /// The row as bytes.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::default();
        out.u16(INDEX_FORMAT).u64(self.reserved.number());
        out.u32(self.mark_segment).u64(self.mark_offset);
        out.u64(self.messages).u64(self.entries).u64(self.recipients).u64(self.bytes);
        out.u64(self.groups).finish()
    }

    /// Reads the row back.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut input = Decoder::new(bytes, "store row");
        if input.u16()? != INDEX_FORMAT {
            return Err(input.fault());
        }
        let row = Self {
            reserved: QueueId::from_number(input.u64()?),
            mark_segment: input.u32()?,
            mark_offset: input.u64()?,
            messages: input.u64()?,
            entries: input.u64()?,
            recipients: input.u64()?,
            bytes: input.u64()?,
            groups: input.u64()?,
        };
        input.end()?;
        Ok(row)
    }
}
