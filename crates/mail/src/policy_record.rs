//! What a policy asked for in an attempt, as it is recorded.

use std::sync::Arc;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

/// What the MTA-STS policy of a next hop asked for (RFC 8461 §5).
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PolicyDecision {
    /// An enforced policy: nothing but a verified session.
    Enforced(PolicyVersion),
    /// It was not known when the attempt ended.
    NotLookedUp,
    /// Nothing.
    Permitted {
        /// The policy that there is all the same.
        policy: Option<PolicyVersion>,
        /// Why nothing was asked for.
        why: WhyPermitted,
    },
    /// It could not be told, so nothing was sent.
    Undecided(WhyUndecided),
}

/// One version of a policy.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PolicyVersion {
    /// The policy domain.
    pub domain: String,
    /// The id of its record.
    pub id: String,
    /// Its mode.
    pub mode: PolicyMode,
    /// Where it is from.
    pub source: PolicySource,
}

/// What the DNS said of a domain's policy (RFC 8461 §3.1).
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum TxtSeen {
    /// It could not say.
    Failed,
    /// There is a policy of this id.
    Found(String),
    /// None is published.
    NotPublished,
}

/// Where a policy is from; all of it is unknown of one that an earlier version of the relay has kept.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct PolicySource {
    /// The policy as it was fetched (RFC 8461 §3.2).
    pub text: Option<Arc<str>>,
    /// When it was fetched.
    pub fetched_at: Option<SystemTime>,
    /// The last moment at which it applies.
    pub valid_until: Option<SystemTime>,
}

/// The mode of a policy (RFC 8461 §3.2).
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PolicyMode {
    /// It is enforced.
    Enforce,
    /// It is withdrawn.
    None,
    /// Failures are only reported.
    Testing,
}

/// Why no policy was enforced.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum WhyPermitted {
    /// The destination is an address literal.
    AddressLiteral,
    /// The operator has made an exception.
    Exception,
    /// The policy is withdrawn.
    ModeNone,
    /// The policy is in testing.
    ModeTesting,
    /// There is no policy.
    NoPolicy,
    /// The message is a report on TLS failures.
    TlsReport,
    /// The sender wants the message to arrive in spite of an enforced policy, and the operator honours
    /// that (RFC 8689 §3).
    TlsRequiredNo,
    /// Whether there is a policy could not be told for longer than the grace.
    UndecidedTooLong,
}

/// Why it could not be told what a policy asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum WhyUndecided {
    /// The cached policy could not be read.
    CacheUnreadable,
    /// The clock is in doubt.
    ClockDoubted,
    /// The DNS did not answer.
    NamesFailed,
}

impl PolicyDecision {
    /// A word for the log and for metrics: the mode of the policy.
    #[must_use]
    pub const fn policy_word(&self) -> &'static str {
        match self {
            Self::Enforced(policy) | Self::Permitted { policy: Some(policy), .. } => {
                policy.mode.word()
            }
            Self::Permitted { policy: None, .. } => PolicyMode::None.word(),
            Self::NotLookedUp | Self::Undecided(_) => "undecided",
        }
    }

    /// A word for the log and for metrics: why nothing was enforced; empty where it was.
    #[must_use]
    pub const fn why_word(&self) -> &'static str {
        match self {
            Self::Enforced(_) | Self::NotLookedUp => "",
            Self::Permitted { why, .. } => why.word(),
            Self::Undecided(why) => why.word(),
        }
    }
}

impl PolicyMode {
    /// The mode as policies write it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::None => "none",
            Self::Testing => "testing",
        }
    }
}

impl WhyPermitted {
    /// A word for the log and for metrics.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::AddressLiteral => "address-literal",
            Self::Exception => "exception",
            Self::ModeNone => "mode-none",
            Self::ModeTesting => "mode-testing",
            Self::NoPolicy => "no-policy",
            Self::TlsReport => "tls-report",
            Self::TlsRequiredNo => "tls-required-no",
            Self::UndecidedTooLong => "undecided-too-long",
        }
    }
}

impl WhyUndecided {
    /// A word for the log and for metrics.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::CacheUnreadable => "cache-unreadable",
            Self::ClockDoubted => "clock-doubted",
            Self::NamesFailed => "names-failed",
        }
    }
}
