//! What writes the history: one segment after the other, and away with the oldest.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use store::KeptRecord;

use crate::address::month_of;
use crate::appending::{End, Entry, With};
use crate::error::HistoryError;
use crate::file_digest::{has_its_digest, write_digest};
use crate::files::{Files, SegmentFile};
use crate::gap::{Gap, WhyGap};
use crate::kept::Kept;
use crate::segment::{Opened, Segment};
use crate::settings::HistorySettings;
use crate::shared::Shared;
use crate::span::whole_millis;
use crate::sql::{about, check_format, connect_to_read, number};
use crate::tables::FORMAT;

/// A segment is closed when it is this long.
const SEGMENT_MOST: u64 = 64 << 20;

/// A segment is closed when it is this old.
const SEGMENT_AGE: Duration = Duration::from_secs(24 * 60 * 60);

/// A number so far above the one before was given by an index that was built anew.
const LEAP: u64 = 1 << 32;

/// In so many segments before is looked for what a record names.
const EARLIER_MOST: usize = 3;

/// How often the chain's head goes to the log.
const SEAL_EVERY: Duration = Duration::from_secs(60 * 60);

/// How often at most the segments are looked after: less than an idle history waits for that.
const TEND_EVERY: Duration = Duration::from_secs(30);

/// Writes a history.
#[derive(Debug)]
pub(crate) struct Writer {
    settings: HistorySettings,
    files: Files,
    /// What the makers of records share.
    shared: Arc<Shared>,
    current: Option<Segment>,
    /// The segments before the one that is written, the newest first: no more than what may be looked for
    /// in them.
    earlier: Vec<SegmentFile>,
    /// Where the history goes on while no segment is open, or without the one that is: that may be
    /// found damaged.
    end: End,
    /// Gaps that are to be written with what comes next.
    gaps: Vec<Gap>,
    /// When the head went to the log last, and its number.
    sealed: (u64, u64),
    /// When the segments were looked after last.
    tended: u64,
}

impl Writer {
    /// Opens the history, or makes it: what is damaged is set aside.
    pub(crate) fn open(
        settings: HistorySettings,
        shared: Arc<Shared>,
        now: u64,
    ) -> Result<Self, HistoryError> {
        let files = Files::new(settings.dir.clone());
        files.create()?;
        let mut writer = Self {
            settings,
            files,
            shared,
            current: None,
            earlier: Vec::new(),
            end: End::EMPTY,
            gaps: Vec::new(),
            sealed: (now, 0),
            tended: 0,
        };
        writer.follow_month(now)?;
        let mut segments = writer.files.segments()?;
        // The newest that is whole is gone on with; those before it are only read.
        while let Some(file) = segments.pop() {
            match Segment::open(file.clone()) {
                Ok(Opened::Open(segment)) => {
                    writer.end = writer.end.max(segment.began()?);
                    writer.current = Some(*segment);
                }
                Ok(Opened::Closed(end)) => {
                    complete(&file)?;
                    writer.end = writer.end.max(end);
                }
                Err(error) if error.is_damage() => {
                    writer.set_aside(&file, &error, now)?;
                    continue;
                }
                Err(error) => return Err(error),
            }
            break;
        }
        writer.set_damaged_aside(&segments, now)?;
        writer.note_earlier()?;
        writer.close_if_full(now)?;
        let number = writer.end().next;
        writer.sealed = (now, number);
        writer.retain(now)?;
        Ok(writer)
    }

    /// Where the history goes on.
    pub(crate) fn end(&self) -> End {
        self.current.as_ref().map_or(self.end, Segment::end)
    }

    /// Notes a gap, to be written with what comes next.
    pub(crate) fn note(&mut self, gap: Gap) {
        self.gaps.push(gap);
    }

    /// Whether there is something to write although no record has come.
    pub(crate) const fn has_gaps(&self) -> bool {
        !self.gaps.is_empty()
    }

    /// Appends records; what is here already is passed over. When this returns they survive a power
    /// cut.
    pub(crate) fn append(&mut self, records: &[KeptRecord], now: u64) -> Result<(), HistoryError> {
        let before = self.end().mark;
        let known = records.partition_point(|record| record.number <= before);
        let new = records.get(known..).unwrap_or_default();
        if new.is_empty() && !self.has_gaps() {
            return Ok(());
        }
        let mark = new.last().map_or(before, |record| record.number);
        let (gaps, mut last) = (self.gaps.clone(), before);
        // What was in a file that is set aside is a gap already.
        let tells_gaps = gaps.is_empty();
        let of_records = new.iter().flat_map(|record| {
            let missing = missing(std::mem::replace(&mut last, record.number), record.number, now);
            let missing = missing.filter(|_| tells_gaps).map(Entry::Gap);
            missing.into_iter().chain([entry_of(record, now)])
        });
        let mut entries = gaps.into_iter().map(Entry::Gap).chain(of_records);
        let (shared, earlier) = (Arc::clone(&self.shared), self.earlier.clone());
        let addresses = self.settings.addresses;
        let with = With { shared: &shared, earlier: &earlier, addresses };
        let written = self.segment(now)?.append(&mut entries, mark, with);
        match written {
            Ok(()) => self.gaps.clear(),
            Err(error) if error.is_damage() => {
                let file = self.current.take().map(|segment| segment.file().clone());
                if let Some(file) = file {
                    self.set_aside(&file, &error, now)?;
                }
                return Err(error);
            }
            Err(error) => return Err(error),
        }
        self.close_if_full(now)
    }

