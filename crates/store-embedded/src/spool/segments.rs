//! Appending to segments, and making what was appended durable.

use std::fmt::{self, Debug, Formatter};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use crate::rows::RecordLocation;
use crate::spool::files::sync_dir;
use crate::spool::mark::Mark;
use crate::spool::paths::Paths;

/// How much is collected before it is written.
const BUFFER_BYTES: usize = 1 << 20;

/// A file that is appended to.
pub(crate) trait Append: Debug + Send {
    /// Hands bytes to the kernel: a process that is killed afterwards has written them.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Makes everything appended durable.
    fn sync(&self) -> io::Result<()>;
}

impl Append for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}

/// Makes the files of segments.
#[derive(Clone)]
pub(crate) struct Maker(pub(crate) Arc<dyn Fn(&Path) -> Made + Send + Sync>);

/// What making a segment's file gives.
pub(crate) type Made = io::Result<Box<dyn Append>>;

impl Debug for Maker {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("Maker")
    }
}

impl Default for Maker {
    fn default() -> Self {
        Self(Arc::new(|path| {
            let file = OpenOptions::new().append(true).create_new(true).open(path)?;
            file.sync_all()?;
            Ok(Box::new(file))
        }))
    }
}

/// The end of the spool, where records are appended.
///
/// A process never appends to a segment that another one began: whatever a crash left at its end
/// stays as it is.
#[derive(Debug)]
pub(crate) struct Segments {
    paths: Paths,
    maker: Maker,
    segment_size: u64,
    next: u32,
    current: Option<Segment>,
    /// Segments written since the last [`Segments::keep`], and how long each was then.
    since_keep: Vec<(u32, u64)>,
}

/// The segment that is being written.
#[derive(Debug)]
struct Segment {
    number: u32,
    file: Box<dyn Append>,
    /// Its length, with what is still in the buffer.
    size: u64,
    /// How much of that is durable.
    synced: u64,
    buffer: Vec<u8>,
}

impl Segments {
    /// Appends to segments from number `next` on, each of about `segment_size` bytes.
    pub(crate) const fn new(paths: Paths, maker: Maker, segment_size: u64, next: u32) -> Self {
        Self { paths, maker, segment_size, next, current: None, since_keep: Vec::new() }
    }

    /// Appends a record; it is durable after [`Segments::sync`].
    pub(crate) fn append(&mut self, parts: &[&[u8]]) -> io::Result<RecordLocation> {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let length = u64::try_from(length).map_err(io::Error::other)?;
        let limit = self.segment_size;
        let is_full = |s: &Segment| s.size > 0 && s.size.saturating_add(length) > limit;
        if self.current.as_ref().is_some_and(is_full) {
            self.finish_current()?;
        }
        if self.current.is_none() {
            self.begin()?;
        }
        let Some(segment) = self.current.as_mut() else {
            return Err(io::Error::other("no segment is open"));
        };
        let offset = segment.size;
        for part in parts {
            segment.buffer.extend_from_slice(part);
        }
        segment.size = segment.size.saturating_add(length);
        if segment.buffer.len() >= BUFFER_BYTES {
            segment.write_out()?;
        }
        Ok(RecordLocation::Segment { segment: segment.number, offset })
    }

