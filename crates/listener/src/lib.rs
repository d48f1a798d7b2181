//! Inbound SMTP: from bytes to a committed message.
//!
//! A [`Listener`] accepts connections and speaks RFC 5321 with STARTTLS (RFC 3207), AUTH
//! (RFC 4954), PIPELINING (RFC 2920), SIZE (RFC 1870), 8BITMIME (RFC 6152), SMTPUTF8 (RFC 6531),
//! CHUNKING (RFC 3030), DSN (RFC 3461), LIMITS (RFC 9422) and ENHANCEDSTATUSCODES (RFC 2034). What
//! it announces it does, and what it does not announce it refuses. DSN is announced where the
//! settings say that its wishes are obeyed ([`Dsn`]).
//!
//! | step | where |
//! |---|---|
//! | who the client is, a permit for the connection, TLS | `caller`, `arrival`, `connections`, `handshake`, `tls` |
//! | who computes next | `turns` |
//! | bytes to lines, replies to bytes | `wire`, `connection` |
//! | lines to steps, without I/O | `session` |
//! | the message's bytes to a draft | `intake`, `header`, `received_field` |
//! | what a message's header says of TLS | `tls_required` |
//! | how often | `meters`, `guesses` |
//! | the reply to a client that is refused, and the name of the reason | `refusal` |
//! | what is reported to metrics | `observer` |
//!
//! Two promises are not kept here but cannot be broken here either: a draft takes a
//! [`access::Submitter`], which only the list of networks, a proved password and the kernel's word yield, and the 250
//! that ends DATA is [`queue::Committed::reply`].
//!
//! The reasons: `docs/decisions/0007-what-listeners-take.md`.

mod arrival;
mod caller;
mod connection;
mod connections;
mod guesses;
mod handshake;
mod header;
mod host;
mod intake;
mod listener;
mod message_id;
mod meters;
mod observer;
mod protocol;
mod received_field;
mod refusal;
mod rules;
mod service;
mod session;
mod settings;
mod tls;
mod tls_required;
mod turns;
mod wire;

pub use crate::listener::{Access, Listener};
pub use crate::observer::{Channel, Login, Observer, Refused, Taken, Unobserved};
pub use crate::service::{AuthMode, BinaryMode, ProxyMode, Service, TlsMode};
pub use crate::settings::{
    AddedField, BareNewlines, CheckFrom, Dsn, Limits, ListenerSettings, Rates, RequireTlsOffer,
    Submission, Timeouts,
};
pub use crate::tls::{CertificateError, ServerTls};
pub use crate::tls_required::{WhyIgnored, tls_required_of};
pub use submission::{
    Bcc, HoldAll, OriginatorField, Others, Replacement, ReplacementError, RewriteRule, Rewriting,
    Staging,
};
