//! What around a relay keeps it from doing its work well, in words for its operator.
//!
//! Nothing here keeps it from starting: what does (no trust roots, a data directory that cannot be
//! written, no resolver) is an error of the settings or of the start. No host is contacted but the
//! operator's own: his resolvers, and the mail host of the domain that the relay is named in.

mod machine;
mod network;

pub(crate) use self::machine::{of_machine, queues_elsewhere};
pub(crate) use self::network::{of_dkim_keys, of_network, of_rewriting, of_validation};
