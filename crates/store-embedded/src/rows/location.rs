//! Where a record is.

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
