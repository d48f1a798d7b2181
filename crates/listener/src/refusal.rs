//! Everything a client can be refused, with the reply it gets and the name it has in logs.

use std::net::IpAddr;

use queue::{BeginError, CommitError};
use smtp::{Class, CommandError, DataFault, Domain, EnhancedCode, LineFault, Reply, ReplyCode};

use crate::connections::NoPlace;

/// Why a connection, a command or a message is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// The queue takes no message now.
    #[error(transparent)]
    Begin(#[from] BeginError),
    /// No command, or one with bad arguments.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// The queue could not make the message durable.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// The connection has lasted as long as it may.
    #[error("connection open for too long")]
    ConnectionTooOld,
    /// The message's bytes cannot be passed on.
    #[error(transparent)]
    Data(#[from] DataFault),
    /// The header section is larger than allowed.
    #[error("header section larger than {limit} bytes")]
    HeaderTooLarge {
        /// What is allowed.
        limit: u64,
    },
    /// MAIL came before EHLO.
    #[error("say EHLO first")]
    HelloFirst,
    /// No line at all (RFC 5321 §2.3.8).
    #[error(transparent)]
    Line(#[from] LineFault),
    /// The message has passed too many hosts (RFC 5321 §6.3).
    #[error("mail loop: {limit} or more Received header fields")]
    Loop {
        /// From how many on it is a loop.
        limit: usize,
    },
    /// The message followed a DATA that was refused: its lines would be taken for commands.
    #[error("message sent without waiting for 354")]
    MessageBeforeGoAhead,
    /// The message is larger than allowed.
    #[error("message larger than {limit} bytes")]
    MessageTooLarge {
        /// What is allowed.
        limit: u64,
    },
    /// RCPT or DATA came before MAIL.
    #[error("say MAIL first")]
    MailFirst,
    /// MAIL came within a transaction (RFC 5321 §4.1.4).
    #[error("a mail transaction is open already")]
    NestedMail,
    /// No network that may submit holds the client.
    #[error("{peer} may not submit mail here; its network has to be listed in access.networks")]
    NotAdmitted {
        /// The client.
        peer: IpAddr,
    },
    /// The command belongs to an extension that was not announced, or is never done here.
    #[error("{command} is not offered here")]
    NotOffered {
        /// The command.
        command: &'static str,
    },
    /// Too many connections.
    #[error("{}", match .0 {
        NoPlace::ForClient => "too many connections from your address",
        NoPlace::InAll => "too many connections",
    })]
    NoPlace(NoPlace),
    /// DATA came, and nobody is to have the message.
    #[error("no valid recipients")]
    NoRecipients,
    /// The message holds a NUL, which no body type allows (RFC 2045 §2.7, §2.8); a host that drops
    /// it may see the end of the data where we saw none.
    #[error("message has a NUL")]
    NulInMessage,
    /// The relay stops.
    #[error("shutting down")]
    ShuttingDown,
    /// The client did not wait for the greeting.
    #[error("command sent before the greeting")]
    SpokeFirst,
    /// Nothing came for too long.
    #[error("timed out waiting for the client")]
    TimedOut,
    /// Too many commands on one connection.
    #[error("too many commands")]
    TooManyCommands,
    /// Too many errors on one connection.
    #[error("too many errors")]
    TooManyErrors,
    /// Too many messages on one connection.
    #[error("too many messages on one connection")]
    TooManyMessages,
    /// Too many recipients of one message (RFC 5321 §4.5.3.1.10).
    #[error("too many recipients")]
    TooManyRecipients,
}

