//! Compaction: segments in which little is alive are emptied, so that they can be unlinked.
//!
//! A thread of its own looks for the records, for that reads a whole segment; the committer then
//! copies the few that are alive.

use std::collections::HashSet;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::{io, thread};

use mail::QueueId;

use crate::batch::Batch;
use crate::committer::commit_log::CommitLog;
use crate::committer::group::{Durable, GroupError};
use crate::index::{EngineError, Lookup};
use crate::key::Key;
use crate::message_changes;
use crate::message_rows::entries_of;
use crate::record::{HEADER_SIZE, Header};
use crate::rows::{MessageRow, RecordLocation};
use crate::shared::Shared;
use crate::spool::scan::{Bodies, Found, envelope_at, scan};

/// A segment is compacted when less than this part of it is alive.
const PART: u64 = 10;

/// A thread that looks for the records of a segment.
#[derive(Debug)]
pub(super) struct Search {
    segment: u32,
    found: Receiver<io::Result<Vec<(u64, Header)>>>,
}

/// What has come of it so far.
#[derive(Debug, Default)]
pub(super) struct Compaction {
    /// Segments that cannot be emptied, because a record in them is damaged.
    stuck: HashSet<u32>,
    /// The search for what is alive in a nearly finished segment.
    search: Option<Search>,
}

impl Compaction {
    /// Goes on with compaction: begins a search, or copies what one has found.
    pub(super) fn go_on(&mut self, log: &mut CommitLog) -> Result<(), GroupError> {
        let Some(search) = self.search.take() else {
            if let Some(segment) = self.nearly_finished(log) {
                self.search = Some(begin_search(&log.shared, segment)?);
            }
            return Ok(());
        };
        match search.found.try_recv() {
            Ok(Ok(records)) => self.copy_found(log, search.segment, records),
            Ok(Err(error)) => {
                tracing::warn!(segment = search.segment, %error, "segment not read for compaction");
                self.stuck.insert(search.segment);
                Ok(())
            }
            Err(TryRecvError::Empty) => {
                self.search = Some(search);
                Ok(())
            }
            Err(TryRecvError::Disconnected) => {
                self.stuck.insert(search.segment);
                Ok(())
            }
        }
    }

    /// A segment of which less than a tenth is alive.
    fn nearly_finished(&mut self, log: &CommitLog) -> Option<u32> {
        self.stuck.retain(|number| log.ledger.segments.contains_key(number));
        let most = log.shared.settings.segment_size / PART;
        let mut candidates = log.ledger.segments.iter().filter(|(number, row)| {
            row.messages > 0
                && row.bytes < most
                && log.is_flushed(**number)
                && !self.stuck.contains(*number)
        });
        let is_nearly_finished = |number: u32, alive: u64| {
            let size = fs::metadata(log.shared.paths.segment(number)).map_or(0, |file| file.len());
            alive < size / PART
        };
        candidates.find(|(number, row)| is_nearly_finished(**number, row.bytes)).map(|(n, _)| *n)
    }

    /// Copies the live ones of these records to the end of the spool.
    fn copy_found(
        &mut self,
        log: &mut CommitLog,
        segment: u32,
        records: Vec<(u64, Header)>,
    ) -> Result<(), GroupError> {
        if log.ledger.segments.get(&segment).is_none_or(|row| row.messages == 0) {
            // The last of them has left meanwhile, and the segment with it.
            return Ok(());
        }
        let file = match File::open(log.shared.paths.segment(segment)) {
            Ok(file) => file,
            Err(error) => {
                tracing::warn!(segment, %error, "segment not compacted");
                self.stuck.insert(segment);
                return Ok(());
            }
        };
        let index = log.index()?;
        let moved = copy_records(log, index.as_ref(), segment, &file, records)?;
        log.segments.sync()?;
        write_moved_settled_logs(log, index.as_ref(), &moved)?;
        let mut batch = Batch::new(index.as_ref(), &mut log.ledger);
        for (id, place) in &moved {
            message_changes::relocate(&mut batch, *id, *place)?;
        }
        let sealed = batch.seal()?;
        log.conclude(sealed, Durable::First)?;
        if log.ledger.segments.get(&segment).is_some_and(|row| row.messages > 0) {
            self.stuck.insert(segment);
        }
        tracing::debug!(segment, messages = moved.len(), "segment compacted");
        Ok(())
    }
}

/// Begins to look for the records of a segment.
fn begin_search(shared: &Shared, segment: u32) -> io::Result<Search> {
    let (path, store) = (shared.paths.segment(segment), shared.store);
    let (tell, found) = channel();
    let search = thread::Builder::new().name("queue-search".to_owned());
    search.spawn(move || {
        let mut records = Vec::new();
        let searched = scan(&path, store, 0, Bodies::Skip, |found| {
            if let Found::Record(record) = found {
                records.push((record.offset, record.header));
            }
            Ok(())
        });
        drop(tell.send(searched.map(|()| records)));
    })?;
    Ok(Search { segment, found })
}

