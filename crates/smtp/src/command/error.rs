//! Why a line is no command, and the reply to it.

use std::str::Utf8Error;

use crate::enhanced::{Class, EnhancedCode};
use crate::path::PathError;
use crate::reply::{Reply, ReplyCode};

/// Why a line is no command.
///
/// A server makes [`ParameterNotOffered`](Self::ParameterNotOffered) and
/// [`Smtputf8Required`](Self::Smtputf8Required) itself where the line alone does not tell.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// Its arguments are missing or malformed.
    #[error("{syntax}")]
    Arguments {
        /// How the command is written.
        syntax: &'static str,
    },
    /// A parameter stands twice.
    #[error("parameter {keyword} given twice")]
    DuplicateParameter {
        /// Its name.
        keyword: &'static str,
    },
    /// The recipient is none.
    #[error(transparent)]
    ForwardPath(PathError),
    /// EHLO or HELO without a name.
    #[error("{syntax}")]
    HelloArguments {
        /// How the command is written.
        syntax: &'static str,
    },
    /// It has an argument where none may be.
    #[error("this command takes no argument")]
    NoArgumentsAllowed,
    /// The command exists and is not for this server.
    #[error("command not implemented")]
    NotImplemented,
    /// It is not even text.
    #[error("command is not UTF-8")]
    NotUtf8(#[source] Utf8Error),
    /// The parameter belongs to an extension that was not announced.
    #[error("parameter {keyword} is not offered here")]
    ParameterNotOffered {
        /// Its name.
        keyword: &'static str,
    },
    /// A parameter is not of the form `keyword` or `keyword=value`.
    #[error("malformed parameter")]
    ParameterSyntax,
    /// A parameter's value is malformed.
    #[error("bad value for parameter {keyword}")]
    ParameterValue {
        /// Its name.
        keyword: &'static str,
    },
    /// The sender is none.
    #[error(transparent)]
    ReversePath(PathError),
    /// An address goes beyond ASCII in a transaction without SMTPUTF8 (RFC 6531 §3.5).
    #[error("address with non-ASCII characters needs SMTPUTF8")]
    Smtputf8Required,
    /// A parameter nobody knows.
    #[error("unknown parameter {keyword}")]
    UnknownParameter {
        /// Its name: letters, digits and hyphens.
        keyword: String,
    },
    /// No such command.
    #[error("command not recognized")]
    Unrecognized,
}

impl CommandError {
    /// The refusal (RFC 5321 §4.2.4, RFC 3463 §3.2, §3.6, RFC 6531 §3.5). Replies to EHLO and HELO
    /// have no enhanced code (RFC 2034 §4).
    #[must_use]
    pub fn reply(&self) -> Reply {
        let (code, subject, detail) = match self {
            Self::HelloArguments { syntax } => {
                return Reply::new(ReplyCode::BAD_ARGUMENTS, None, syntax);
            }
            Self::NotUtf8(_) | Self::Unrecognized => (ReplyCode::UNRECOGNIZED, 5, 2),
            Self::NotImplemented => (ReplyCode::NOT_IMPLEMENTED, 5, 1),
            Self::Arguments { .. }
            | Self::DuplicateParameter { .. }
            | Self::NoArgumentsAllowed
            | Self::ParameterSyntax
            | Self::ParameterValue { .. } => (ReplyCode::BAD_ARGUMENTS, 5, 4),
            Self::ParameterNotOffered { .. } | Self::UnknownParameter { .. } => {
                (ReplyCode::UNKNOWN_PARAMETER, 5, 4)
            }
            Self::ReversePath(_) => (ReplyCode::BAD_ARGUMENTS, 1, 7),
            Self::ForwardPath(_) => (ReplyCode::BAD_ARGUMENTS, 1, 3),
            Self::Smtputf8Required => (ReplyCode::NAME_NOT_ALLOWED, 6, 7),
        };
        let enhanced = EnhancedCode::new(Class::Permanent, subject, detail);
        Reply::new(code, Some(enhanced), &self.to_string())
    }
}
