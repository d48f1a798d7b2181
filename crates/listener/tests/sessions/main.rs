//! Sessions over real sockets, with a real queue in a directory of their own.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]
#![allow(clippy::expect_used, reason = "a test may stop at the first surprise")]
#![allow(clippy::indexing_slicing, reason = "a test may stop at the first surprise")]

mod auth;
mod bodies;
mod certificate;
mod chunks;
mod crowds;
mod dialogue;
mod early;
mod hostile;
mod limits;
mod lines;
mod local;
mod logs;
mod networks;
mod proxy;
mod rewriting;
mod shutdown;
mod sloppy;
mod smuggling;
mod starttls;
mod storage;
mod submission;
mod world;