    /// Does what is due once in a while: closes an old segment, tells the log the head of the chain,
    /// unlinks what is too old or too much.
    pub(crate) fn tend(&mut self, now: u64) -> Result<(), HistoryError> {
        if now.saturating_sub(self.tended) < whole_millis(TEND_EVERY) {
            return Ok(());
        }
        self.follow_month(now)?;
        self.close_if_full(now)?;
        let (sealed_at, number) = self.sealed;
        if now.saturating_sub(sealed_at) >= whole_millis(SEAL_EVERY) && self.end().next > number {
            self.current.as_ref().map_or(Ok(()), |segment| segment.seal(now))?;
            self.seal(now);
        }
        self.retain(now)?;
        self.tended = now;
        Ok(())
    }

    /// Has addresses kept under the key of the present month.
    fn follow_month(&self, now: u64) -> Result<(), HistoryError> {
        let month = month_of(now);
        if self.shared.key().is_none_or(|key| key.month != month) {
            self.shared.set_key(self.files.month_key(&month)?);
        }
        Ok(())
    }

    /// Notes the segments before the one that is written.
    fn note_earlier(&mut self) -> Result<(), HistoryError> {
        let current = self.current.as_ref().map(|segment| segment.file().first);
        let mut earlier = self.files.segments()?;
        earlier.retain(|file| Some(file.first) != current);
        self.earlier = earlier.into_iter().rev().take(EARLIER_MOST).collect();
        Ok(())
    }

    /// Tells the log the head of the chain.
    fn seal(&mut self, now: u64) {
        let End { next, link, .. } = self.end();
        tracing::info!(number = next.saturating_sub(1), link = %link, "history sealed");
        self.sealed = (now, next);
    }

    /// The segment that is written; a new one where there is none.
    fn segment(&mut self, now: u64) -> Result<&mut Segment, HistoryError> {
        if self.current.is_none() {
            let (file, name) = (self.files.segment(self.end.next), &self.settings.hostname);
            let segment = Segment::create(file, self.end, name, now)?;
            self.files.sync()?;
            self.current = Some(segment);
            // What records name is given once more, for this segment.
            self.shared.known.clear();
            self.shared.miss();
            self.note_earlier()?;
        }
        self.current.as_mut().ok_or(HistoryError::Ended)
    }

    /// Closes the segment if it is long or old.
    fn close_if_full(&mut self, now: u64) -> Result<(), HistoryError> {
        let is_full = |segment: &Segment| {
            segment.format() < FORMAT
                || segment.file().size() >= SEGMENT_MOST
                || now.saturating_sub(segment.opened_at()) >= whole_millis(SEGMENT_AGE)
        };
        let Some(segment) = self.current.as_mut().filter(|segment| is_full(segment)) else {
            return Ok(());
        };
        segment.close(now)?;
        self.end = segment.end();
        self.current = None;
        self.seal(now);
        self.retain(now)
    }

    /// Unlinks the oldest segments that are closed: those that are too old, and as many as are too much.
    fn retain(&self, now: u64) -> Result<(), HistoryError> {
        let open = self.current.as_ref().map(|segment| segment.file().first);
        let mut closed = self.files.segments()?;
        closed.retain(|file| Some(file.first) != open);
        let before = closed.len();
        let mut size = closed.iter().map(SegmentFile::size).fold(0, u64::saturating_add);
        let mut kept = before;
        for file in &closed {
            let age = closed_at(file).map_or(0, |at| now.saturating_sub(at));
            if size <= self.settings.max_size && age < whole_millis(self.settings.keep) {
                break;
            }
            size = size.saturating_sub(file.size());
            file.unlink()?;
            kept = kept.saturating_sub(1);
            tracing::info!(path = %file.path.display(), "history segment removed");
        }
        if kept < before { self.forget_months(now) } else { Ok(()) }
    }

    /// Unlinks the keys of past months that no segment was written under.
    fn forget_months(&self, now: u64) -> Result<(), HistoryError> {
        let present = month_of(now);
        let in_use = self.months_in_use()?;
        for month in self.files.months()? {
            if month < present && !in_use.contains(&month) {
                self.files.forget_month(&month)?;
                tracing::info!(month, "history address key removed");
            }
        }
        Ok(())
    }

    /// The months under whose keys closed segments were written.
    fn months_in_use(&self) -> Result<BTreeSet<String>, HistoryError> {
        let mut months = BTreeSet::new();
        for file in self.files.segments()? {
            let keys = connect_to_read(&file)
                .and_then(|connection| about(&connection, &file, "keys"))
                .unwrap_or_default();
            months.extend(keys.unwrap_or_default().split_whitespace().map(str::to_owned));
        }
        Ok(months)
    }

