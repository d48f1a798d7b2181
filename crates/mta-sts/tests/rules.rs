//! What a sender has to do by RFC 8461, over real sockets and real TLS.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::wildcard_enum_match_arm,
    reason = "a test may stop at the first surprise"
)]

mod authority;
mod conformance;
mod decide;
mod doubt;
mod fetch;
mod log;
mod memory;
mod policy_host;
mod ration;
mod refresh;
mod scene;
mod together;
mod zone;
