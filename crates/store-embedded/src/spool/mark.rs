//! How far the spool has been read.

/// A place in the spool: segment and offset.
pub(crate) type Mark = (u32, u64);