    /// Sets aside what is damaged among segments that are only read.
    fn set_damaged_aside(
        &mut self,
        segments: &[SegmentFile],
        now: u64,
    ) -> Result<(), HistoryError> {
        for file in segments {
            match connect_to_read(file) {
                Err(error) if error.is_damage() => self.set_aside(file, &error, now)?,
                Ok(_) | Err(_) => {}
            }
        }
        Ok(())
    }

    /// Sets a damaged segment aside; numbers go on above all that it can have had.
    fn set_aside(
        &mut self,
        file: &SegmentFile,
        error: &HistoryError,
        now: u64,
    ) -> Result<(), HistoryError> {
        let aside = file.set_aside()?;
        // What it had, records may name no longer.
        self.shared.known.clear();
        self.shared.miss();
        let path = aside.display();
        tracing::error!(%path, %error, "history segment damaged: set aside");
        let name = aside.file_name().map(|name| name.to_string_lossy().into_owned());
        self.gaps.push(Gap {
            found_at: now,
            why: WhyGap::Damaged,
            count: None,
            since: None,
            file: name,
        });
        // A record takes more than an octet.
        let next = file.first.saturating_add(SEGMENT_MOST);
        self.end = End { next: self.end.next.max(next), ..self.end };
        Ok(())
    }
}

impl End {
    /// The later of two ends; numbers never go back.
    fn max(self, other: Self) -> Self {
        Self { next: self.next.max(other.next), ..other }
    }
}

/// The gap between the last record that was taken from the store and the next, if there is one.
fn missing(mark: u64, number: u64, now: u64) -> Option<Gap> {
    let count = number.checked_sub(mark)?.checked_sub(1).filter(|count| *count > 0)?;
    // Before the first record there may have been others that were not to be kept.
    (mark > 0).then_some(())?;
    let (why, count) =
        if count >= LEAP { (WhyGap::IndexLost, None) } else { (WhyGap::NotWritten, Some(count)) };
    Some(Gap { found_at: now, why, count, since: None, file: None })
}

/// What is appended of a record; a gap where it cannot be read.
fn entry_of(record: &KeptRecord, now: u64) -> Entry<'_> {
    match Kept::read(&record.bytes) {
        Ok(kept) => Entry::Kept(kept),
        Err(error) => {
            tracing::error!(number = record.number, %error, "delivery record unreadable");
            let (why, count) = (WhyGap::Unreadable, Some(1));
            Entry::Gap(Gap { found_at: now, why, count, since: None, file: None })
        }
    }
}

/// Writes the digest of a closed segment, unless a crash came after it.
fn complete(file: &SegmentFile) -> Result<(), HistoryError> {
    let lacks = has_its_digest(file)?.is_none();
    let closed_in_this_format = connect_to_read(file)
        .and_then(|connection| check_format(&connection, file))
        .is_ok_and(|format| format == FORMAT);
    if lacks && closed_in_this_format { write_digest(file) } else { Ok(()) }
}

/// When a segment was closed; none where that cannot be read, or it is not.
fn closed_at(file: &SegmentFile) -> Option<u64> {
    let connection = connect_to_read(file).ok()?;
    number(&connection, file, "closed_at").ok()
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::io::Write as _;
    use std::path::Path;

    use rusqlite::Connection;

    use super::*;
    use crate::files::with_end;
    use crate::history::History;

    /// A record of the store that has this number, and says nothing that can be read.
    fn kept(number: u64) -> KeptRecord {
        KeptRecord { number, bytes: b"{}".to_vec() }
    }

    /// Overwrites all that SQLite has of a segment, and has it look again.
    fn damage(path: &Path) {
        let other = Connection::open(path).unwrap();
        other.execute("INSERT INTO about VALUES ('damage', 'soon')", []).unwrap();
        for end in ["", "-wal"] {
            let path = with_end(path, end);
            let length = usize::try_from(path.metadata().unwrap().len()).unwrap();
            let mut file = OpenOptions::new().write(true).open(&path).unwrap();
            file.write_all(&vec![b'x'; length]).unwrap();
        }
    }

    #[test]
    fn a_segment_found_damaged_while_it_is_written_leaves_the_chain_of_those_before_it() {
        let dir = tempfile::tempdir().unwrap();
        let settings = HistorySettings::new(dir.path(), "relay.example");
        let mut writer = Writer::open(settings.clone(), Arc::default(), 1).unwrap();
        writer.append(&[kept(1)], 1).unwrap();
        // The first segment is closed, the second is open when the relay starts again.
        let day = whole_millis(SEGMENT_AGE) + 1;
        writer.close_if_full(day).unwrap();
        writer.append(&[kept(2)], day).unwrap();
        drop(writer);
        let mut writer = Writer::open(settings, Arc::default(), day).unwrap();
        damage(&writer.current.as_ref().unwrap().file().path);
        assert!(writer.append(&[kept(3)], day).unwrap_err().is_damage());
        writer.append(&[kept(3)], day).unwrap();
        let verified = History::in_dir(dir.path()).verify().unwrap();
        assert_eq!((verified.segments, verified.faults), (2, vec![]));
    }
}
