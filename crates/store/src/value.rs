//! What a value is expected to be, and what became of it.

/// What a value is expected to be when it is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Expected {
    /// Not there.
    Absent,
    /// Anything, or not there.
    Anything,
    /// What it was when it had this version.
    Version(u64),
}

/// What became of a value that was to be written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Put {
    /// Nothing: what is there may not be what was expected. Read again.
    Changed,
    /// It is written.
    Written,
}
