//! Reading a spool file from front to back, past whatever is damaged in it.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use mail::Envelope;
use store::rows::decode_envelope;

use crate::record::{HEADER_BYTES, HEADER_SIZE, Header, Kind, MAGIC};
use crate::spool::journal::{self, Changes};

/// How much is read at a time while searching.
const CHUNK_BYTES: usize = 64 << 10;

/// What is found in a spool file.
#[derive(Debug)]
pub(crate) enum Found {
    /// What a commit group made of the index.
    Changes {
        /// Where the record begins.
        offset: u64,
        /// Where it ends.
        end: u64,
        /// The changes.
        changes: Box<Changes>,
    },
    /// Bytes that should be a record and are not.
    Damage {
        /// Where they begin.
        offset: u64,
        /// How many there are.
        size: u64,
        /// What is wrong.
        why: &'static str,
    },
    /// A record.
    Record(Box<Record>),
    /// A record that ends before its end: it was never acknowledged.
    Torn {
        /// Where it begins.
        offset: u64,
    },
}

/// A record whose header and envelope are whole.
#[derive(Debug)]
pub(crate) struct Record {
    /// Where it begins.
    pub(crate) offset: u64,
    /// Its header.
    pub(crate) header: Header,
    /// Its envelope.
    pub(crate) envelope: Envelope,
    /// Whether its body has the checksum that the header names.
    pub(crate) body: Body,
}

/// Whether a body is whole.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Body {
    /// Its checksum is wrong.
    Damaged,
    /// It was not read.
    Unread,
    /// Its checksum is right.
    Whole,
}

/// Whether bodies are read and checked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Bodies {
    /// Each body is read and its checksum compared.
    Check,
    /// Bodies are passed over; they are checked when they are sent.
    Skip,
}

/// Whether all is whole in what was read of a file, one record right behind the other: only then
/// does a journal record count, for one sync makes it durable together with what stands before it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Whole {
    /// Where the next record has to begin.
    next: u64,
    holds: bool,
}

impl Whole {
    /// Nothing was read yet; the first record begins at `offset`.
    pub(crate) const fn from(offset: u64) -> Self {
        Self { next: offset, holds: true }
    }

    /// Takes note of what was found, and gives it back.
    pub(crate) fn pass(&mut self, found: Found) -> Found {
        let (offset, end) = match &found {
            Found::Changes { offset, end, .. } => (*offset, *end),
            Found::Record(record) => {
                self.holds &= record.body == Body::Whole;
                (record.offset, record.offset.saturating_add(record.header.record_size()))
            }
            Found::Damage { offset, .. } | Found::Torn { offset } => {
                self.holds = false;
                (*offset, *offset)
            }
        };
        self.holds &= offset == self.next;
        self.next = end;
        found
    }

    /// Whether all is whole up to now.
    pub(crate) const fn until_now(self) -> bool {
        self.holds
    }

    /// Where the last record ended.
    pub(crate) const fn end(self) -> u64 {
        self.next
    }

    /// Forgets what was not whole: what follows was synced later.
    pub(crate) const fn begin_again(&mut self) {
        self.holds = true;
    }
}

/// Reads the file at `path` from `from` on and tells `each` what is there, in order.
pub(crate) fn scan<E: From<io::Error>>(
    path: &Path,
    store: u64,
    from: u64,
    bodies: Bodies,
    mut each: impl FnMut(Found) -> Result<(), E>,
) -> Result<(), E> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut input = Input { reader: BufReader::with_capacity(CHUNK_BYTES, file), at: 0, length };
    let mut offset = from;
    while offset < length {
        let found = input.record(store, offset, bodies)?;
        offset = match &found {
            Found::Changes { end, .. } => *end,
            Found::Record(record) => offset.saturating_add(record.header.record_size()),
            Found::Damage { size, .. } => offset.saturating_add((*size).max(1)),
            Found::Torn { .. } => length,
        };
        let is_nothing = matches!(found, Found::Damage { .. }) && input.is_zero(&found)?;
        if !is_nothing {
            each(found)?;
        }
    }
    Ok(())
}

