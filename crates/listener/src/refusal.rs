//! Everything a client can be refused, with the reply it gets and the name it has in logs.

use std::net::IpAddr;

use queue::{BeginError, CommitError};
use smtp::{
    Class, CommandError, DataFault, Domain, EnhancedCode, LineFault, Mailbox, Reply, ReplyCode,
    SaslError,
};

use crate::connections::NoPermit;
use crate::meters::Metered;

/// Why a connection, a command or a message is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// AUTH came a second time (RFC 4954 §4).
    #[error("authenticated already")]
    AuthenticatedAlready,
    /// The user's name or password is wrong; the reply does not say which.
    #[error("authentication failed")]
    AuthenticationFailed,
    /// Nobody submits here without logging in (RFC 4954 §6).
    #[error("authentication required{}", match .tls_first {
        true => "; send STARTTLS first",
        false => "",
    })]
    AuthenticationRequired {
        /// Whether TLS has to be started before.
        tls_first: bool,
    },
    /// The password would go over the network in clear (RFC 4954 §4).
    #[error("authentication needs TLS")]
    AuthenticationNeedsTls,
    /// The queue takes no message now.
    #[error(transparent)]
    Begin(#[from] BeginError),
    /// DATA came for a message without lines (RFC 3030 §3).
    #[error("a BINARYMIME message is sent by BDAT")]
    BinaryByData,
    /// Whose BDAT this is does not say how many octets follow: they would be taken for commands.
    #[error("syntax: BDAT size [LAST]")]
    ChunkOfUnknownSize,
    /// MAIL, RCPT or DATA came while chunks are sent (RFC 3030 §2).
    #[error("a message is being sent in chunks; end it with BDAT LAST or RSET")]
    ChunksBegun,
    /// No command, or one with bad arguments.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// The queue could not make the message durable.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// The connection has lasted as long as it may.
    #[error("connection open for too long")]
    ConnectionTooOld,
    /// The message's bytes cannot be passed on. The one fault that the settings can repair names them.
    #[error("{}{}", .0, match .0 {
        DataFault::BareLf => "; submission.bare_newlines = \"repair\" accepts it",
        DataFault::BareCr | DataFault::LineTooLong => "",
    })]
    Data(#[from] DataFault),
    /// The header section is larger than allowed.
    #[error("header section larger than {limit} bytes")]
    HeaderTooLarge {
        /// What is allowed.
        limit: u64,
    },
    /// The client is a gateway: who is behind it is unknown.
    #[error(
        "{peer} is this host's default gateway; to allow it, list its address by itself in \
         access.networks"
    )]
    Gateway {
        /// The client.
        peer: IpAddr,
    },
    /// MAIL came before EHLO.
    #[error("send EHLO first")]
    HelloFirst,
    /// The client is somebody else's, made to talk to us (cross-protocol request forgery).
    #[error("this is not HTTP")]
    Http,
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
    #[error("send MAIL first")]
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
    /// Only listed proxies may connect here.
    #[error("connect through the proxy; it has to be listed in access.proxies")]
    NotAProxy,
    /// The proxy did not say for whom it connects.
    #[error("PROXY header expected")]
    NoProxyHeader,
    /// The command belongs to an extension that was not announced, or is never done here.
    #[error("{command} is not offered here")]
    NotOffered {
        /// The command.
        command: &'static str,
    },
    /// Too many connections.
    #[error("{}", match .0 {
        NoPermit::ForClient => "too many connections from your address",
        NoPermit::InAll => "too many connections",
    })]
    NoPermit(NoPermit),
    /// The message should be signed, and no key of its author's domain can.
    #[error("no DKIM key record of your domain is published; mail from it waits")]
    NoKeyPublished,
    /// DATA came, and nobody is to have the message.
    #[error("no valid recipients")]
    NoRecipients,
    /// The message could not be signed.
    #[error("the message could not be signed, try again later")]
    NotSigned,
    /// The message holds a NUL, which no body type allows (RFC 2045 §2.7, §2.8); a host that drops
    /// it may see the end of the data where we saw none.
    #[error("message has a NUL")]
    NulInMessage,
    /// Commands came behind STARTTLS in clear: who sent them is unknown (CVE-2011-0411).
    #[error("commands sent after STARTTLS")]
    PipelinedStartTls,
    /// The dialogue of AUTH went wrong.
    #[error(transparent)]
    Sasl(#[from] SaslError),
    /// The user may not send from this address (RFC 6409 §6.1).
    #[error("{user} may not send from this address")]
    SenderNotAllowed {
        /// The user.
        user: String,
    },
    /// The network's hosts may not send from this address.
    #[error(
        "{peer} may not send from this address; it has to be listed in senders of its [[access.network]]"
    )]
    SenderNotOfNetwork {
        /// The client.
        peer: IpAddr,
    },
    /// Mail may not be sent to this address.
    #[error("{mailbox} may not be sent mail from here; it has to be listed in access.recipients")]
    RecipientNotAllowed {
        /// The recipient.
        mailbox: Mailbox,
    },
    /// Staging lets no mail through to this address.
    #[error(
        "{mailbox} may not be sent mail from here: staging is on, and staging.allow does not list it"
    )]
    RefusedByStaging {
        /// The recipient.
        mailbox: Mailbox,
    },
    /// The From field names somebody that the user may not send as.
    #[error("From: you may not send as {mailbox}")]
    FromNotAllowed {
        /// Whom.
        mailbox: Mailbox,
    },
    /// There is more than one From field, or one that can be read in more than one way.
    #[error("From: one field with well-formed addresses is expected")]
    FromUnclear,
    /// The relay stops.
    #[error("shutting down")]
    ShuttingDown,
    /// The client did not wait for the greeting.
    #[error("command sent before the greeting")]
    SpokeFirst,
    /// Nothing came for too long.
    #[error("timed out waiting for the client")]
    TimedOut,
    /// The message comes too slowly.
    #[error("message sent too slowly")]
    TooSlow,
    /// The client does this too often.
    #[error("too many {}; come back later", match .0 {
        Metered::AuthFailure => "failed authentications",
        Metered::Connection => "connections in a short time",
        Metered::Handshake => "TLS handshakes in a short time",
        Metered::Message => "messages in a short time",
        Metered::Recipient => "recipients in a short time",
    })]
    TooOften(Metered),
    /// Too many wrong passwords on one connection.
    #[error("too many failed authentications")]
    TooManyAuthFailures,
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
    /// AUTH by something else than PLAIN and LOGIN.
    #[error("authentication mechanism not offered")]
    UnknownMechanism,
}

