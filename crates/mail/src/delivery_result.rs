//! What came of an attempt for one recipient, before the queue, the log and reports make their words
//! of it.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use smtp::{Class, EnhancedCode};

use crate::outcome::{Outcome, Reason, ReasonClass};

/// What came of an attempt for a recipient.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum DeliveryResult {
    /// The recipient gets nothing.
    Bounced(Failure),
    /// There will be another attempt.
    Deferred(Failure),
    /// The next host has taken responsibility (RFC 5321 §6.1).
    Delivered {
        /// The host.
        mx: String,
        /// The address at which it was reached.
        addr: Option<SocketAddr>,
        /// What it said.
        reply: String,
        /// Who answers for reports from now on.
        reports: Reports,
    },
}

/// Who answers for what a sender wants of reports (RFC 3461 §5.2).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reports {
    /// This relay does.
    Ours,
    /// The next host was given the DSN parameters, and has taken them on with the message.
    Passed,
}

impl DeliveryResult {
    /// What the queue keeps of it.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Bounced(failure) => Outcome::Bounced(failure.reason.clone()),
            Self::Deferred(failure) => Outcome::Deferred(failure.reason.clone()),
            Self::Delivered { mx, addr, reply, reports: _ } => {
                Outcome::Delivered { mx: mx.clone(), addr: *addr, reply: reply.clone() }
            }
        }
    }
}

/// Why a recipient has not got the message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Failure {
    /// What kind of failure it is.
    pub cause: FailureCause,
    /// The reason, for people and for the queue.
    pub reason: Reason,
}

impl Failure {
    /// A failure without host, address, reply or policy.
    #[must_use]
    pub fn new(
        cause: FailureCause,
        class: ReasonClass,
        status: EnhancedCode,
        text: impl Into<String>,
    ) -> Self {
        Self { cause, reason: Reason::new(class, status, text) }
    }

    /// The same with a status of this class.
    #[must_use]
    pub fn with_class(self, class: Class) -> Self {
        let enhanced = self.reason.enhanced.with_class(class);
        Self { reason: Reason { enhanced, ..self.reason }, ..self }
    }
}

/// The kinds of failure, by who has to act. A policy comes first, and then a host's own word.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureCause {
    /// The host lacks what the message needs.
    Conversion,
    /// The TLSA records of the hosts let no session come about.
    Dane,
    /// The DNS did not answer.
    Dns,
    /// The message's lifetime has ended.
    Expired,
    /// The host is this relay.
    Loop,
    /// There is no host.
    NoHost,
    /// There is no such domain.
    NoSuchDomain,
    /// The host takes no more for now.
    NotAccepting,
    /// The domain takes no mail (RFC 7505).
    NullMx,
    /// Something of this relay's own went wrong.
    OwnSystem,
    /// An enforced policy let no session come about.
    Policy,
    /// The host broke the protocol.
    Protocol,
    /// What a host replied.
    Refused,
    /// The message asks for proven TLS all its way, and no host can give that (RFC 8689).
    #[serde(rename = "requiretls")]
    RequireTls,
    /// TLS, where no policy asks for it.
    Tls,
    /// The message is larger than the host takes.
    TooLarge,
    /// It could not be told what a policy asks for.
    Undecided,
    /// There was no connection, or it broke.
    Unreachable,
}

impl FailureCause {
    /// A word for a metric.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Conversion => "conversion",
            Self::Dane => "dane",
            Self::Dns => "dns",
            Self::Expired => "expired",
            Self::Loop => "loop",
            Self::NoHost => "no-host",
            Self::NoSuchDomain => "no-such-domain",
            Self::NotAccepting => "not-accepting",
            Self::NullMx => "null-mx",
            Self::OwnSystem => "own-system",
            Self::Policy => "policy",
            Self::Protocol => "protocol",
            Self::Refused => "refused",
            Self::RequireTls => "requiretls",
            Self::Tls => "tls",
            Self::TooLarge => "too-large",
            Self::Undecided => "undecided",
            Self::Unreachable => "unreachable",
        }
    }
}
