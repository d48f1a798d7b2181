//! What a host replied for one recipient, and to which step of a transaction.

use std::io;
use std::time::Duration;

use smtp::{Reply, ReplyCode, Severity};

use crate::dialogue::DialogueError;
use crate::settings::Timeouts;

/// What a host replied for one recipient in a transaction.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum RecipientReply {
    /// The connection failed before the message was sent; the peer has not got it.
    Cut {
        /// In which step.
        step: Step,
        /// How.
        error: DialogueError,
    },
    /// The connection failed between the final dot and its reply; the peer may have the message.
    InDoubt(DialogueError),
    /// The peer replied 4yz or 5yz.
    Refused {
        /// To what.
        step: Step,
        /// What it said.
        reply: Reply,
    },
    /// The peer has taken the message (RFC 5321 §6.1).
    Taken(Reply),
    /// The peer cannot take such a message.
    Unfit(Unfit),
    /// We could not read the message ourselves; the peer has not got all of it.
    Unreadable(io::ErrorKind),
}

impl RecipientReply {
    /// Whether the host closed the connection before it got any of the message; with 421 it may have
    /// said so (RFC 5321 §3.8).
    pub(crate) fn is_cut_off(&self) -> bool {
        match self {
            Self::Cut { step, .. } => *step != Step::Message,
            Self::Refused { step, reply } => {
                *step != Step::Message && reply.code() == ReplyCode::NOT_AVAILABLE
            }
            Self::InDoubt(_) | Self::Taken(_) | Self::Unfit(_) | Self::Unreadable(_) => false,
        }
    }
}

/// What a peer lacks for a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum Unfit {
    /// RFC 3030 §3.
    #[error(
        "the host does not take binary messages (BINARYMIME and CHUNKING), and this relay does \
         not convert them: it has to be sent again in another encoding, such as base64"
    )]
    Binary,
    /// RFC 6152 §3.
    #[error(
        "the host does not take 8-bit messages (8BITMIME), and this relay does not convert them: \
         it has to be sent again in another encoding, such as quoted-printable"
    )]
    EightBit,
    /// RFC 6531 §3.2.
    #[error(
        "the host does not take internationalised mail (SMTPUTF8), and this relay does not convert \
         it: it has to be sent again with no letters but ASCII in its addresses and header fields, \
         where a subject or a name can be written as encoded words (RFC 2047)"
    )]
    Smtputf8,
    /// RFC 1870 §6.
    #[error("the message has {size} bytes and the host takes {limit} at most")]
    TooLarge {
        /// The message's size.
        size: u64,
        /// The host's limit.
        limit: u64,
    },
}

/// A step of a transaction.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Step {
    /// The sender.
    Mail,
    /// A recipient.
    Rcpt,
    /// The permission to send the message.
    Data,
    /// The message, up to the reply to the final dot.
    Message,
}

impl Step {
    /// The step's name, as it stands behind "in reply to".
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Mail => "MAIL",
            Self::Rcpt => "RCPT",
            Self::Data => "DATA",
            Self::Message => "the message",
        }
    }

    /// How long its reply may take (RFC 5321 §4.5.3.2).
    pub(crate) const fn limit(self, timeouts: &Timeouts) -> Duration {
        match self {
            Self::Mail => timeouts.mail,
            Self::Rcpt => timeouts.rcpt,
            Self::Data => timeouts.data_initiation,
            Self::Message => timeouts.data_termination,
        }
    }

    /// Whether a reply of this kind can be one to this step (RFC 5321 §4.3.2).
    pub(crate) fn may_hear(self, severity: Severity) -> bool {
        let expected = match self {
            Self::Mail | Self::Rcpt | Self::Message => Severity::PositiveCompletion,
            Self::Data => Severity::PositiveIntermediate,
        };
        severity == expected || is_negative(severity)
    }
}

/// Whether a reply refuses something.
pub(crate) const fn is_negative(severity: Severity) -> bool {
    match severity {
        Severity::PositiveCompletion | Severity::PositiveIntermediate => false,
        Severity::TransientNegative | Severity::PermanentNegative => true,
    }
}
