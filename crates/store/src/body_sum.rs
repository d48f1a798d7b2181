//! The size and the checksum of a body while it is written.

use std::io;
use std::ops::Range;

/// The size and the CRC-32C of a body that is being written, with room for bytes that are known later.
#[derive(Debug, Default)]
pub struct BodySum {
    size: u64,
    /// The checksum of what was written, behind the room if there is some.
    sum: u32,
    room: Option<Room>,
}

/// Room in a body for bytes that are known later.
#[derive(Clone, Copy, Debug)]
struct Room {
    /// Where in the body.
    offset: u64,
    octets: usize,
    /// The checksum of what stands before it.
    sum_before: u32,
}

impl BodySum {
    /// How many bytes there are, with those of the room.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Where the room is that is not filled yet.
    #[must_use]
    pub fn room(&self) -> Option<Range<u64>> {
        let room = self.room?;
        let octets = u64::try_from(room.octets).unwrap_or(u64::MAX);
        Some(room.offset..room.offset.saturating_add(octets))
    }

    /// More bytes are there.
    pub fn append(&mut self, bytes: &[u8]) {
        self.sum = crc32c::crc32c_append(self.sum, bytes);
        self.size = self.size.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
    }

    /// Room for so many bytes is there.
    ///
    /// # Errors
    ///
    /// Where there is room already.
    pub fn reserve(&mut self, octets: usize) -> io::Result<()> {
        if self.room.is_some() {
            return Err(io::Error::other("there is room already"));
        }
        self.room = Some(Room { offset: self.size, octets, sum_before: self.sum });
        self.sum = 0;
        self.size = self.size.saturating_add(u64::try_from(octets).unwrap_or(u64::MAX));
        Ok(())
    }

    /// These are the bytes of the room; where in the body they belong.
    ///
    /// # Errors
    ///
    /// Where there is no room of this size.
    pub fn fill(&mut self, bytes: &[u8]) -> io::Result<u64> {
        let room = self.room.take().filter(|room| room.octets == bytes.len());
        let room = room.ok_or_else(|| io::Error::other("there is no such room"))?;
        let before = room.offset.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        let behind = usize::try_from(self.size.saturating_sub(before)).map_err(io::Error::other)?;
        let up_to_room = crc32c::crc32c_append(room.sum_before, bytes);
        self.sum = crc32c::crc32c_combine(up_to_room, self.sum, behind);
        Ok(room.offset)
    }

    /// The checksum of the whole.
    ///
    /// # Errors
    ///
    /// Where there is room that was not filled.
    pub fn whole(&self) -> io::Result<u32> {
        if self.room.is_some() {
            return Err(io::Error::other("room in the message was not filled"));
        }
        Ok(self.sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_that_of_the_bytes_in_their_order_whenever_they_were_known() {
        for (before, behind) in [("", ""), ("ab", ""), ("", "yz"), ("ab", "yz")] {
            let mut sum = BodySum::default();
            sum.append(before.as_bytes());
            sum.reserve(3).unwrap();
            sum.append(behind.as_bytes());
            let offset = u64::try_from(before.len()).unwrap();
            assert_eq!(sum.room(), Some(offset..offset + 3));
            assert!(sum.whole().is_err() && sum.reserve(1).is_err());
            assert_eq!(sum.fill(b"mno").unwrap(), offset);
            assert_eq!(sum.room(), None);
            let whole = format!("{before}mno{behind}");
            assert_eq!(sum.whole().unwrap(), crc32c::crc32c(whole.as_bytes()));
            assert_eq!(sum.size(), u64::try_from(whole.len()).unwrap());
        }
    }

    #[test]
    fn what_does_not_fit_the_room_is_refused() {
        let mut sum = BodySum::default();
        assert!(sum.fill(b"").is_err(), "there is none");
        sum.reserve(3).unwrap();
        assert!(sum.fill(b"ab").is_err());
    }
}
