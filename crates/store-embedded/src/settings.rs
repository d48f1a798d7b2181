//! What a store on this machine is opened with.

use std::path::PathBuf;
use std::time::Duration;

use store::StoreTuning;

/// Where a store lives and how it behaves; every limit has a default.
#[derive(Clone, Debug)]
pub struct StoreSettings {
    /// The directory that holds everything; made when absent.
    pub dir: PathBuf,
    /// New mail is refused with 452 4.3.1 while the file system has fewer bytes free than this.
    pub min_free: u64,
    /// The longest wait there is between two attempts: what is due later than that is due now.
    pub longest_wait: Duration,
    /// Bytes held by a file that is given up when the disk is full, so that the store can still
    /// open and delete.
    pub reserve: u64,
    /// At which size a spool segment is closed and the next begun.
    pub segment_size: u64,
    /// From this size on a body has a file of its own.
    pub big_body: u64,
}

impl StoreSettings {
    /// What of them may change while the store is open.
    #[must_use]
    pub const fn tuning(&self) -> StoreTuning {
        StoreTuning { min_free: self.min_free, longest_wait: self.longest_wait }
    }

    /// The defaults, in `dir`; no wait is too long.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            min_free: 256 << 20,
            longest_wait: Duration::MAX,
            reserve: 64 << 20,
            segment_size: 64 << 20,
            big_body: 256 << 10,
        }
    }
}
