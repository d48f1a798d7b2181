//! What a value is expected to be, and what became of it.

use crate::error::StoreError;

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

/// The longest key of a value.
const KEY_MOST: usize = 512;

/// Refuses what is no key of a value: what is empty, longer than 512 bytes, or holds a NUL.
///
/// # Errors
///
/// [`StoreError::Key`].
pub fn check_key(key: &str) -> Result<(), StoreError> {
    let is_key = !key.is_empty() && key.len() <= KEY_MOST && !key.contains('\0');
    if is_key { Ok(()) } else { Err(StoreError::Key) }
}
