//! What the policy, the route and the host make of a session.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may stop at the first surprise")]

mod dane_rows;
mod decisions;
mod table;
mod trust;
mod world;
