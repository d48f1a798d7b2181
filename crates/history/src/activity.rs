//! What operators do to mail, policies, exceptions and settings.

use serde::{Deserialize, Serialize};

/// Something that an operator has done.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Activity {
    /// When, in milliseconds since 1970.
    pub at: u64,
    /// Who: the user at the other end of the admin socket by name and number, or who sent a signal.
    pub by: String,
    /// What.
    #[serde(flatten)]
    pub act: Act,
}

/// What an operator can do.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "act", rename_all = "kebab-case")]
pub enum Act {
    /// The header and body of a message were read.
    BodyRead {
        /// The message.
        queue_id: String,
    },
    /// Messages were deleted.
    Delete {
        /// Which.
        #[serde(flatten)]
        messages: Messages,
        /// Whether their senders were told.
        bounce: bool,
    },
    /// An exception was granted.
    ExceptionAdd {
        /// The policy domain.
        domain: String,
        /// What it sets aside.
        what: String,
        /// When it ends, as RFC 3339 has it.
        until: String,
        /// Why there is one.
        reason: String,
    },
    /// An exception was withdrawn.
    ExceptionRemove {
        /// The policy domain.
        domain: String,
    },
    /// Messages are kept from being sent.
    Hold {
        /// Which.
        #[serde(flatten)]
        messages: Messages,
    },
    /// A cached policy was forgotten.
    PolicyPurge {
        /// The policy domain.
        domain: String,
    },
    /// A policy was fetched again.
    PolicyRefresh {
        /// The policy domain.
        domain: String,
        /// Why it could not be.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
    /// Messages may be sent again.
    Release {
        /// Which.
        #[serde(flatten)]
        messages: Messages,
    },
    /// The settings were read again.
    Reload {
        /// What has changed in them.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        changed: Vec<String>,
        /// Why they could not be used: those before go on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
    /// Attempts were asked for.
    Retry {
        /// Which.
        #[serde(flatten)]
        messages: Messages,
    },
}

/// Which messages were meant.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Messages {
    /// The one that was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_id: Option<String>,
    /// The domain that was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// How many there were: of attempts, how many were to be made.
    pub count: u64,
}

impl Act {
    /// A word for it.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::BodyRead { .. } => "body-read",
            Self::Delete { .. } => "delete",
            Self::ExceptionAdd { .. } => "exception-add",
            Self::ExceptionRemove { .. } => "exception-remove",
            Self::Hold { .. } => "hold",
            Self::PolicyPurge { .. } => "policy-purge",
            Self::PolicyRefresh { .. } => "policy-refresh",
            Self::Release { .. } => "release",
            Self::Reload { .. } => "reload",
            Self::Retry { .. } => "retry",
        }
    }
}

impl Messages {
    /// The one message with this id.
    #[must_use]
    pub fn one(queue_id: &impl ToString) -> Self {
        Self { queue_id: Some(queue_id.to_string()), domain: None, count: 1 }
    }
}