impl Refusal {
    /// The reply to the client. A reply that ends the connection begins with the host's name
    /// (RFC 5321 §4.2.3).
    pub(crate) fn reply(&self, hostname: &Domain) -> Reply {
        let (temporary, permanent) = (Class::PersistentTransient, Class::Permanent);
        let (code, class, subject, detail) = match self {
            Self::Command(error) => return error.reply(),
            Self::Line(fault) => return fault.reply(),
            Self::Begin(error) => return error.reply(),
            Self::Commit(error) => return error.reply(),
            Self::Sasl(error) => return error.reply(),
            Self::AuthenticationFailed => (ReplyCode::AUTHENTICATION_FAILED, permanent, 7, 8),
            Self::AuthenticationNeedsTls => (ReplyCode::ENCRYPTION_REQUIRED, permanent, 7, 11),
            Self::AuthenticationRequired { .. } => {
                (ReplyCode::AUTHENTICATION_REQUIRED, permanent, 7, 0)
            }
            Self::ChunkOfUnknownSize => (ReplyCode::BAD_ARGUMENTS, permanent, 5, 4),
            Self::UnknownMechanism => (ReplyCode::PARAMETER_NOT_IMPLEMENTED, permanent, 5, 4),
            Self::NotAProxy | Self::NoProxyHeader => {
                (ReplyCode::TRANSACTION_FAILED, permanent, 7, 1)
            }
            Self::TooOften(Metered::Handshake) => (ReplyCode::TEMPORARY_FAILURE, temporary, 7, 0),
            Self::TooOften(Metered::Message) => (ReplyCode::LOCAL_ERROR, temporary, 7, 1),
            Self::TooOften(Metered::Recipient) => {
                (ReplyCode::INSUFFICIENT_STORAGE, temporary, 5, 3)
            }
            Self::HeaderTooLarge { .. } | Self::MessageTooLarge { .. } => {
                (ReplyCode::TOO_LARGE, permanent, 3, 4)
            }
            Self::AuthenticatedAlready
            | Self::BinaryByData
            | Self::ChunksBegun
            | Self::HelloFirst
            | Self::MailFirst
            | Self::NestedMail => (ReplyCode::BAD_SEQUENCE, permanent, 5, 1),
            Self::Loop { .. } => (ReplyCode::TRANSACTION_FAILED, permanent, 4, 6),
            Self::Http | Self::NoRecipients => (ReplyCode::TRANSACTION_FAILED, permanent, 5, 1),
            Self::FromNotAllowed { .. }
            | Self::FromUnclear
            | Self::Gateway { .. }
            | Self::NotAdmitted { .. }
            | Self::RecipientNotAllowed { .. }
            | Self::RefusedByStaging { .. }
            | Self::SenderNotAllowed { .. }
            | Self::SenderNotOfNetwork { .. } => (ReplyCode::REFUSED, permanent, 7, 1),
            Self::NotOffered { .. } => (ReplyCode::NOT_IMPLEMENTED, permanent, 5, 1),
            Self::Data(_) | Self::NulInMessage => (ReplyCode::TRANSACTION_FAILED, permanent, 6, 0),
            Self::NoKeyPublished => (ReplyCode::LOCAL_ERROR, temporary, 7, 5),
            Self::NotSigned => (ReplyCode::LOCAL_ERROR, temporary, 3, 0),
            Self::SpokeFirst => (ReplyCode::TRANSACTION_FAILED, permanent, 5, 0),
            Self::TooManyRecipients => (ReplyCode::INSUFFICIENT_STORAGE, temporary, 5, 3),
            Self::MessageBeforeGoAhead | Self::PipelinedStartTls => {
                (ReplyCode::NOT_AVAILABLE, temporary, 5, 0)
            }
            Self::ShuttingDown => (ReplyCode::NOT_AVAILABLE, temporary, 3, 2),
            Self::ConnectionTooOld | Self::TimedOut | Self::TooSlow => {
                (ReplyCode::NOT_AVAILABLE, temporary, 4, 2)
            }
            Self::NoPermit(_)
            | Self::TooManyAuthFailures
            | Self::TooManyCommands
            | Self::TooManyErrors
            | Self::TooManyMessages
            | Self::TooOften(Metered::AuthFailure | Metered::Connection) => {
                (ReplyCode::NOT_AVAILABLE, temporary, 7, 0)
            }
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
            Self::AuthenticationFailed => "authentication",
            Self::AuthenticationNeedsTls => "authentication-needs-tls",
            Self::AuthenticationRequired { .. } => "authentication-required",
            Self::Begin(_) | Self::Commit(_) => "queue",
            Self::ChunkOfUnknownSize => "chunk-size",
            Self::Command(_) => "command",
            Self::ConnectionTooOld => "connection-too-old",
            Self::Data(DataFault::BareCr | DataFault::BareLf) => "bare-line-end",
            Self::Data(DataFault::LineTooLong) | Self::Line(LineFault::TooLong) => "line-too-long",
            Self::FromNotAllowed { .. } | Self::FromUnclear => "from-not-allowed",
            Self::Gateway { .. } => "gateway",
            Self::HeaderTooLarge { .. } => "header-too-large",
            Self::AuthenticatedAlready
            | Self::BinaryByData
            | Self::ChunksBegun
            | Self::HelloFirst
            | Self::MailFirst
            | Self::NestedMail => "sequence",
            Self::Http => "http",
            Self::Line(LineFault::BareCr | LineFault::BareLf | LineFault::Nul) => "bad-line",
            Self::Loop { .. } => "loop",
            Self::MessageBeforeGoAhead => "message-before-354",
            Self::MessageTooLarge { .. } => "message-too-large",
            Self::NotAdmitted { .. } => "not-admitted",
            Self::NotAProxy | Self::NoProxyHeader => "proxy",
            Self::NotOffered { .. } | Self::UnknownMechanism => "not-offered",
            Self::NoPermit(NoPermit::ForClient) => "connections-per-client",
            Self::NoPermit(NoPermit::InAll) => "connections",
            Self::NoKeyPublished | Self::NotSigned => "not-signed",
            Self::NoRecipients => "no-recipients",
            Self::NulInMessage => "nul",
            Self::PipelinedStartTls => "starttls-injection",
            Self::Sasl(_) => "authentication-dialogue",
            Self::RecipientNotAllowed { .. } => "recipient-not-allowed",
            Self::RefusedByStaging { .. } => "staging",
            Self::SenderNotAllowed { .. } | Self::SenderNotOfNetwork { .. } => "sender-not-allowed",
            Self::ShuttingDown => "shutting-down",
            Self::SpokeFirst => "spoke-first",
            Self::TimedOut => "timed-out",
            Self::TooManyAuthFailures => "authentication-failures",
            Self::TooManyCommands => "commands",
            Self::TooManyErrors => "errors",
            Self::TooManyMessages => "messages",
            Self::TooManyRecipients => "recipients",
            Self::TooOften(Metered::AuthFailure) => "authentication-rate",
            Self::TooOften(Metered::Connection) => "connection-rate",
            Self::TooOften(Metered::Handshake) => "handshake-rate",
            Self::TooOften(Metered::Message) => "message-rate",
            Self::TooOften(Metered::Recipient) => "recipient-rate",
            Self::TooSlow => "too-slow",
        }
    }
}
