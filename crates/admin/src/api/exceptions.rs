//! What is asked and answered about exceptions.

use clock::Timestamp;
use mta_sts::{
    CertificateDigest, Exception, ExceptionEnding, ExceptionOrigin, ExceptionScope, Lifts, MxHost,
};
use serde::{Deserialize, Serialize};

use crate::api::query::query;
use crate::api::refusal::{Refusal, refusal};

/// An exception that is asked for, as its query.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExceptionQuery {
    /// When it ends, in seconds since 1970.
    pub(crate) until: u64,
    /// Why there is one.
    pub(crate) reason: String,
    /// What it sets aside, as settings have it, with commas.
    what: Option<String>,
    /// The SHA-256 of a certificate.
    certificate: Option<String>,
    /// The name of an MX host.
    host: Option<String>,
    /// Whether it lasts to its end.
    #[serde(default)]
    keep: bool,
}

impl ExceptionQuery {
    /// Whether it ends before its time.
    pub(crate) const fn ending(&self) -> ExceptionEnding {
        if self.keep { ExceptionEnding::AtItsTime } else { ExceptionEnding::OncePassed }
    }

    /// What it lets pass.
    pub(crate) fn scope(&self) -> ScopeQuery {
        let Self { what, certificate, host, .. } = self.clone();
        ScopeQuery { what, certificate, host }
    }
}

/// What an exception lets pass, as a query; one of these at most.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct ScopeQuery {
    /// What it sets aside, as settings have it, with commas.
    pub(crate) what: Option<String>,
    /// The SHA-256 of a certificate.
    pub(crate) certificate: Option<String>,
    /// The name of an MX host.
    pub(crate) host: Option<String>,
}

impl ScopeQuery {
    /// What it says; none where it says nothing.
    ///
    /// # Errors
    ///
    /// [`Refusal`]: it says what is no scope, or more than one.
    pub(crate) fn read(&self) -> Result<Option<ExceptionScope>, Refusal> {
        let said = |error: &str| Refusal { error: error.to_owned() };
        match (&self.what, &self.certificate, &self.host) {
            (None, None, None) => Ok(None),
            (Some(what), None, None) => {
                let lifts = Lifts::parse(what);
                let lifts = lifts.ok_or_else(|| said("what is `mta-sts`, `dane` or both"))?;
                Ok(Some(ExceptionScope::Domain(lifts)))
            }
            (None, Some(digest), None) => {
                let digest: CertificateDigest = digest.parse().map_err(|error| refusal(&error))?;
                Ok(Some(ExceptionScope::Certificate(digest)))
            }
            (None, None, Some(host)) => {
                let host = MxHost::parse(host).map_err(|error| refusal(&error))?;
                Ok(Some(ExceptionScope::Host(host)))
            }
            (Some(_), Some(_), _) | (Some(_), _, Some(_)) | (_, Some(_), Some(_)) => {
                Err(said("an exception is for a certificate, for a host, or for a whole domain"))
            }
        }
    }
}

/// The query that asks for `exception`.
#[must_use]
pub fn exception_query(exception: &Exception) -> String {
    let until = exception.until().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let [what, certificate, host] = scope_query(exception.scope());
    let keep = match exception.origin() {
        ExceptionOrigin::Granted { ending: ExceptionEnding::AtItsTime, .. } => "true",
        ExceptionOrigin::Granted { ending: ExceptionEnding::OncePassed, .. }
        | ExceptionOrigin::Settings => "false",
    };
    query(&[
        ("until", Some(until.as_secs().to_string())),
        ("reason", Some(exception.reason().to_owned())),
        what,
        certificate,
        host,
        ("keep", Some(keep.to_owned())),
    ])
}

/// The query that names exceptions of one scope; all of a domain where there is none.
#[must_use]
pub fn removal_query(scope: Option<&ExceptionScope>) -> String {
    scope.map_or_else(String::new, |scope| query(&scope_query(scope)))
}