/// Appends the live ones of these records to the end of the spool; those stay that are damaged or
/// cannot be read.
fn copy_records(
    log: &mut CommitLog,
    index: &dyn Lookup,
    segment: u32,
    file: &File,
    records: Vec<(u64, Header)>,
) -> Result<Vec<(QueueId, RecordLocation)>, GroupError> {
    let mut moved = Vec::new();
    for (offset, header) in records {
        let Some(row) = index.find(&Key::message(header.id))? else { continue };
        let row = MessageRow::decode(&row).map_err(EngineError::from)?;
        if row.place != (RecordLocation::Segment { segment, offset }) {
            continue;
        }
        let mut bytes = vec![0; usize::try_from(header.record_size()).map_err(io::Error::other)?];
        if let Err(error) = file.read_exact_at(&mut bytes, offset) {
            tracing::warn!(queue_id = %header.id, segment, %error, "message not read for compaction");
        } else if is_whole(&header, &bytes) {
            moved.push((header.id, log.segments.append(&[&bytes])?));
        }
    }
    Ok(moved)
}

/// Says in the new settled logs what was settled while the records were at their old places.
fn write_moved_settled_logs(
    log: &mut CommitLog,
    index: &dyn Lookup,
    moved: &[(QueueId, RecordLocation)],
) -> Result<(), GroupError> {
    for (id, place) in moved {
        let entries = entries_of(index, *id)?;
        let open: HashSet<u32> = entries
            .iter()
            .flat_map(|(_, entry)| entry.recipients.iter().map(|recipient| recipient.index))
            .collect();
        let settled: Vec<(QueueId, u32)> = (0..recipients_at(&log.shared, *place)?)
            .filter(|index| !open.contains(index))
            .map(|index| (*id, index))
            .collect();
        if !settled.is_empty() {
            log.settled_logs.append(log.shared.paths.settled_log(place.file_of(*id)), &settled)?;
        }
    }
    Ok(log.settled_logs.sync()?)
}

/// How many recipients the envelope of the record at `place` names.
fn recipients_at(shared: &Shared, place: RecordLocation) -> io::Result<u32> {
    let RecordLocation::Segment { segment, offset } = place else { return Ok(0) };
    let envelope = envelope_at(&shared.paths.segment(segment), offset)?;
    u32::try_from(envelope.recipients().len()).map_err(io::Error::other)
}

/// Whether these bytes are the record that the header names, with the right checksums.
fn is_whole(header: &Header, bytes: &[u8]) -> bool {
    let Some((head, rest)) = bytes.split_at_checked(HEADER_SIZE) else { return false };
    let envelope = usize::try_from(header.envelope_size).unwrap_or(usize::MAX);
    let Some((envelope, body)) = rest.split_at_checked(envelope) else { return false };
    Header::decode(head) == Ok(*header)
        && crc32c::crc32c(envelope) == header.envelope_sum
        && crc32c::crc32c(body) == header.body_sum
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::SystemTime;

    use clock::SetClock;
    use mail::{Envelope, QueueId, Recipient};
    use smtp::{BodyType, Mailbox, ReversePath, Smtputf8};
    use store::BodyWriter as _;
    use tokio::sync::oneshot;

    use super::*;
    use crate::body_writer::NewMessage;
    use crate::committer::Committer;
    use crate::recovery::Opener;
    use crate::settings::StoreSettings;
    use crate::shared::Handle;
    use crate::work::{Job, Work};

    #[tokio::test]
    async fn a_message_that_cannot_be_read_stays_where_it_is_and_the_store_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let settings = StoreSettings { reserve: 0, min_free: 0, ..StoreSettings::new(dir.path()) };
        let clock = Arc::new(SetClock::new(SystemTime::UNIX_EPOCH));
        let mut committer = Committer::ready(settings, clock, Opener::default()).unwrap();
        let (jobs, _line) = channel();
        let handle = Arc::new(Handle::new(Arc::clone(&committer.shared), jobs));
        let id = QueueId::from_number(7);
        let to = vec![Recipient::new(Mailbox::parse("a@one.example").unwrap())];
        let body = BodyType::SevenBit;
        let envelope = Envelope::new(ReversePath::Null, to, body, Smtputf8::NotRequested);
        let mut draft = NewMessage::new(handle, id, SystemTime::UNIX_EPOCH, &envelope);
        draft.write(&[b'x'; 1_000]).await.unwrap();
        let prepared = draft.prepare().await.unwrap();
        let header = prepared.header;
        let work = Work::Accept(Box::new(prepared), oneshot::channel().0);
        committer.commit_group(vec![Job { work, _room: None }]);
        committer.log.segments.finish_current().unwrap();
        let path = committer.shared.paths.segment(1);
        let file = File::options().write(true).open(&path).unwrap();
        file.set_len(header.record_size() - 1).unwrap();
        committer.compaction.copy_found(&mut committer.log, 1, vec![(0, header)]).unwrap();
        assert!(committer.compaction.stuck.contains(&1));
        fs::remove_file(&path).unwrap();
        committer.compaction.copy_found(&mut committer.log, 1, vec![(0, header)]).unwrap();
        committer.compaction.copy_found(&mut committer.log, 99, vec![(0, header)]).unwrap();
        assert!(!committer.compaction.stuck.contains(&99), "it was unlinked while it was searched");
        assert_eq!(committer.log.ledger.segments[&1].messages, 1);
    }
}
