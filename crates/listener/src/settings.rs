//! What a listener is made with: its name, its limits and how long it waits.

use std::time::Duration;

use smtp::{Domain, EndOfData};

/// How a listener calls itself and what it bears; every limit has a default.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ListenerSettings {
    /// The name in the greeting, in the reply to EHLO and in the Received header field.
    pub hostname: Domain,
    /// Where mail to the bare `<postmaster>` goes (RFC 5321 §4.5.1).
    pub postmaster_domain: Domain,
    /// How much of everything is accepted.
    pub limits: Limits,
    /// How long things may take.
    pub timeouts: Timeouts,
}

impl ListenerSettings {
    /// The defaults, for a host of this name.
    #[must_use]
    pub fn new(hostname: Domain) -> Self {
        Self {
            postmaster_domain: hostname.clone(),
            hostname,
            limits: Limits::default(),
            timeouts: Timeouts::default(),
        }
    }
}

/// How much of everything is accepted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// The size of a message in bytes, as it is received and as SIZE tells it (RFC 1870 §3).
    pub message_size: u64,
    /// The size of a message's header section in bytes.
    pub header_size: u64,
    /// The length of a message's line in bytes, CRLF included (RFC 5321 §4.5.3.1.6).
    pub line_length: usize,
    /// With this many Received header fields a message is in a loop (RFC 5321 §6.3).
    pub received_fields: usize,
    /// Recipients of one message; RFC 5321 §4.5.3.1.8 asks for at least 100.
    pub recipients: usize,
    /// Connections at once.
    pub connections: usize,
    /// Connections at once from one client: one IPv4 address or one IPv6 network of 64 bits.
    pub connections_per_client: usize,
    /// Messages on one connection.
    pub messages_per_connection: usize,
    /// Commands on one connection.
    pub commands_per_connection: usize,
    /// Commands and messages refused for good on one connection.
    pub errors_per_connection: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_size: 50 << 20,
            header_size: 1 << 20,
            line_length: EndOfData::LINE_LIMIT,
            received_fields: 100,
            recipients: 1_000,
            connections: 1_000,
            connections_per_client: 200,
            messages_per_connection: 1_000,
            commands_per_connection: 20_000,
            errors_per_connection: 20,
        }
    }
}

/// How long things may take.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Timeouts {
    /// How long a client is watched before the greeting: whoever speaks first is refused.
    pub greeting_delay: Duration,
    /// The wait for a command, and for a reply to be taken (RFC 5321 §4.5.3.2.7: 5 minutes).
    pub command: Duration,
    /// The wait for the next piece of a message.
    pub data: Duration,
    /// A whole message, from the 354 to its end.
    pub message: Duration,
    /// A whole connection; a message under way is not cut short by it.
    pub connection: Duration,
    /// How long a refused client may take to read why.
    pub farewell: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            greeting_delay: Duration::from_millis(5),
            command: Duration::from_secs(300),
            data: Duration::from_secs(300),
            message: Duration::from_secs(1_800),
            connection: Duration::from_secs(3_600),
            farewell: Duration::from_secs(2),
        }
    }
}
