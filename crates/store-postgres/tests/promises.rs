//! The store in a database, against a real server.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod bodies;
mod conformance;
mod doubt;
mod home;
mod ownership;
