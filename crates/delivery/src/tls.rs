//! TLS towards an MX host: the configuration that verifies, and what its failures are called.
//!
//! There are two configurations and they are two types. [`WebPki`] proves the peer's name or fails;
//! `Observing`, in [`danger`], accepts any certificate and notes what would have failed. No
//! session is ever resumed in either: a resumed session does not show its certificate again.
//!
//! The reasons: `docs/decisions/0002-crypto-provider.md`.

pub(crate) mod danger;
pub(crate) mod handshake_failure;
pub(crate) mod record;
pub(crate) mod wall_clock;
pub(crate) mod webpki;

#[cfg(test)]
mod tests;
