//! What fits one part of the relay to another.

pub(crate) mod counted_observations;
pub(crate) mod delivery_observers;
pub(crate) mod dns_for_mta_sts;
pub(crate) mod history_ledger;
pub(crate) mod history_recorder;
pub(crate) mod reloadable_dns;
pub(crate) mod report_signatures;
