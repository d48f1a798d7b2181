//! Why a message is not sent, in words and as a status.

use std::io;
use std::path::PathBuf;

use smtp::{Reply, ReplyError, Severity};
use thiserror::Error;

use super::options::UsageError;
use crate::cli::relay_or_disk::AnswerError;
use crate::cli::sysexit::Sysexit;

/// Why a message is not sent: not to anybody, whatever the reason.
#[derive(Debug, Error)]
pub(super) enum Failure {
    /// Only the members of a group may open the socket.
    #[error(
        "{}: permission denied: only the members of its group may send; see submission.socket_group \
         and submission.socket_mode", path.display()
    )]
    Forbidden {
        /// The socket.
        path: PathBuf,
    },
    /// The header section is larger than a relay takes.
    #[error("the header section is larger than {most} bytes")]
    HeaderTooLarge {
        /// What it may have.
        most: usize,
    },
    /// The message cannot be kept until it is whole.
    #[error("the message cannot be kept in the directory for temporary files")]
    Keep(#[source] io::Error),
    /// The connection to the relay broke off. It may have the message, if all of it was sent.
    #[error("the connection to the relay was lost")]
    Lost(#[source] io::Error),
    /// The message has no end.
    #[error("the message is larger than {most} bytes")]
    MessageTooLarge {
        /// What it may have.
        most: u64,
    },
    /// The queue cannot be printed.
    #[error(transparent)]
    NoAnswer(AnswerError),
    /// Nobody is named to send to.
    #[error("there is no recipient: name one on the command line, or in the header with -t")]
    NoRecipient,
    /// No relay answers.
    #[error(
        "no relay answers at {}: is it running, with this socket as its submission.socket?",
        path.display()
    )]
    NoRelay {
        /// The socket.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// Only operators see the queue.
    #[error(transparent)]
    NotAnOperator(AnswerError),
    /// A recipient is none.
    #[error("`{0}` is not an address")]
    NotARecipient(String),
    /// The sender is none.
    #[error("-f {0}: an address is expected")]
    NotASender(String),
    /// The relay does not speak SMTP.
    #[error("the relay's reply cannot be understood")]
    Reply(#[from] ReplyError),
    /// The message cannot be read.
    #[error("the message cannot be read from standard input")]
    Read(#[source] io::Error),
    /// The relay refuses.
    #[error("{command}: {}", reply.one_line())]
    Refused {
        /// What was said to it.
        command: String,
        /// What it replied.
        reply: Reply,
    },
    /// The command line is wrong.
    #[error(transparent)]
    Usage(#[from] UsageError),
    /// What was asked for cannot be written.
    #[error("standard output cannot be written")]
    Write(#[source] io::Error),
}

impl Failure {
    /// The exit status.
    pub(super) fn status(&self) -> Sysexit {
        match self {
            Self::Forbidden { .. } | Self::NotAnOperator(_) => Sysexit::NoPerm,
            Self::HeaderTooLarge { .. } | Self::MessageTooLarge { .. } | Self::NoAnswer(_) => {
                Sysexit::Unavailable
            }
            Self::Keep(_) | Self::Lost(_) | Self::NoRelay { .. } | Self::Reply(_) => {
                Sysexit::TempFail
            }
            Self::NoRecipient | Self::NotASender(_) | Self::Usage(_) => Sysexit::Usage,
            Self::NotARecipient(_) => Sysexit::NoUser,
            Self::Read(_) | Self::Write(_) => Sysexit::IoErr,
            Self::Refused { reply, .. } => of_reply(reply),
        }
    }
}

/// The status for a refusal. `X.1.Y` is a fault of an address (RFC 3463 §3.2).
fn of_reply(reply: &Reply) -> Sysexit {
    match (reply.severity(), reply.enhanced()) {
        (Severity::PermanentNegative, Some(code)) if code.subject() == 1 => Sysexit::NoUser,
        (Severity::PermanentNegative, _) => Sysexit::Unavailable,
        (
            Severity::PositiveCompletion
            | Severity::PositiveIntermediate
            | Severity::TransientNegative,
            _,
        ) => Sysexit::TempFail,
    }
}

#[cfg(test)]
mod tests {
    use smtp::ReplyReader;

    use super::*;

    #[test]
    fn a_refusals_status_says_whether_and_why_it_is_for_good() {
        for (reply, status) in [
            ("421 4.3.2 shutting down", Sysexit::TempFail),
            ("451 4.3.0 no room", Sysexit::TempFail),
            ("354 go on", Sysexit::TempFail),
            ("501 5.1.3 no address", Sysexit::NoUser),
            ("550 5.7.1 not from here", Sysexit::Unavailable),
            ("554 no", Sysexit::Unavailable),
        ] {
            let read = ReplyReader::new().line(reply.as_bytes()).unwrap().unwrap();
            let failure = Failure::Refused { command: "RCPT".to_owned(), reply: read };
            assert_eq!(failure.status(), status, "{reply}");
        }
    }
}
