//! What became of a recipient in one attempt.

use std::net::SocketAddr;

use smtp::EnhancedCode;

/// What became of one recipient.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// It is out of our hands for ever; the bounce, if any, travels with the settlement.
    Bounced(Reason),
    /// To be tried again.
    Deferred(Reason),
    /// The next host has taken responsibility (RFC 5321 §6.1).
    Delivered {
        /// The host that took it.
        mx: String,
        /// The address at which it was reached, where that is known.
        addr: Option<SocketAddr>,
        /// What it said.
        reply: String,
    },
}

/// Why a recipient was deferred or bounced.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Reason {
    /// The status in RFC 3463's numbers.
    pub enhanced: EnhancedCode,
    /// What the recipient waits for.
    pub class: ReasonClass,
    /// The same in words.
    pub text: String,
    /// What failed at the host, without names: the shortest form of `text`, for tables.
    pub cause: Option<String>,
    /// The host that was tried, where one was.
    pub mx: Option<String>,
    /// The address at which it was tried, where one was.
    pub addr: Option<SocketAddr>,
    /// What it replied, where it did.
    pub reply: Option<String>,
    /// The policy that stood in the way, where one did.
    pub policy: Option<String>,
}

/// What stood in the way of a recipient, and so whose turn it is to act.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum ReasonClass {
    /// There was no connection to a host, or it broke.
    Connect,
    /// The TLSA records of the hosts, which no host met or which are not known (RFC 7672 §2.2).
    Dane,
    /// The DNS did not say where the hosts are.
    Dns,
    /// None of the others: something of this relay's own, mostly.
    Other,
    /// An enforced policy that no host met (RFC 8461 §5).
    Policy,
    /// What a host replied.
    Reply,
    /// TLS, where a route and no policy asks for it.
    Tls,
    /// Not known: noted by a version of this program that did not say.
    Unknown,
}

impl ReasonClass {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Connect,
        Self::Dane,
        Self::Dns,
        Self::Other,
        Self::Policy,
        Self::Reply,
        Self::Tls,
        Self::Unknown,
    ];

    /// A word for a filter, a metric's label or a table.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Dane => "dane",
            Self::Dns => "dns",
            Self::Other => "other",
            Self::Policy => "policy",
            Self::Reply => "reply",
            Self::Tls => "tls",
            Self::Unknown => "unknown",
        }
    }
}

impl Reason {
    /// A reason of this class, without cause, host, address, reply or policy.
    #[must_use]
    pub fn new(class: ReasonClass, enhanced: EnhancedCode, text: impl Into<String>) -> Self {
        let (cause, mx, addr, reply, policy) = (None, None, None, None, None);
        Self { enhanced, class, text: text.into(), cause, mx, addr, reply, policy }
    }
}
