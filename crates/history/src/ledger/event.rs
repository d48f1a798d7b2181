//! What has happened to a domain's protection.

use mail::{FailureCause, PolicyMode, Protection};
use serde::{Deserialize, Serialize};

/// Something that has happened to a domain.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Event {
    /// When, in milliseconds since 1970.
    pub at: u64,
    /// The domain.
    pub domain: String,
    /// What.
    #[serde(flatten)]
    pub what: EventKind,
}

/// What can happen to a domain.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum EventKind {
    /// A host has shown another certificate than before.
    CertificateChanged {
        /// The host.
        host: String,
        /// The SHA-256 of the one before.
        from: String,
        /// The SHA-256 of this one.
        to: String,
        /// When this one ends, in milliseconds since 1970.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        not_after: Option<u64>,
    },
    /// A certificate is near its end.
    CertificateEnding {
        /// The host that shows it.
        host: String,
        /// Its SHA-256.
        sha256: String,
        /// When it ends, in milliseconds since 1970.
        not_after: u64,
    },
    /// No exception is used any more.
    ExceptionEnded,
    /// Mail has been sent under an operator's exception; once until there was mail without it.
    ExceptionUsed,
    /// Mail waits because the domain's hosts do not prove what they have to.
    Held {
        /// What kind of failure it is.
        cause: FailureCause,
        /// The same in words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
    /// The mail that was held is delivered again.
    HeldNoMore {
        /// Since when it was held, in milliseconds since 1970.
        since: u64,
    },
    /// There is a policy where there was none.
    PolicyAppeared {
        /// The id of its TXT record.
        id: String,
        /// Its mode.
        mode: PolicyMode,
    },
    /// There is another version of the policy, which asks for no less.
    PolicyChanged {
        /// The id of its TXT record.
        id: String,
        /// The mode of the one before.
        from: PolicyMode,
        /// Its mode.
        to: PolicyMode,
    },
    /// The policy names hosts no more that it named before.
    PolicyHostsGone {
        /// These, as the policy had them.
        hosts: Vec<String>,
    },
    /// The policy asks for less than before: of enforce, testing or none was made, or it is gone.
    PolicyWeakened {
        /// The mode of the one before.
        from: PolicyMode,
        /// The mode now; absent: there is no policy.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<PolicyMode>,
    },
    /// Mail was delivered with less protection than before.
    ProtectionFell {
        /// What protected the mail before.
        from: Protection,
        /// What protects it now.
        to: Protection,
    },
    /// Mail was delivered with more protection than before.
    ProtectionRose {
        /// What protected the mail before.
        from: Protection,
        /// What protects it now.
        to: Protection,
    },
    /// The policy could not be fetched again, and the one that is kept goes on applying until it ends.
    RefreshFailing {
        /// Why, in words.
        error: String,
    },
    /// The policy could be fetched again.
    RefreshWorks,
    /// The domain's hosts matched TLSA records for the first time.
    TlsaAppeared,
    /// The TLSA records that protected mail are gone.
    TlsaGone,
}

/// Whether somebody should look at an event.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Weight {
    /// It is as it should be.
    Note,
    /// Protection became less, or will, or mail waits.
    Warning,
}

impl EventKind {
    /// Whether somebody should look at it.
    #[must_use]
    pub const fn weight(&self) -> Weight {
        match self {
            Self::CertificateEnding { .. }
            | Self::ExceptionUsed
            | Self::Held { .. }
            | Self::PolicyHostsGone { .. }
            | Self::PolicyWeakened { .. }
            | Self::ProtectionFell { .. }
            | Self::RefreshFailing { .. }
            | Self::TlsaGone => Weight::Warning,
            Self::CertificateChanged { .. }
            | Self::ExceptionEnded
            | Self::HeldNoMore { .. }
            | Self::PolicyAppeared { .. }
            | Self::PolicyChanged { .. }
            | Self::ProtectionRose { .. }
            | Self::RefreshWorks
            | Self::TlsaAppeared => Weight::Note,
        }
    }
}
