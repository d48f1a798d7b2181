//! How a queue behaves.

use std::time::Duration;

use mail::Purpose;

use crate::schedule::RetrySchedule;

/// How a queue behaves; every limit has a default.
#[derive(Clone, Copy, Debug)]
pub struct QueueSettings {
    /// When a deferred entry is tried again.
    pub retry: RetrySchedule,
    /// How long a message is tried before it is returned (RFC 5321 §4.5.4.1: 4 to 5 days).
    pub lifetime: Duration,
    /// How long a TLS report is tried before it is dropped (RFC 8460 §5.5: 24 hours).
    pub report_lifetime: Duration,
    /// How long an entry rests after its lease was dropped without a word.
    pub rest_after_drop: Duration,
}

/// What of the settings may change while the queue is in use.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct QueueTuning {
    /// When a deferred entry is tried again; what is deferred already keeps its time.
    pub retry: RetrySchedule,
    /// How long a message is tried before it is returned.
    pub lifetime: Duration,
    /// How long a TLS report is tried before it is dropped.
    pub report_lifetime: Duration,
}

impl QueueSettings {
    /// What of them may change while the queue is in use.
    #[must_use]
    pub const fn tuning(&self) -> QueueTuning {
        let Self { retry, lifetime, report_lifetime, rest_after_drop: _ } = *self;
        QueueTuning { retry, lifetime, report_lifetime }
    }
}

impl QueueTuning {
    /// How long a message for this purpose is tried.
    pub(crate) const fn lifetime_of(&self, purpose: Purpose) -> Duration {
        match purpose {
            Purpose::Mail => self.lifetime,
            Purpose::TlsReport => self.report_lifetime,
        }
    }
}

impl Default for QueueSettings {
    fn default() -> Self {
        Self {
            retry: RetrySchedule::default(),
            lifetime: Duration::from_secs(5 * 24 * 60 * 60),
            report_lifetime: Duration::from_secs(24 * 60 * 60),
            rest_after_drop: Duration::from_secs(30),
        }
    }
}
