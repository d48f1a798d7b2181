//! A record of the spool: a message (header, envelope, body), or the changes of a commit group (header,
//! changes). A message's record is the copy that must survive.
//!
//! The header names its store by a random number, so that bytes inside a body that look like a
//! record are never taken for one when a damaged segment is searched for what is still whole.

use std::time::SystemTime;

use clock::{millis, time};
use mail::QueueId;
use store::rows::{Decoder, ENVELOPE_MOST, Encoder, Malformed};

/// How every record begins.
pub(crate) const MAGIC: [u8; 8] = *b"\x8fSTSMAIL";

/// The version of the format written here.
const VERSION: u16 = 1;

/// The size of a header in bytes.
pub(crate) const HEADER_SIZE: usize = 64;

/// The size of a header in bytes, as an offset.
pub(crate) const HEADER_BYTES: u64 = 64;

/// The part of the header that its own checksum covers.
const CHECKED_SIZE: usize = 60;

/// What a record holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// What a commit group made of the index; the group's number stands in place of the id.
    Changes,
    /// A message.
    Message,
}

/// The fixed beginning of a record.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Header {
    /// The store that wrote the record.
    pub(crate) store: u64,
    /// The message.
    pub(crate) id: QueueId,
    /// When it was taken.
    pub(crate) received_at: SystemTime,
    /// The length of the body in bytes.
    pub(crate) body_size: u64,
    /// The length of the envelope in bytes.
    pub(crate) envelope_size: u32,
    /// The envelope's CRC-32C.
    pub(crate) envelope_sum: u32,
    /// The body's CRC-32C.
    pub(crate) body_sum: u32,
}

impl Header {
    /// The header of a record that holds the changes of group number `group`.
    pub(crate) fn of_changes(store: u64, group: u64, now: SystemTime, changes: &[u8]) -> Self {
        Self {
            store,
            id: QueueId::from_number(group),
            received_at: now,
            body_size: u64::try_from(changes.len()).unwrap_or(u64::MAX),
            envelope_size: 0,
            envelope_sum: 0,
            body_sum: crc32c::crc32c(changes),
        }
    }

    /// A message's header as bytes, its own checksum last.
    pub(crate) fn encode(&self) -> Vec<u8> {
        self.encode_as(Kind::Message)
    }

    /// The header as bytes, its own checksum last.
    pub(crate) fn encode_as(&self, kind: Kind) -> Vec<u8> {
        let mut out = Encoder::default();
        out.raw(&MAGIC).u16(VERSION).u16(kind_number(kind)).u32(0);
        out.u64(self.store).u64(self.id.number());
        out.u64(millis(self.received_at)).u64(self.body_size);
        out.u32(self.envelope_size).u32(self.envelope_sum).u32(self.body_sum);
        let mut bytes = out.finish();
        bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_be_bytes());
        bytes
    }

    /// Reads a message's header back; anything but a whole one of this version is malformed.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        match Self::decode_any(bytes)? {
            (Kind::Message, header) => Ok(header),
            (Kind::Changes, _) => Err(Malformed("message's header")),
        }
    }

    /// Reads a header of any kind back.
    pub(crate) fn decode_any(bytes: &[u8]) -> Result<(Kind, Self), Malformed> {
        let mut input = Decoder::new(bytes, "record header");
        let covered = bytes.get(..CHECKED_SIZE).ok_or_else(|| input.fault())?;
        let magic = input.raw(MAGIC.len())?;
        let version = input.u16()?;
        let (kind, spare) = (input.u16()?, input.u32()?);
        if magic != MAGIC || version != VERSION || spare != 0 {
            return Err(input.fault());
        }
        let kind = match kind {
            0 => Kind::Message,
            1 => Kind::Changes,
            _ => return Err(input.fault()),
        };
        let header = Self {
            store: input.u64()?,
            id: QueueId::from_number(input.u64()?),
            received_at: time(input.u64()?),
            body_size: input.u64()?,
            envelope_size: input.u32()?,
            envelope_sum: input.u32()?,
            body_sum: input.u32()?,
        };
        if input.u32()? != crc32c::crc32c(covered) || header.envelope_size > ENVELOPE_MOST {
            return Err(input.fault());
        }
        Ok((kind, header))
    }

    /// Where the body begins, counted from the beginning of the record.
    pub(crate) fn body_offset(&self) -> u64 {
        HEADER_BYTES.saturating_add(u64::from(self.envelope_size))
    }

    /// The length of the whole record.
    pub(crate) fn record_size(&self) -> u64 {
        self.body_offset().saturating_add(self.body_size)
    }
}

/// A kind as a number.
const fn kind_number(kind: Kind) -> u16 {
    match kind {
        Kind::Message => 0,
        Kind::Changes => 1,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn header(numbers: (u64, u64, u64, u64, u32, u32, u32)) -> Header {
        let (store, id, received_at, body_size, envelope_size, envelope_sum, body_sum) = numbers;
        Header {
            store,
            id: QueueId::from_number(id),
            received_at: SystemTime::UNIX_EPOCH + Duration::from_millis(received_at % (1 << 43)),
            body_size,
            envelope_size: envelope_size % ENVELOPE_MOST,
            envelope_sum,
            body_sum,
        }
    }

    proptest! {
        #[test]
        fn a_header_is_read_back(numbers: (u64, u64, u64, u64, u32, u32, u32)) {
            let header = header(numbers);
            let bytes = header.encode();
            prop_assert_eq!(bytes.len(), HEADER_SIZE);
            prop_assert_eq!(Header::decode(&bytes), Ok(header));
            let changes = header.encode_as(Kind::Changes);
            prop_assert!(Header::decode(&changes).is_err());
            prop_assert_eq!(Header::decode_any(&changes), Ok((Kind::Changes, header)));
        }

        #[test]
        fn a_header_with_a_flipped_bit_is_refused(
            numbers: (u64, u64, u64, u64, u32, u32, u32), at in 0..HEADER_SIZE, bit in 0..8_u32,
        ) {
            let mut bytes = header(numbers).encode();
            bytes[at] ^= 1 << bit;
            prop_assert!(Header::decode(&bytes).is_err());
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
            let _refused = Header::decode(&bytes);
        }
    }
}
