//! Why no session came about with a host, and what that is called elsewhere.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use mail::{FailureCause, ReasonClass};
use pkix::io_words;
use smtp::{Class, EnhancedCode, Reply};
use tls_rpt::ResultType;

use crate::account::SecretError;
use crate::dialogue::DialogueError;
use crate::line_io::BytesLeft;
use crate::status::Status;
use crate::tls::handshake_failure::HandshakeFailure;

/// Why no session came about with a host.
///
/// None of these is permanent: another host, or the same one later, may do better.
#[derive(Debug, thiserror::Error)]
pub enum SessionFailure {
    /// There is no TCP connection.
    #[error("connection failed: {words}", words = io_words(.0))]
    Connect(io::Error),
    /// There was no TCP connection in time.
    #[error("connection timed out")]
    ConnectTimedOut,
    /// The dialogue ended before mail could be sent.
    #[error("{error} (at {stage})")]
    Dialogue {
        /// What was being said.
        stage: Stage,
        /// How it ended.
        error: DialogueError,
    },
    /// The address did not answer a while ago, and is not asked again yet.
    #[error("skipped: connection failed {} s ago ({why})", .ago.as_secs())]
    LeftAlone {
        /// How long ago that was.
        ago: Duration,
        /// What went wrong then.
        why: Arc<str>,
    },
    /// The host does not let us in.
    #[error("authentication failed: {0}")]
    Login(#[from] LoginFailure),
    /// As many attempts as may are at the address, and none of them has heard anything for a while.
    #[error(
        "skipped: no reply from this address for {} s (open connections: {connections})",
        .silent.as_secs()
    )]
    Silent {
        /// How many there are.
        connections: usize,
        /// How long nothing was heard.
        silent: Duration,
    },
    /// The host turned out to be this relay (RFC 5321 §6.3).
    #[error("the address is this relay's own")]
    Ourselves,
    /// The host does not want to talk to us.
    #[error("refused {stage}: {reply}", reply = .reply.one_line())]
    Refused {
        /// What it refused.
        stage: Stage,
        /// What it said.
        reply: Reply,
    },
    /// TLS failed where it had to succeed.
    #[error("{0}")]
    Tls(#[from] TlsFailure),
}

/// Why we are not logged in.
#[derive(Debug, thiserror::Error)]
pub enum LoginFailure {
    /// The host offers no mechanism that may be used.
    #[error("server offers none of the configured AUTH mechanisms")]
    NotOffered,
    /// The host refused name and secret, or the way they were said.
    #[error("{mechanism} for {name} was refused: {reply}", reply = .reply.one_line())]
    Refused {
        /// The mechanism.
        mechanism: &'static str,
        /// The account's name.
        name: String,
        /// What the host said.
        reply: Reply,
    },
    /// There is no secret to log in with.
    #[error("{0}")]
    Secret(#[from] SecretError),
}

/// What a session begins with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Stage {
    /// The connection.
    Connect,
    /// The greeting.
    Greeting,
    /// EHLO, or HELO.
    Hello,
    /// EHLO again, under TLS.
    HelloAgain,
    /// AUTH.
    Login,
}

impl std::fmt::Display for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Connect => "connecting",
            Self::Greeting => "greeting",
            Self::Hello => "EHLO",
            Self::HelloAgain => "EHLO under TLS",
            Self::Login => "AUTH",
        })
    }
}

