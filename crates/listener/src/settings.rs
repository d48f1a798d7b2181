//! What a listener is made with: its name, its limits and how long it waits.

use std::sync::Arc;
use std::time::Duration;

use dkim::SigningTable;
use smtp::{Domain, Mailbox};
use submission::{Bcc, Rewriting, Staging};

/// How a listener calls itself and what it bears; every limit has a default.
#[derive(Clone, Debug)]
pub struct ListenerSettings {
    /// The name in the greeting, in the reply to EHLO and in the Received header field.
    pub hostname: Domain,
    /// Where mail to the bare `<postmaster>` goes (RFC 5321 §4.5.1).
    pub postmaster_domain: Domain,
    /// How much of everything is accepted.
    pub limits: Limits,
    /// How often one client may do things.
    pub rates: Rates,
    /// How long things may take.
    pub timeouts: Timeouts,
    /// Whether clients may say what reports they wish for.
    pub dsn: Dsn,
    /// Whether clients may ask that a message goes over proven TLS all its way.
    pub requiretls: RequireTlsOffer,
    /// Whether the From field is held to the senders that a user may send from.
    pub check_from: CheckFrom,
    /// What is put right in submitted messages.
    pub submission: Submission,
    /// Which addresses that messages are from become others before they are signed.
    pub rewriting: Rewriting,
    /// Who signs messages.
    pub signing: Arc<SigningTable>,
    /// What becomes of mail that must not reach those it is for.
    pub staging: Staging,
    /// Who gets mail that programs of this machine send to an address at `hostname`, such as cron's to
    /// root; none: the address itself.
    pub local_mail_to: Option<Mailbox>,
}

/// What is put right in submitted messages (RFC 6409 §8).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Submission {
    /// The fields that a message gets where it lacks them.
    pub add: Vec<AddedField>,
    /// What becomes of its Bcc fields.
    pub bcc: Bcc,
    /// What becomes of line ends that lack their CR.
    pub bare_newlines: BareNewlines,
}

/// What becomes of line ends that lack their CR (RFC 5321 §2.3.8).
///
/// Neither ends the data: that is CRLF, dot, CRLF as it was sent, whatever is repaired after.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum BareNewlines {
    /// The message is refused.
    Refused,
    /// They get it.
    Repaired,
}

/// A field that a message gets where it lacks it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AddedField {
    /// When it was received (RFC 6409 §8.2).
    Date,
    /// The address of the user who submits it, where the user has one.
    From,
    /// One that no other message has (RFC 6409 §8.3).
    MessageId,
}

impl Submission {
    /// Every message stays as it is.
    pub const NONE: Self =
        Self { add: Vec::new(), bcc: Bcc::Kept, bare_newlines: BareNewlines::Refused };
}

impl Default for Submission {
    fn default() -> Self {
        Self {
            add: vec![AddedField::Date, AddedField::MessageId],
            bcc: Bcc::Removed,
            bare_newlines: BareNewlines::Refused,
        }
    }
}

/// Whether the From field of a user's message has to name senders of the user.
///
/// The senders that are listed for a user bind the envelope; what readers of the mail see is the
/// From field (RFC 5322 §3.6.2).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CheckFrom {
    /// It may say anything.
    No,
    /// It does.
    Yes,
}

/// Whether the extension of RFC 3461 is offered.
///
/// Who offers it answers for the reports. Where it is not offered, the client does: a Postfix that
/// was asked for a report of success says itself that the message was relayed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Dsn {
    /// Whatever sends the mail on obeys the wishes, or passes them on.
    Offered,
    /// It does not.
    Withheld,
}

/// Whether the extension of RFC 8689 is offered, which is under TLS alone (§2).
///
/// Who offers it answers for every later hop.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum RequireTlsOffer {
    /// Whatever sends the mail on keeps to it.
    #[default]
    Offered,
    /// It does not.
    Withheld,
}