impl Refusal {
    /// What the client is told. A reply that ends the connection begins with the host's name
    /// (RFC 5321 §4.2.3).
    pub(crate) fn reply(&self, hostname: &Domain) -> Reply {
        let temporary = Class::PersistentTransient;
        let (code, class, subject, detail) = match self {
            Self::Command(error) => return error.reply(),
            Self::Data(fault) => return fault.reply(),
            Self::Line(fault) => return fault.reply(),
            Self::Begin(error) => return error.reply(),
            Self::Commit(error) => return error.reply(),
            Self::HeaderTooLarge { .. } | Self::MessageTooLarge { .. } => {
                (ReplyCode::TOO_LARGE, Class::Permanent, 3, 4)
            }
            Self::HelloFirst | Self::MailFirst | Self::NestedMail => {
                (ReplyCode::BAD_SEQUENCE, Class::Permanent, 5, 1)
            }
            Self::Loop { .. } => (ReplyCode::TRANSACTION_FAILED, Class::Permanent, 4, 6),
            Self::NoRecipients => (ReplyCode::TRANSACTION_FAILED, Class::Permanent, 5, 1),
            Self::NotAdmitted { .. } => (ReplyCode::REFUSED, Class::Permanent, 7, 1),
            Self::NotOffered { .. } => (ReplyCode::NOT_IMPLEMENTED, Class::Permanent, 5, 1),
            Self::NulInMessage => (ReplyCode::TRANSACTION_FAILED, Class::Permanent, 6, 0),
            Self::SpokeFirst => (ReplyCode::TRANSACTION_FAILED, Class::Permanent, 5, 0),
            Self::TooManyRecipients => (ReplyCode::INSUFFICIENT_STORAGE, temporary, 5, 3),
            Self::MessageBeforeGoAhead => (ReplyCode::NOT_AVAILABLE, temporary, 5, 0),
            Self::ShuttingDown => (ReplyCode::NOT_AVAILABLE, temporary, 3, 2),
            Self::ConnectionTooOld | Self::TimedOut => (ReplyCode::NOT_AVAILABLE, temporary, 4, 2),
            Self::NoPlace(_)
            | Self::TooManyCommands
            | Self::TooManyErrors
            | Self::TooManyMessages => (ReplyCode::NOT_AVAILABLE, temporary, 7, 0),
        };
        let text = if code == ReplyCode::NOT_AVAILABLE || matches!(self, Self::SpokeFirst) {
            format!("{hostname} {self}")
        } else {
            self.to_string()
        };
        Reply::new(code, Some(EnhancedCode::new(class, subject, detail)), &text)
    }

    /// The name of the reason in logs and metrics.
    pub(crate) const fn label(&self) -> &'static str {
        match self {
            Self::Begin(_) | Self::Commit(_) => "queue",
            Self::Command(_) => "command",
            Self::ConnectionTooOld => "connection-too-old",
            Self::Data(DataFault::BareCr | DataFault::BareLf) => "bare-line-end",
            Self::Data(DataFault::LineTooLong) | Self::Line(LineFault::TooLong) => "line-too-long",
            Self::HeaderTooLarge { .. } => "header-too-large",
            Self::HelloFirst | Self::MailFirst | Self::NestedMail => "sequence",
            Self::Line(LineFault::BareCr | LineFault::BareLf | LineFault::Nul) => "bad-line",
            Self::Loop { .. } => "loop",
            Self::MessageBeforeGoAhead => "message-before-354",
            Self::MessageTooLarge { .. } => "message-too-large",
            Self::NotAdmitted { .. } => "not-admitted",
            Self::NotOffered { .. } => "not-offered",
            Self::NoPlace(NoPlace::ForClient) => "connections-per-client",
            Self::NoPlace(NoPlace::InAll) => "connections",
            Self::NoRecipients => "no-recipients",
            Self::NulInMessage => "nul",
            Self::ShuttingDown => "shutting-down",
            Self::SpokeFirst => "spoke-first",
            Self::TimedOut => "timed-out",
            Self::TooManyCommands => "commands",
            Self::TooManyErrors => "errors",
            Self::TooManyMessages => "messages",
            Self::TooManyRecipients => "recipients",
        }
    }
}
