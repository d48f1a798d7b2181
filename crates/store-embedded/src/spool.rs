//! The spool: files that hold the mail itself. The index only says where.

mod files;
pub(crate) mod journal;
mod mark;
mod paths;
pub(crate) mod scan;
pub(crate) mod segments;
pub(crate) mod settled_log;
pub(crate) mod unlinked;

pub(crate) use self::files::{create_dir, replace, sync_dir, unlink};
pub(crate) use self::mark::Mark;
pub(crate) use self::paths::{Paths, settled_log_of};
