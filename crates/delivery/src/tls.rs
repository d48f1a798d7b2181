//! TLS towards an MX host: the configuration that verifies, and what its failures are called.
//!
//! There are two configurations and they are two types. [`WebPki`](webpki::WebPki) has the peer prove
//! its name, or match the TLSA records of its host, or both, and fails otherwise; `Observing`, in
//! [`danger`], accepts any certificate and notes what would have failed. No session is ever resumed in
//! either: a resumed session does not show its certificate again.
//!
//! The reasons: `docs/decisions/0002-crypto-provider.md`.

pub(crate) mod dane;
pub(crate) mod danger;
mod digest;
mod handshake;
pub(crate) mod handshake_failure;
pub(crate) mod no_match;
pub(crate) mod peer_seen;
pub(crate) mod record;
pub(crate) mod verdict;
pub(crate) mod wall_clock;
pub(crate) mod webpki;

#[cfg(test)]
mod tests;
