//! What a queue is opened with.

use std::path::PathBuf;
use std::time::Duration;

use store::StoreTuning;

use crate::schedule::RetrySchedule;

/// Where the queue lives and how it behaves; every limit has a default.
#[derive(Clone, Debug)]
pub struct QueueSettings {
    /// The directory that holds everything; made when absent.
    pub dir: PathBuf,
    /// When a deferred lot is tried again.
    pub retry: RetrySchedule,
    /// How long a message is tried before it is returned (RFC 5321 §4.5.4.1: 4 to 5 days).
    pub lifetime: Duration,
    /// New mail is refused with 452 4.3.1 while the file system has fewer bytes free than this.
    pub min_free: u64,
    /// Bytes held by a file that is given up when the disk is full, so that the store can still
    /// open and delete.
    pub reserve: u64,
    /// At which size a spool segment is closed and the next begun.
    pub segment_size: u64,
    /// From this size on a body has a file of its own.
    pub big_body: u64,
    /// How long a lot rests after its lease was dropped without a word.
    pub rest_after_drop: Duration,
}

/// What of the settings may change while the queue is open.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct QueueTuning {
    /// When a deferred lot is tried again; what is deferred already keeps its time.
    pub retry: RetrySchedule,
    /// How long a message is tried before it is returned.
    pub lifetime: Duration,
    /// New mail is refused while the file system has fewer bytes free than this.
    pub min_free: u64,
}

impl QueueSettings {
    /// What of them may change while the queue is open.
    #[must_use]
    pub const fn tuning(&self) -> QueueTuning {
        QueueTuning { retry: self.retry, lifetime: self.lifetime, min_free: self.min_free }
    }

    /// The defaults, in `dir`.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            retry: RetrySchedule::default(),
            lifetime: Duration::from_secs(5 * 24 * 60 * 60),
            min_free: 256 << 20,
            reserve: 64 << 20,
            segment_size: 64 << 20,
            big_body: 256 << 10,
            rest_after_drop: Duration::from_secs(30),
        }
    }
}

impl QueueTuning {
    /// What of them concerns the store.
    #[must_use]
    pub fn store(&self) -> StoreTuning {
        StoreTuning { min_free: self.min_free, longest_wait: self.retry.longest() }
    }
}
