//! The runtime of a command that asks one thing.

use std::io;

use tokio::runtime::Runtime;

/// Makes one.
pub(super) fn runtime() -> io::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}
