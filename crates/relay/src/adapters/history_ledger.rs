//! What the ledger hears from other parts of the relay.

use std::sync::Arc;

use admin::metrics::Inbound;
use history::{AcceptedCount, Refreshes};
use mail::in_full;
use mta_sts::{Decision, FetchEnded, Observer, PolicyDomain, Undecided};

/// Counts what clients hand in.
#[derive(Debug)]
pub(crate) struct Intake(Arc<Inbound>);

impl Intake {
    /// What these metrics count.
    pub(crate) const fn new(inbound: Arc<Inbound>) -> Self {
        Self(inbound)
    }
}

impl AcceptedCount for Intake {
    fn accepted(&self) -> u64 {
        self.0.accepted()
    }
}

/// Tells the ledger what becomes of refreshes of policies, and passes all on.
#[derive(Debug)]
pub(crate) struct LedgerPolicies {
    refreshes: Arc<Refreshes>,
    next: Arc<dyn Observer>,
}

impl LedgerPolicies {
    /// One that tells `refreshes`, and then `next`.
    pub(crate) fn new(refreshes: Arc<Refreshes>, next: Arc<dyn Observer>) -> Self {
        Self { refreshes, next }
    }
}

impl Observer for LedgerPolicies {
    fn decided(&self, decision: Result<&Decision, &Undecided>) {
        self.next.decided(decision);
    }

    fn dane_excepted(&self, domain: &PolicyDomain) {
        self.next.dane_excepted(domain);
    }

    fn fetched(&self, fetch: &FetchEnded<'_>) {
        // Without a policy that applies there is nothing to be refreshed.
        if fetch.applying.is_some() {
            self.refreshes
                .add(fetch.domain.as_str(), fetch.result.err().map(|error| in_full(error)));
        }
        self.next.fetched(fetch);
    }
}