    /// Makes everything appended so far durable.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        self.current.as_mut().map_or(Ok(()), Segment::sync)
    }

    /// Hands everything appended so far to the kernel: it outlives this process.
    pub(crate) fn write_out(&mut self) -> io::Result<()> {
        self.current.as_mut().map_or(Ok(()), Segment::write_out)
    }

    /// What was appended so far is acknowledged: it is not taken back any more.
    pub(crate) fn keep(&mut self) {
        self.since_keep.clear();
        if let Some(segment) = self.current.as_ref() {
            self.since_keep.push((segment.number, segment.size));
        }
    }

    /// Takes back what was appended since the last [`Segments::keep`]: it was never acknowledged.
    ///
    /// The next record begins a new segment, for the state of this one is not known.
    pub(crate) fn take_back(&mut self) {
        self.current = None;
        for (number, size) in std::mem::take(&mut self.since_keep) {
            let path = self.paths.segment(number);
            let taken = OpenOptions::new().write(true).open(&path).and_then(|file| {
                file.set_len(size)?;
                file.sync_data()
            });
            if let Err(error) = taken {
                tracing::warn!(path = %path.display(), %error, "unacknowledged records not removed");
            }
        }
    }

    /// The segment being written and its length: up to here the spool is whole.
    pub(crate) fn end(&self) -> Mark {
        self.current.as_ref().map_or((self.next, 0), |segment| (segment.number, segment.size))
    }

    /// Whether this segment may still grow.
    pub(crate) fn is_current(&self, segment: u32) -> bool {
        self.current.as_ref().is_some_and(|current| current.number == segment)
    }

    /// Begins no record in the current segment any more.
    pub(crate) fn finish_current(&mut self) -> io::Result<()> {
        self.current.take().map_or(Ok(()), |mut segment| segment.sync())
    }

    /// Begins the next segment; its name is durable before anything is in it.
    fn begin(&mut self) -> io::Result<()> {
        let number = self.next;
        self.next =
            number.checked_add(1).ok_or_else(|| io::Error::other("no segment number left"))?;
        let path = self.paths.segment(number);
        let file = (self.maker.0)(&path)?;
        sync_dir(&self.paths.spool())?;
        self.since_keep.push((number, 0));
        self.current = Some(Segment { number, file, size: 0, synced: 0, buffer: Vec::new() });
        Ok(())
    }
}

impl Segment {
    /// Hands the buffer to the kernel.
    fn write_out(&mut self) -> io::Result<()> {
        self.file.append(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }

    /// Makes everything appended durable.
    fn sync(&mut self) -> io::Result<()> {
        if self.synced < self.size {
            self.write_out()?;
            self.file.sync()?;
            self.synced = self.size;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segments(limit: u64) -> (tempfile::TempDir, Paths, Segments) {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::new(dir.path().to_path_buf());
        paths.create().unwrap();
        let segments = Segments::new(paths.clone(), Maker::default(), limit, 7);
        (dir, paths, segments)
    }

    #[test]
    fn records_follow_each_other_until_the_segment_is_full() {
        let (_dir, paths, mut segments) = segments(10);
        let places: Vec<_> = [&b"aaaa"[..], b"bbbb", b"cc", b"dddddddddddddd", b"e"]
            .iter()
            .map(|record| segments.append(&[record]).unwrap())
            .collect();
        segments.sync().unwrap();
        let expected = [(7, 0), (7, 4), (7, 8), (8, 0), (9, 0)]
            .map(|(segment, offset)| RecordLocation::Segment { segment, offset });
        assert_eq!(places, expected);
        assert_eq!(std::fs::read(paths.segment(7)).unwrap(), b"aaaabbbbcc");
        assert_eq!(paths.segments().unwrap(), [7, 8, 9]);
        assert_eq!(segments.end(), (9, 1));
    }

    #[test]
    fn what_was_never_acknowledged_is_taken_back() {
        let (_dir, paths, mut segments) = segments(10);
        segments.append(&[b"aaaa"]).unwrap();
        segments.write_out().unwrap();
        segments.keep();
        segments.append(&[b"bbbb"]).unwrap();
        segments.append(&[b"cccc"]).unwrap();
        segments.take_back();
        assert_eq!(std::fs::read(paths.segment(7)).unwrap(), b"aaaa");
        assert_eq!(std::fs::read(paths.segment(8)).unwrap(), b"");
        let next = segments.append(&[b"d"]).unwrap();
        assert_eq!(next, RecordLocation::Segment { segment: 9, offset: 0 });
    }
}
