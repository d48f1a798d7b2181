//! The row of a segment.

use store::rows::{Decoder, Encoder, Malformed};

/// What is alive in one segment.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct SegmentRow {
    /// Messages.
    pub(crate) messages: u64,
    /// The bytes of their records.
    pub(crate) bytes: u64,
}

impl SegmentRow {
    /// The row as bytes.
    pub(crate) fn encode(self) -> Vec<u8> {
        Encoder::default().u64(self.messages).u64(self.bytes).finish()
    }

    /// Reads the row back.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut input = Decoder::new(bytes, "segment row");
        let row = Self { messages: input.u64()?, bytes: input.u64()? };
        input.end()?;
        Ok(row)
    }
}
