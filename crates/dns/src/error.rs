//! Why a lookup cannot tell.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;

/// The question stays open; none of these ever means that a record is absent.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LookupError {
    /// The resolver says that DNSSEC validation failed (SERVFAIL with an extended error, RFC 8914).
    #[error("DNSSEC validation failed")]
    Bogus,
    /// An answer came that means nothing.
    #[error("malformed answer: {source}")]
    Malformed {
        /// What is wrong with it.
        source: Malformation,
    },
    /// The question could not be put, or the server would not say.
    #[error("{source}")]
    Other {
        /// What stood in the way.
        source: Obstacle,
    },
    /// A resolver answered REFUSED.
    #[error("resolver {server} refused to answer")]
    Refused {
        /// Which one.
        server: SocketAddr,
    },
    /// A resolver answered SERVFAIL.
    #[error("resolver {server} answered SERVFAIL")]
    ServFail {
        /// Which one.
        server: SocketAddr,
    },
    /// No resolver answered in time.
    #[error("no resolver answered in time")]
    TimedOut,
}

impl LookupError {
    /// One word for a metric or a log field.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Bogus => "bogus",
            Self::Malformed { .. } => "malformed",
            Self::Other { .. } => "other",
            Self::Refused { .. } => "refused",
            Self::ServFail { .. } => "servfail",
            Self::TimedOut => "timeout",
        }
    }

    /// Whether it may mean that validation failed; many validators say no more than SERVFAIL.
    pub(crate) const fn may_be_validation(&self) -> bool {
        match self {
            Self::Bogus | Self::ServFail { .. } => true,
            Self::Malformed { .. } | Self::Other { .. } | Self::Refused { .. } | Self::TimedOut => {
                false
            }
        }
    }

    /// Something stood between us and the server's word, so that the same server may yet give it.
    pub(crate) const fn is_silence(&self) -> bool {
        match self {
            Self::TimedOut | Self::Other { source: Obstacle::Transport { .. } } => true,
            Self::Bogus
            | Self::Malformed { .. }
            | Self::Other { source: Obstacle::NotAName(_) | Obstacle::Rcode(_) }
            | Self::Refused { .. }
            | Self::ServFail { .. } => false,
        }
    }
}

impl From<Malformation> for LookupError {
    fn from(source: Malformation) -> Self {
        Self::Malformed { source }
    }
}

impl From<Obstacle> for LookupError {
    fn from(source: Obstacle) -> Self {
        Self::Other { source }
    }
}

/// What is wrong with an answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Malformation {
    /// The aliases lead back to one of themselves.
    #[error("the CNAME records form a loop")]
    CnameLoop,
    /// The answer says that the name does not exist, and gives its records.
    #[error("NXDOMAIN with records of the name")]
    Contradiction,
    /// The answer is to a question that was not asked.
    #[error("it answers another question")]
    OtherQuestion,
    /// The server does not know, does not ask, and names others instead.
    #[error("a referral, from a server that should resolve")]
    Referral,
    /// The answer is cut short, over TCP as well.
    #[error("truncated over TCP")]
    Truncated,
    /// The octets are not a DNS message.
    #[error("not a DNS message: {source}")]
    Undecodable {
        /// What the decoder says.
        source: Arc<dyn Error + Send + Sync>,
    },
}

/// What stood in the way of an answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Obstacle {
    /// The text is not a domain name in letters, digits, hyphens and underscores.
    #[error("{0:?} is not a domain name")]
    NotAName(String),
    /// The server answered with an RCODE that has no other variant here.
    #[error("the resolver answered with RCODE {0}")]
    Rcode(u16),
    /// The server could not be reached, or the connection broke.
    #[error("the resolver cannot be reached: {source}")]
    Transport {
        /// What the network says.
        source: Arc<dyn Error + Send + Sync>,
    },
}