/// Reads the envelope of the record at `offset`.
pub(crate) fn envelope_at(path: &Path, offset: u64) -> io::Result<Envelope> {
    let mut file = File::open(path)?;
    let header = read_header(&mut file, offset)?;
    let mut bytes = vec![0; usize::try_from(header.envelope_size).map_err(io::Error::other)?];
    file.read_exact(&mut bytes)?;
    decode_envelope(&bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Reads the header of the record at `offset`.
pub(crate) fn header_at(path: &Path, offset: u64) -> io::Result<Header> {
    read_header(&mut File::open(path)?, offset)
}

/// The number of the store that wrote the first record of a spool file, if that is whole.
pub(crate) fn store_of(path: &Path) -> io::Result<Option<u64>> {
    let mut bytes = [0; HEADER_SIZE];
    let whole = File::open(path)?.read_exact(&mut bytes).is_ok();
    Ok(Header::decode_any(&bytes).ok().filter(|_| whole).map(|(_, header)| header.store))
}

/// Reads the header of the message at `offset`, whichever store wrote it.
fn read_header(file: &mut File, offset: u64) -> io::Result<Header> {
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = [0; HEADER_SIZE];
    file.read_exact(&mut bytes)?;
    Header::decode(&bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// The file that is read.
#[derive(Debug)]
struct Input {
    reader: BufReader<File>,
    /// Where the reader stands.
    at: u64,
    length: u64,
}

impl Input {
    /// What begins at `offset`.
    fn record(&mut self, store: u64, offset: u64, bodies: Bodies) -> io::Result<Found> {
        if offset.saturating_add(HEADER_BYTES) > self.length {
            return Ok(Found::Torn { offset });
        }
        let Some((kind, header)) = self.header(store, offset)? else {
            let end = self.next_record(store, offset.saturating_add(1))?;
            let size = end.saturating_sub(offset);
            return Ok(Found::Damage { offset, size, why: "no record begins here" });
        };
        let size = header.record_size();
        if offset.saturating_add(size) > self.length {
            return Ok(Found::Torn { offset });
        }
        match kind {
            Kind::Changes => self.changes(offset, &header),
            Kind::Message => self.message(offset, header, bodies),
        }
    }

    /// The changes that begin at `offset`.
    fn changes(&mut self, offset: u64, header: &Header) -> io::Result<Found> {
        let bytes = self.bytes(usize::try_from(header.body_size).map_err(io::Error::other)?)?;
        let size = header.record_size();
        let why = "the journal record's checksum is wrong";
        if crc32c::crc32c(&bytes) != header.body_sum {
            return Ok(Found::Damage { offset, size, why });
        }
        Ok(match journal::decode(&bytes) {
            Ok(changes) if changes.row.groups == header.id.number() => {
                let end = offset.saturating_add(size);
                Found::Changes { offset, end, changes: Box::new(changes) }
            }
            Ok(_) | Err(_) => Found::Damage { offset, size, why: "no journal record" },
        })
    }

    /// The message whose record begins at `offset`.
    fn message(&mut self, offset: u64, header: Header, bodies: Bodies) -> io::Result<Found> {
        let size = header.record_size();
        let envelope =
            self.bytes(usize::try_from(header.envelope_size).map_err(io::Error::other)?)?;
        let decoded = (crc32c::crc32c(&envelope) == header.envelope_sum)
            .then(|| decode_envelope(&envelope).ok())
            .flatten();
        let Some(envelope) = decoded else {
            return Ok(Found::Damage { offset, size, why: "the envelope's checksum is wrong" });
        };
        let body = match bodies {
            Bodies::Skip => Body::Unread,
            Bodies::Check if self.sum(header.body_size)? == header.body_sum => Body::Whole,
            Bodies::Check => Body::Damaged,
        };
        Ok(Found::Record(Box::new(Record { offset, header, envelope, body })))
    }

    /// The header at `offset`, if there is one of this store.
    fn header(&mut self, store: u64, offset: u64) -> io::Result<Option<(Kind, Header)>> {
        if offset.saturating_add(HEADER_BYTES) > self.length {
            return Ok(None);
        }
        self.seek(offset)?;
        let bytes = self.bytes(HEADER_SIZE)?;
        Ok(Header::decode_any(&bytes).ok().filter(|(_, header)| header.store == store))
    }

    /// Where the next record of this store begins, from `from` on; the file's end if none does.
    fn next_record(&mut self, store: u64, from: u64) -> io::Result<u64> {
        let mut at = from;
        while at < self.length {
            self.seek(at)?;
            let left = usize::try_from(self.length.saturating_sub(at)).unwrap_or(usize::MAX);
            let chunk = self.bytes(left.min(CHUNK_BYTES))?;
            for (place, _) in chunk.windows(MAGIC.len()).enumerate().filter(|(_, w)| *w == MAGIC) {
                let candidate = at.saturating_add(u64::try_from(place).map_err(io::Error::other)?);
                if self.header(store, candidate)?.is_some() {
                    return Ok(candidate);
                }
            }
            let step = chunk.len().saturating_sub(MAGIC.len().saturating_sub(1)).max(1);
            at = at.saturating_add(u64::try_from(step).map_err(io::Error::other)?);
        }
        Ok(self.length)
    }

    /// Whether the damaged bytes are all zero: space that a crash left without contents.
    fn is_zero(&mut self, found: &Found) -> io::Result<bool> {
        let Found::Damage { offset, size, .. } = found else { return Ok(false) };
        self.seek(*offset)?;
        let mut left = *size;
        while left > 0 {
            let step = usize::try_from(left).unwrap_or(usize::MAX).min(CHUNK_BYTES);
            if self.bytes(step)?.iter().any(|byte| *byte != 0) {
                return Ok(false);
            }
            left = left.saturating_sub(u64::try_from(step).map_err(io::Error::other)?);
        }
        Ok(true)
    }

    /// The CRC-32C of the next `size` bytes.
    fn sum(&mut self, size: u64) -> io::Result<u32> {
        let (mut sum, mut left) = (0, size);
        while left > 0 {
            let step = usize::try_from(left).unwrap_or(usize::MAX).min(CHUNK_BYTES);
            sum = crc32c::crc32c_append(sum, &self.bytes(step)?);
            left = left.saturating_sub(u64::try_from(step).map_err(io::Error::other)?);
        }
        Ok(sum)
    }

    /// The next `size` bytes.
    fn bytes(&mut self, size: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; size];
        self.reader.read_exact(&mut bytes)?;
        self.at = self.at.saturating_add(u64::try_from(size).map_err(io::Error::other)?);
        Ok(bytes)
    }

    /// Goes to `offset`, without losing what is buffered if that is near.
    fn seek(&mut self, offset: u64) -> io::Result<()> {
        let forward = i64::try_from(offset).map_err(io::Error::other)?;
        let here = i64::try_from(self.at).map_err(io::Error::other)?;
        self.reader.seek_relative(forward.saturating_sub(here))?;
        self.at = offset;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use mail::QueueId;
    use smtp::{BodyType, ReversePath, Smtputf8};
    use store::rows::encode_envelope;

    use super::*;
    use crate::index::Change;
    use crate::key::Key;
    use crate::rows::StoreRow;

    const STORE: u64 = 77;

    fn record(id: u64, body: &[u8]) -> Vec<u8> {
        let envelope = Envelope::new(
            ReversePath::Null,
            Vec::new(),
            BodyType::SevenBit,
            Smtputf8::NotRequested,
        );
        let envelope = encode_envelope(&envelope);
        let header = Header {
            store: STORE,
            id: QueueId::from_number(id),
            received_at: SystemTime::UNIX_EPOCH,
            body_size: u64::try_from(body.len()).unwrap(),
            envelope_size: u32::try_from(envelope.len()).unwrap(),
            envelope_sum: crc32c::crc32c(&envelope),
            body_sum: crc32c::crc32c(body),
        };
        [header.encode(), envelope, body.to_vec()].concat()
    }

    /// The changes of a commit group.
    fn changes(group: u64) -> Vec<u8> {
        let row = StoreRow { groups: group, ..StoreRow::empty() };
        let changes = journal::encode(&row, &[(Key::store(), Change::Put(vec![1, 2, 3]))]);
        let header = Header::of_changes(STORE, group, SystemTime::UNIX_EPOCH, &changes);
        [header.encode_as(Kind::Changes), changes].concat()
    }

    /// What is found in `bytes`: ids of records, `-1` for damage, `-2` for a torn record, and less
    /// than `-100` for the changes of group 0 and later.
    fn found(bytes: &[u8]) -> Vec<(i64, Option<Body>)> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("segment");
        std::fs::write(&path, bytes).unwrap();
        let mut all = Vec::new();
        scan(&path, STORE, 0, Bodies::Check, |found| {
            all.push(match found {
                Found::Record(record) => {
                    (i64::try_from(record.header.id.number()).unwrap(), Some(record.body))
                }
                Found::Changes { changes, .. } => {
                    (-100 - i64::try_from(changes.row.groups).unwrap(), None)
                }
                Found::Damage { .. } => (-1, None),
                Found::Torn { .. } => (-2, None),
            });
            Ok::<(), io::Error>(())
        })
        .unwrap();
        all
    }

    const WHOLE: Option<Body> = Some(Body::Whole);

    #[test]
    fn whole_records_are_found_in_order() {
        let bytes = [record(1, b"one"), record(2, &[b'x'; 200_000]), record(3, b"")].concat();
        assert_eq!(found(&bytes), [(1, WHOLE), (2, WHOLE), (3, WHOLE)]);
    }

    #[test]
    fn changes_stand_between_messages_and_are_whole_or_damage() {
        let bytes = [record(1, b"one"), changes(7), record(2, b"two")].concat();
        assert_eq!(found(&bytes), [(1, WHOLE), (-107, None), (2, WHOLE)]);
        let (before, inside) = (record(1, b"one").len(), changes(7).len());
        for at in before..before + inside {
            let mut bytes = bytes.clone();
            bytes[at] ^= 4;
            assert_eq!(found(&bytes), [(1, WHOLE), (-1, None), (2, WHOLE)], "{at}");
            assert_eq!(found(&bytes[..at]).last().unwrap().0, if at == before { 1 } else { -2 });
        }
    }

    #[test]
    fn a_record_cut_short_is_torn_wherever_the_cut_is() {
        let (first, second) = (record(1, b"one"), record(2, b"two"));
        for cut in 1..second.len() {
            let bytes = [&first[..], &second[..cut]].concat();
            assert_eq!(found(&bytes), [(1, WHOLE), (-2, None)], "{cut}");
        }
    }

    #[test]
    fn zeros_where_a_crash_left_no_contents_are_nothing() {
        let bytes = [record(1, b"one"), vec![0; 5_000]].concat();
        assert_eq!(found(&bytes), [(1, WHOLE)]);
        let bytes = [record(1, b"one"), vec![0; 100], record(2, b"two")].concat();
        assert_eq!(found(&bytes), [(1, WHOLE), (2, WHOLE)]);
    }

    #[test]
    fn a_flipped_bit_costs_one_record_and_is_always_noticed() {
        let records = [record(1, b"one"), record(2, b"two"), record(3, b"three")];
        let bytes = records.concat();
        let second = records[0].len()..records[0].len() + records[1].len();
        for at in second.clone() {
            let mut bytes = bytes.clone();
            bytes[at] ^= 4;
            let found = found(&bytes);
            assert_eq!((found[0], found[2]), ((1, WHOLE), (3, WHOLE)), "{at}");
            let in_body = at >= second.end - 3;
            let expected = if in_body { (2, Some(Body::Damaged)) } else { (-1, None) };
            assert_eq!(found[1], expected, "{at}");
        }
    }

    #[test]
    fn a_record_inside_a_body_is_not_taken_for_one() {
        let mut forged = record(9, b"forged");
        forged[16..24].copy_from_slice(&78_u64.to_be_bytes());
        let sum = crc32c::crc32c(&forged[..60]).to_be_bytes();
        forged[60..64].copy_from_slice(&sum);
        assert!(Header::decode(&forged).is_ok());
        let mut bytes = [record(1, &forged), record(2, b"two")].concat();
        bytes[0] ^= 1;
        assert_eq!(found(&bytes), [(-1, None), (2, WHOLE)]);
    }
}
