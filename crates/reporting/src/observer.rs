//! Who is told of what became of reports: metrics, tests.

use std::fmt::Debug;

use crate::hand_over::{ReportResult, Transport};

/// Is told of what becomes of reports; must not block.
pub trait ReportObserver: Debug + Send + Sync {
    /// A report came to its end at one of its destinations.
    fn ended(&self, transport: Transport, result: ReportResult);
}
