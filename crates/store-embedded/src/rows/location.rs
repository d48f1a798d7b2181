//! Where a record is.

use mail::QueueId;

/// Where a record is.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum RecordLocation {
    /// In a file of its own, named by the message's id.
    Big,
    /// In a segment, at an offset.
    Segment {
        /// Which segment.
        segment: u32,
        /// Where in it the header begins.
        offset: u64,
    },
}

/// A file with records.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum RecordFile {
    /// That of one message.
    Big(QueueId),
    /// A segment.
    Segment(u32),
}

impl RecordLocation {
    /// The file that holds the record of message `id`.
    pub(crate) const fn file_of(self, id: QueueId) -> RecordFile {
        match self {
            Self::Big => RecordFile::Big(id),
            Self::Segment { segment, .. } => RecordFile::Segment(segment),
        }
    }
}
