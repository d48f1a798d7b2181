//! Inbound SMTP: from bytes to a committed message.
//!
//! A [`Listener`] accepts connections and speaks RFC 5321 with PIPELINING (RFC 2920), SIZE
//! (RFC 1870), 8BITMIME (RFC 6152), SMTPUTF8 (RFC 6531) and ENHANCEDSTATUSCODES (RFC 2034). What it
//! announces it does, and what it does not announce it refuses.
//!
//! | step | where |
//! |---|---|
//! | a place for the connection | `connections` |
//! | bytes to lines, replies to bytes | `wire`, `connection` |
//! | lines to steps, without I/O | `session` |
//! | the message's bytes to a draft | `intake`, `header`, `trace` |
//! | what a client is told, and the name of the reason | `refusal` |
//!
//! Two promises are not kept here but cannot be broken here either: a draft takes a
//! [`queue::Submitter`], which only the list of networks yields, and the 250 that ends DATA is
//! [`queue::Committed::reply`].
//!
//! Deliberately absent: STARTTLS, AUTH, CHUNKING, DSN and the PROXY protocol.

mod connection;
mod connections;
mod header;
mod intake;
mod listener;
mod refusal;
mod session;
mod settings;
mod trace;
mod wire;

pub use crate::listener::Listener;
pub use crate::settings::{Limits, ListenerSettings, Timeouts};
