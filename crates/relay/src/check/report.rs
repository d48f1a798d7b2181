//! What a check finds: its report, and what the parts of one are.

use admin::api::answers;
use clock::Timestamp;
use dns::ResolverError;
use mta_sts::PolicyDomain;
use pkix::SetupError;
use serde::Serialize;
use thiserror::Error;

/// What was found.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// The domain, in A-labels.
    pub(crate) domain: String,
    /// What happens to mail.
    pub(crate) verdict: Verdict,
    /// The same in a sentence.
    pub(crate) summary: String,
    /// The mode of the policy that applies.
    pub(crate) mode: Option<String>,
    /// The operator's exception, where one is in force.
    pub(crate) exception: Option<Exception>,
    /// The next hops of the `[[route]]` that mail for the domain takes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) route: Vec<Host>,
    /// What was looked at for the domain as a whole.
    pub(crate) stages: Vec<Stage>,
    /// Its MX hosts, in the order they are tried.
    pub(crate) hosts: Vec<Host>,
    /// Whether a lookup failed for which the relay's own resolver may be to blame.
    #[serde(skip)]
    pub(super) names_failed: bool,
}

/// What happens to mail for the domain.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Verdict {
    /// It leaves over a verified session, as the policy asks.
    Verified,
    /// It leaves; the domain has no policy that asks for more.
    NoPolicy,
    /// It leaves although something is wrong that a policy would forbid, or does.
    Unverified,
    /// It does not leave.
    Waiting,
    /// That cannot be told from here: the relay's own resolver does not answer.
    CannotTell,
}

/// An exception in force.
#[derive(Debug, Serialize)]
pub(crate) struct Exception {
    /// When it ends.
    pub(crate) until: Timestamp,
    /// Why there is one.
    pub(crate) reason: String,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
pub(crate) struct Stage {
    /// What.
    pub(crate) name: &'static str,
    /// How it is.
    pub(crate) state: State,
    /// What was seen.
    pub(crate) text: String,
    /// How to mend it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fix: Option<String>,
}

/// How a stage is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum State {
    /// As it should be.
    Good,
    /// There is nothing to judge.
    None,
    /// It does no harm yet.
    Warning,
    /// It keeps mail from leaving verified.
    Wrong,
}

/// A host that mail goes to.
#[derive(Debug, Serialize)]
pub(crate) struct Host {
    /// Its name.
    pub(crate) name: String,
    /// Its MX record's preference; none where the domain itself stands in.
    pub(crate) preference: Option<u16>,
    /// What it is good for.
    pub(crate) verdict: HostVerdict,
    /// What DANE makes of it; none where no TLSA records count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) dane: Option<DaneVerdict>,
    /// What was looked at.
    pub(crate) stages: Vec<Stage>,
}

/// What a host is good for.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum HostVerdict {
    /// It has no address, or no connection or dialogue came about.
    Unreachable,
    /// It has to match its TLSA records, and does not, or they cannot be told: it gets no mail
    /// (RFC 7672 §2.2).
    Unmatched,
    /// It can be talked to, without proof of its name.
    Unproved,
    /// It proves its name; the policy does not name it.
    NotNamed,
    /// It proves its name, and no policy forbids to send there.
    Verified,
}

/// What DANE makes of a host (RFC 7672 §2.2).
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum DaneVerdict {
    /// Its records cannot be looked up, or it has to have some and has none of use.
    Failed,
    /// It matches one of them, at each of its addresses that answers.
    Matched,
    /// It matches none of them.
    Mismatch,
    /// It has no secure records.
    None,
    /// None of its records is of use: TLS is mandatory, with whoever answers.
    Unusable,
}

impl Report {
    /// A report that says nothing of the domain's own hosts.
    pub(super) fn of_route_alone(domain: &PolicyDomain) -> Self {
        Self {
            domain: domain.as_str().to_owned(),
            verdict: Verdict::NoPolicy,
            summary: String::new(),
            mode: None,
            exception: None,
            route: Vec::new(),
            stages: Vec::new(),
            hosts: Vec::new(),
            names_failed: false,
        }
    }
}

/// The check could not be made.
#[derive(Debug, Error)]
pub(crate) enum CheckError {
    /// There is nobody to ask for names.
    #[error("DNS resolution cannot be set up")]
    Dns(#[from] ResolverError),
    /// The name cannot be a domain's.
    #[error("this is not a mail domain")]
    Domain(#[from] smtp::DomainError),
    /// Only a route was to be checked, and none is for this domain.
    #[error("no [[route]] of the settings is for this domain")]
    NoRoute,
    /// TLS cannot be set up.
    #[error("TLS cannot be set up")]
    Tls(#[from] SetupError),
    /// TLS to policy hosts cannot be set up.
    #[error("TLS to policy hosts cannot be set up")]
    TlsToPolicyHosts(#[from] rustls::Error),
}

/// What the relay has kept of the domain.
#[derive(Debug)]
pub(crate) enum Kept {
    /// This, or nothing.
    Known(Option<answers::Policy>),
    /// That cannot be told, for this reason.
    Unknown(String),
}

impl Stage {
    /// A stage that needs no mending.
    pub(super) fn new(name: &'static str, state: State, text: impl Into<String>) -> Self {
        Self { name, state, text: text.into(), fix: None }
    }

    /// The same, with how to mend it.
    pub(super) fn fix(self, fix: impl Into<String>) -> Self {
        Self { fix: Some(fix.into()), ..self }
    }
}
