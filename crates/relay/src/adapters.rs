//! What fits one part of the relay to another.

pub(crate) mod dns_for_mta_sts;
pub(crate) mod reloadable_dns;
