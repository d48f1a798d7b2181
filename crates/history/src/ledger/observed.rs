//! What the ledger takes of a record: typed again, because the ledger decides by it.

use mail::{FailureCause, PolicyMode, Protection};
use serde::de::IntoDeserializer as _;
use serde::de::value::{Error as ValueError, StrDeserializer};

use crate::facts::{Dane, Decision, Session};
use crate::query::OutcomeKind;

/// An attempt that has ended, in what the ledger goes by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Observed<'a> {
    /// When its result was known, in milliseconds since 1970.
    pub(crate) at: u64,
    /// The recipients' domain.
    pub(crate) domain: &'a str,
    /// The message.
    pub(crate) queue_id: &'a str,
    /// How many recipients share it.
    pub(crate) recipients: u64,
    /// What came of it.
    pub(crate) outcome: OutcomeKind,
    /// What protected the mail, or would have.
    pub(crate) protection: Protection,
    /// Whose mail it is.
    pub(crate) mail: MailKind,
    /// The host that took it, or that was tried last.
    pub(crate) host: Option<&'a str>,
    /// Why it failed.
    pub(crate) cause: Option<FailureCause>,
    /// The same in words.
    pub(crate) error: Option<&'a str>,
    /// What the policy asked for.
    pub(crate) decision: &'a DecisionSeen,
    /// The session, if there was one.
    pub(crate) session: Option<&'a SessionSeen>,
}

/// Whose mail a message is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum MailKind {
    /// Somebody's.
    Mail,
    /// A report of this relay's own on TLS failures, which no policy protects (RFC 8460 §3).
    TlsReport,
}

/// What is seen of a policy in an attempt.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct DecisionSeen {
    /// The policy.
    pub(crate) policy: PolicySeen,
    /// Whether an operator's exception has set it aside.
    pub(crate) exception: ExceptionSeen,
}

/// The policy that an attempt has met.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum PolicySeen {
    /// There is none.
    Absent,
    /// It was not asked for, or could not be told.
    Unknown,
    /// There is one.
    Version {
        /// The id of its TXT record.
        id: String,
        /// Its mode.
        mode: PolicyMode,
        /// The hosts that it names; none where its text is not there.
        hosts: Option<Vec<String>>,
    },
}

/// Whether an exception was used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ExceptionSeen {
    /// None was.
    None,
    /// One was.
    Used,
}

/// What is seen of a host in a session.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct SessionSeen {
    /// The host.
    pub(crate) host: String,
    /// Its certificate, if it has shown one.
    pub(crate) certificate: Option<CertificateSeen>,
    /// What its TLSA records are worth.
    pub(crate) dane: DaneSeen,
}

/// A certificate.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct CertificateSeen {
    /// Its SHA-256, in hexadecimal digits.
    pub(crate) sha256: String,
    /// When it ends, in milliseconds since 1970.
    pub(crate) not_after: Option<u64>,
}

/// What a session says about TLSA records.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum DaneSeen {
    /// There are some, and it has matched one.
    Matched,
    /// None apply.
    NotApplied,
    /// There are some, and none was matched.
    NotMatched,
}

impl Observed<'_> {
    /// Whether it is somebody's mail, and no report of this relay's own.
    pub(crate) fn is_mail(&self) -> bool {
        self.mail == MailKind::Mail
    }
}

impl DecisionSeen {
    /// What a record's decision says, and the hosts that its policy names.
    pub(crate) fn of(decision: &Decision, hosts: Option<Vec<String>>) -> Self {
        let why = decision.why.as_deref();
        let exception =
            if why == Some("exception") { ExceptionSeen::Used } else { ExceptionSeen::None };
        let mode = decision.mode.as_deref().and_then(typed::<PolicyMode>);
        let policy = match (mode, &decision.policy_id) {
            (Some(mode), Some(id)) => PolicySeen::Version { id: id.clone(), mode, hosts },
            (Some(_) | None, _) if why == Some("no-policy") => PolicySeen::Absent,
            (Some(_) | None, _) => PolicySeen::Unknown,
        };
        Self { policy, exception }
    }
}

impl SessionSeen {
    /// What a record's session says.
    pub(crate) fn of(session: &Session) -> Self {
        let tls = session.tls.as_ref();
        let certificate = tls.and_then(|tls| tls.certificate.as_ref()).and_then(|certificate| {
            let not_after = certificate.not_after;
            certificate.sha256.clone().map(|sha256| CertificateSeen { sha256, not_after })
        });
        let dane = tls.map_or(DaneSeen::NotApplied, |tls| DaneSeen::of(&tls.dane));
        Self { host: session.host.clone(), certificate, dane }
    }
}

impl DaneSeen {
    /// What a record's verdict says.
    fn of(dane: &Dane) -> Self {
        match dane.verdict.as_str() {
            "matched" => Self::Matched,
            "not-matched" | "unusable" => Self::NotMatched,
            _ => Self::NotApplied,
        }
    }
}

/// What a word stands for; none where this version does not know it.
pub(crate) fn typed<'a, T: serde::Deserialize<'a>>(word: &'a str) -> Option<T> {
    let input: StrDeserializer<'a, ValueError> = word.into_deserializer();
    T::deserialize(input).ok()
}