impl ListenerSettings {
    /// The defaults, for a host of this name.
    #[must_use]
    pub fn new(hostname: Domain) -> Self {
        Self {
            postmaster_domain: hostname.clone(),
            hostname,
            limits: Limits::default(),
            rates: Rates::default(),
            timeouts: Timeouts::default(),
            dsn: Dsn::Offered,
            requiretls: RequireTlsOffer::default(),
            check_from: CheckFrom::No,
            submission: Submission::default(),
            rewriting: Rewriting::default(),
            signing: Arc::default(),
            staging: Staging::default(),
            local_mail_to: None,
        }
    }
}

/// How much of everything is accepted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// The size of a message in bytes, as it is received and as SIZE tells it (RFC 1870 §3).
    pub message_size: u64,
    /// The size of a message's header section in bytes, as it is received and as it leaves.
    pub header_size: u64,
    /// The length of a message's line in bytes, CRLF included. RFC 5321 §4.5.3.1.6 has 1000;
    /// applications write longer ones, and to refuse those helps nobody: they are passed on as
    /// they are.
    pub line_length: usize,
    /// With this many Received header fields a message is in a loop (RFC 5321 §6.3).
    pub received_fields: usize,
    /// Recipients of one message; RFC 5321 §4.5.3.1.8 asks for at least 100.
    pub recipients: usize,
    /// Connections at once; half of them are kept for listed networks and users who have logged in.
    pub connections: usize,
    /// Connections at once from one client: one IPv4 address or one IPv6 network of 64 bits. One
    /// that is neither in a listed network nor logged in has a tenth of it.
    pub connections_per_client: usize,
    /// Messages on one connection.
    pub messages_per_connection: usize,
    /// Commands on one connection.
    pub commands_per_connection: usize,
    /// Commands and messages refused for good on one connection.
    pub errors_per_connection: usize,
    /// Wrong passwords on one connection.
    pub auth_failures_per_connection: usize,
    /// TLS handshakes computed at once; more wait for their turn. A turn ends when the client is
    /// waited for. Clients that are not admitted never have all of them.
    pub tls_handshakes: usize,
    /// Passwords checked at once, each with some 20 MiB of memory; more wait for their turn.
    /// Clients of networks that are not listed never have all of them.
    pub password_checks: usize,
    /// How many bytes of a message must come in a second, in the mean, after a grace.
    pub data_rate: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_size: 50 << 20,
            header_size: 1 << 20,
            line_length: 64 << 10,
            received_fields: 100,
            recipients: 1_000,
            connections: 1_000,
            connections_per_client: 200,
            messages_per_connection: 1_000,
            commands_per_connection: 20_000,
            errors_per_connection: 20,
            auth_failures_per_connection: 3,
            tls_handshakes: 4,
            password_checks: 4,
            data_rate: 100,
        }
    }
}

/// How often one client may do things: so many in a minute, none for no limit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rates {
    /// Connections.
    pub connections: u32,
    /// Messages.
    pub messages: u32,
    /// Recipients.
    pub recipients: u32,
    /// TLS handshakes.
    pub tls_handshakes: u32,
    /// Wrong passwords, in 15 minutes.
    pub auth_failures: u32,
}

impl Default for Rates {
    /// Far above what a busy mail server does, and below what would keep others out.
    fn default() -> Self {
        Self {
            connections: 6_000,
            messages: 60_000,
            recipients: 300_000,
            tls_handshakes: 3_000,
            auth_failures: 20,
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
    /// A TLS handshake.
    pub handshake: Duration,
    /// The wait for a command and for a TLS handshake, and for a reply to be taken, while the client
    /// is neither in a listed network nor logged in. Its connection lasts six times as long at most.
    /// Where it could not log in, and while many such clients are there, a third counts.
    pub unadmitted: Duration,
    /// How long a message may come more slowly than [`Limits::data_rate`].
    pub data_grace: Duration,
    /// How long a wrong password is let wait for its refusal.
    pub auth_delay: Duration,
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
            handshake: Duration::from_secs(30),
            unadmitted: Duration::from_secs(30),
            data_grace: Duration::from_secs(60),
            auth_delay: Duration::from_secs(2),
            farewell: Duration::from_secs(2),
        }
    }
}
