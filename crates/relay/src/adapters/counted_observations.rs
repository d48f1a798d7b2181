//! Has what delivery and policies observe counted for TLS reports, and passes it on.

use std::sync::Arc;

use delivery::{DaneResult, of_failed_refresh};
use mail::{DeliveryRecord, DeliveryResult, Protection};
use mta_sts::{Decision, FetchEnded, Undecided};
use reporting::Counter;
use tls_rpt::Observation;

/// Has what delivery observes counted, and passes it on.
#[derive(Debug)]
pub(crate) struct CountedDelivery {
    counter: Counter,
    next: Arc<dyn delivery::Observer>,
}

impl CountedDelivery {
    /// One that tells `counter`, and then `next`.
    pub(crate) fn new(counter: Counter, next: Arc<dyn delivery::Observer>) -> Self {
        Self { counter, next }
    }
}

impl delivery::Observer for CountedDelivery {
    fn observed(&self, observation: &Observation) {
        self.counter.count(observation);
        self.next.observed(observation);
    }

    fn tls_failed(&self, reason: &'static str) {
        self.next.tls_failed(reason);
    }

    fn dane_host(&self, result: DaneResult) {
        self.next.dane_host(result);
    }

    fn requiretls(&self, result: &DeliveryResult) {
        self.next.requiretls(result);
    }

    fn slowed(&self) {
        self.next.slowed();
    }

    fn opened(&self, protection: Protection) {
        self.next.opened(protection);
    }

    fn finished(&self, record: &DeliveryRecord, recipients: usize) {
        self.next.finished(record, recipients);
    }
}

/// Has requests for policies counted that fail while a policy applies, and passes all on. Those that
/// fail while none does are counted with the connections that are made without one.
#[derive(Debug)]
pub(crate) struct CountedPolicies {
    counter: Counter,
    next: Arc<dyn mta_sts::Observer>,
}

impl CountedPolicies {
    /// One that tells `counter`, and then `next`.
    pub(crate) fn new(counter: Counter, next: Arc<dyn mta_sts::Observer>) -> Self {
        Self { counter, next }
    }
}

impl mta_sts::Observer for CountedPolicies {
    fn decided(&self, decision: Result<&Decision, &Undecided>) {
        self.next.decided(decision);
    }

    fn fetched(&self, fetch: &FetchEnded<'_>) {
        if let (Some(applying), Err(error)) = (fetch.applying, fetch.result)
            && let Some(observation) = of_failed_refresh(applying, error)
        {
            self.counter.count(&observation);
        }
        self.next.fetched(fetch);
    }
}
