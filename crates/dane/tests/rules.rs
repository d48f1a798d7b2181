//! What the library promises: chains against records, handshakes, and what a peer may throw at it.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a test may stop at the first surprise"
)]

mod association;
mod chains;
mod handshake;
mod hostile;
mod openssl;
mod pki;