fn scope_query(scope: &ExceptionScope) -> [(&'static str, Option<String>); 3] {
    let (what, certificate, host) = match scope {
        ExceptionScope::Certificate(digest) => (None, Some(digest.to_string()), None),
        ExceptionScope::Host(host) => (None, None, Some(host.as_str().to_owned())),
        ExceptionScope::Domain(lifts) => (Some(lifts.words().join(",")), None, None),
    };
    [("what", what), ("certificate", certificate), ("host", host)]
}

/// An exception that is set.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ListedException {
    /// The policy domain.
    pub domain: String,
    /// Whom it lets pass.
    pub kind: ExceptionKind,
    /// The certificate or the host that it is for.
    pub accepts: Option<String>,
    /// What it sets aside for the whole domain; empty where it is for a certificate or a host.
    pub what: Vec<String>,
    /// When it ends.
    pub until: Timestamp,
    /// Why there is one.
    pub reason: String,
    /// Where it was made.
    pub from: ExceptionSource,
    /// Who granted it; none of one in the settings.
    pub by: Option<String>,
    /// Whether it ends before its time, once the host has passed without it.
    pub ends_once_passed: bool,
    /// How many deliveries it was used for since the relay began; none while none runs.
    pub uses: Option<u64>,
}

/// Whom an exception lets pass.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ExceptionKind {
    /// A host that shows one certificate.
    Certificate,
    /// All hosts of the domain.
    Domain,
    /// One host.
    Host,
}

/// Where an exception was made.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ExceptionSource {
    /// By `exception add`.
    Command,
    /// In the settings, where it is removed as well.
    Settings,
}

impl ListedException {
    /// An exception, as often as it was used.
    #[must_use]
    pub fn of(exception: &Exception, uses: Option<u64>) -> Self {
        let (kind, accepts, lifts) = match exception.scope() {
            ExceptionScope::Certificate(digest) => {
                (ExceptionKind::Certificate, Some(digest.to_string()), None)
            }
            ExceptionScope::Host(host) => {
                (ExceptionKind::Host, Some(host.as_str().to_owned()), None)
            }
            ExceptionScope::Domain(lifts) => (ExceptionKind::Domain, None, Some(*lifts)),
        };
        let (from, by, ends_once_passed) = match exception.origin() {
            ExceptionOrigin::Granted { by, ending } => {
                (ExceptionSource::Command, Some(by.clone()), *ending == ExceptionEnding::OncePassed)
            }
            ExceptionOrigin::Settings => (ExceptionSource::Settings, None, false),
        };
        Self {
            domain: exception.domain().as_str().to_owned(),
            kind,
            accepts,
            what: lifts.map(words).unwrap_or_default(),
            until: Timestamp::of(exception.until()),
            reason: exception.reason().to_owned(),
            from,
            by,
            ends_once_passed,
            uses,
        }
    }

    /// What it lets pass, in a few words.
    #[must_use]
    pub fn scope_in_words(&self) -> String {
        let accepted = self.accepts.as_deref().unwrap_or_default();
        match self.kind {
            ExceptionKind::Certificate => format!("certificate {accepted}"),
            ExceptionKind::Domain => self.what.join(", "),
            ExceptionKind::Host => format!("host {accepted}"),
        }
    }
}

fn words(lifts: Lifts) -> Vec<String> {
    lifts.words().iter().map(|word| (*word).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exception_is_for_one_thing() {
        let some = |text: &str| Some(text.to_owned());
        let digest = "ab".repeat(32);
        for (what, certificate, host, expected) in [
            (None, None, None, Ok(None)),
            (some("dane"), None, None, Ok(Some("dane".to_owned()))),
            (None, some(&digest), None, Ok(Some(format!("certificate {digest}")))),
            (None, None, some("MX.Test."), Ok(Some("host mx.test".to_owned()))),
            (some("all"), None, None, Err(())),
            (None, some("ab"), None, Err(())),
            (None, None, some("*.test"), Err(())),
            (some("dane"), None, some("mx.test"), Err(())),
            (None, some(&digest), some("mx.test"), Err(())),
        ] {
            let query = ScopeQuery { what, certificate, host };
            let read = query.read().map(|scope| scope.map(|scope| scope.to_string()));
            assert_eq!(read.map_err(|_refusal| ()), expected, "{query:?}");
        }
    }
}