/// Why TLS did not come about, or did not prove what it had to.
#[derive(Debug, thiserror::Error)]
pub enum TlsFailure {
    /// The connection failed between STARTTLS and its reply.
    #[error("STARTTLS was not answered: {0}")]
    Cut(DialogueError),
    /// The handshake failed.
    #[error("{0}")]
    Handshake(#[source] HandshakeFailure),
    /// Something was said in clear behind the leave to begin TLS: an attack (RFC 3207 §4.2).
    #[error("{0}")]
    Injected(#[source] BytesLeft),
    /// The MX host's name is not one that TLS can prove.
    #[error("{0} is not a valid TLS server name")]
    NotAName(String),
    /// The EHLO reply lacked STARTTLS.
    #[error("STARTTLS was not offered")]
    NotOffered,
    /// STARTTLS was offered and then refused.
    #[error("STARTTLS was refused: {reply}", reply = .0.one_line())]
    Refused(Reply),
}

impl SessionFailure {
    /// The failure in RFC 3463's numbers: the host's own, where it refused the session with some.
    #[must_use]
    pub fn enhanced_code(&self) -> EnhancedCode {
        let given = match self {
            Self::Refused { reply, .. } => reply.enhanced(),
            Self::Connect(_)
            | Self::ConnectTimedOut
            | Self::Dialogue { .. }
            | Self::LeftAlone { .. }
            | Self::Login(_)
            | Self::Ourselves
            | Self::Silent { .. }
            | Self::Tls(_) => None,
        };
        let status = || self.status().code();
        given.map_or_else(status, |code| code.with_class(Class::PersistentTransient))
    }

    /// The failure as a status of our own.
    fn status(&self) -> Status {
        match self {
            Self::Connect(_)
            | Self::ConnectTimedOut
            | Self::LeftAlone { .. }
            | Self::Silent { .. } => Status::NoAnswer,
            Self::Dialogue { error, .. } => error.status(),
            Self::Login(LoginFailure::NotOffered | LoginFailure::Refused { .. }) => {
                Status::Credentials
            }
            Self::Login(LoginFailure::Secret(_)) => Status::OwnSystem,
            Self::Ourselves => Status::Loop,
            Self::Refused { .. } => Status::NotAccepting,
            Self::Tls(failure) => failure.status(),
        }
    }

    /// What kind of failure it is where no policy asks for the session.
    pub(crate) fn cause(&self) -> FailureCause {
        match self.reply() {
            Some(_) => FailureCause::Refused,
            None => self.status().cause(),
        }
    }

    /// What mail waits for that this failure puts off; where a policy asks for TLS, that is the
    /// policy.
    #[must_use]
    pub const fn class(&self) -> ReasonClass {
        match self {
            Self::Connect(_)
            | Self::ConnectTimedOut
            | Self::Dialogue { .. }
            | Self::LeftAlone { .. }
            | Self::Silent { .. } => ReasonClass::Connect,
            Self::Login(LoginFailure::NotOffered | LoginFailure::Refused { .. })
            | Self::Refused { .. } => ReasonClass::Reply,
            Self::Login(LoginFailure::Secret(_)) | Self::Ourselves => ReasonClass::Other,
            Self::Tls(_) => ReasonClass::Tls,
        }
    }

    /// What the host said, where its reply is the failure.
    #[must_use]
    pub const fn reply(&self) -> Option<&Reply> {
        match self {
            Self::Login(LoginFailure::Refused { reply, .. })
            | Self::Refused { reply, .. }
            | Self::Tls(TlsFailure::Refused(reply)) => Some(reply),
            Self::Connect(_)
            | Self::ConnectTimedOut
            | Self::Dialogue { .. }
            | Self::LeftAlone { .. }
            | Self::Silent { .. }
            | Self::Login(LoginFailure::NotOffered | LoginFailure::Secret(_))
            | Self::Ourselves
            | Self::Tls(
                TlsFailure::Cut(_)
                | TlsFailure::Handshake(_)
                | TlsFailure::Injected(_)
                | TlsFailure::NotAName(_)
                | TlsFailure::NotOffered,
            ) => None,
        }
    }
}

impl TlsFailure {
    /// What a report calls it (RFC 8460 §4.3).
    #[must_use]
    pub fn result_type(&self) -> ResultType {
        match self {
            Self::Handshake(failure) => failure.result_type(),
            Self::NotOffered | Self::Refused(_) => ResultType::StarttlsNotSupported,
            Self::Cut(_) | Self::Injected(_) | Self::NotAName(_) => ResultType::ValidationFailure,
        }
    }

    /// The failure as a status of our own.
    const fn status(&self) -> Status {
        match self {
            Self::NotOffered | Self::Refused(_) => Status::EncryptionNeeded,
            Self::Cut(_) | Self::Handshake(_) | Self::NotAName(_) => Status::Cryptography,
            Self::Injected(_) => Status::Security,
        }
    }

    /// A word for a metric: where TLS failed.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::Cut(_) => "closed",
            Self::Handshake(failure) => failure.label(),
            Self::Injected(_) => "injected",
            Self::NotAName(_) => "name",
            Self::NotOffered => "not-offered",
            Self::Refused(_) => "refused",
        }
    }

    /// Whether someone seems to have meddled with the connection.
    #[must_use]
    pub const fn is_attack(&self) -> bool {
        matches!(self, Self::Injected(_))
    }
}
