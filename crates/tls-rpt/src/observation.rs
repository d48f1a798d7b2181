//! What one connection to an MX host, or one request for a policy, showed under one policy.

use std::borrow::Cow;
use std::fmt::Debug;
use std::sync::Arc;

use crate::domain::DomainName;
use crate::failure::FailureDetail;
use crate::policy::{AppliedPolicy, TlsaRecord};
use crate::result_type::PolicyType;
use crate::row::Row;

/// What one connection to an MX host, or one request for a policy, showed under one policy.
///
/// A connection that two policies applied to makes two of them (RFC 8460 §4.4). Nothing of a message
/// is in it.
#[derive(Clone, Debug)]
#[must_use = "what is not counted is missing from the report"]
pub struct Observation {
    /// The domain whose report it belongs to; none where it belongs to no report.
    pub domain: Option<DomainName>,
    /// The policy that applied.
    pub policy: ObservedPolicy,
    /// How it failed; none where it met the policy.
    pub failure: Option<FailureDetail>,
}

/// The policy that applied to a connection.
#[derive(Clone, Debug)]
pub enum ObservedPolicy {
    /// Neither DANE nor MTA-STS, or an MTA-STS policy of the mode none (RFC 8461 §5).
    None,
    /// An MTA-STS policy.
    Sts(Arc<dyn PolicyText>),
    /// An MTA-STS policy that is published and was not to be had.
    StsMissing {
        /// What came in its place and is no policy.
        text: Option<Arc<str>>,
    },
    /// TLSA records.
    Tlsa {
        /// The TLSA base domain (RFC 7672 §2.2.3).
        base_domain: DomainName,
        /// All that were found, those that cannot be used included; none where they could not be
        /// looked up, or have to be there and are not.
        records: Vec<TlsaRecord>,
    },
}

/// The text of an MTA-STS policy, which is made when it is counted.
///
/// An observation shares the policy and copies none of it: who publishes 64 KiB could otherwise have
/// as much copied for each connection.
pub trait PolicyText: Debug + Send + Sync {
    /// What it asks for: `enforce`, `testing` or `none`.
    fn mode(&self) -> &'static str;

    /// The policy as it was fetched, for `policy-string`.
    fn text(&self) -> Cow<'_, str>;

    /// Its `mx` patterns, for `mx-host`.
    fn mx_patterns(&self) -> Vec<String>;
}

impl Observation {
    /// The report that counts it, and as what; none where no report does.
    #[must_use]
    pub fn counted(&self) -> Option<(DomainName, Row)> {
        let domain = self.domain.clone()?;
        let policy = Arc::new(self.policy.applied(&domain));
        Some((domain, Row { policy, failure: self.failure.clone() }))
    }
}

impl ObservedPolicy {
    /// The kind of policy.
    #[must_use]
    pub const fn policy_type(&self) -> PolicyType {
        match self {
            Self::None => PolicyType::NoPolicyFound,
            Self::Sts(_) | Self::StsMissing { .. } => PolicyType::Sts,
            Self::Tlsa { .. } => PolicyType::Tlsa,
        }
    }

    /// The mode of the MTA-STS policy, where there is one.
    #[must_use]
    pub fn mode(&self) -> Option<&'static str> {
        match self {
            Self::Sts(policy) => Some(policy.mode()),
            Self::None | Self::StsMissing { .. } | Self::Tlsa { .. } => None,
        }
    }

    /// The policy as the report to `domain` quotes it.
    fn applied(&self, domain: &DomainName) -> AppliedPolicy {
        match self {
            Self::None => AppliedPolicy::none(domain.clone()),
            Self::Sts(policy) => {
                let patterns = policy.mx_patterns();
                let patterns: Vec<_> = patterns.iter().map(String::as_str).collect();
                AppliedPolicy::sts(domain.clone(), &policy.text(), &patterns)
            }
            Self::StsMissing { text: Some(text) } => AppliedPolicy::sts(domain.clone(), text, &[]),
            Self::StsMissing { text: None } => {
                AppliedPolicy::without_text(PolicyType::Sts, domain.clone())
            }
            Self::Tlsa { base_domain, records } => {
                AppliedPolicy::tlsa(base_domain.clone(), records.iter().cloned())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result_type::ResultType;

    #[derive(Debug)]
    struct Fetched;

    impl PolicyText for Fetched {
        fn mode(&self) -> &'static str {
            "testing"
        }

        fn text(&self) -> Cow<'_, str> {
            "version: STSv1\nmode: testing\nmx: *.Example.org\n".into()
        }

        fn mx_patterns(&self) -> Vec<String> {
            vec!["*.Example.org".to_owned()]
        }
    }

    fn domain() -> DomainName {
        DomainName::parse("example.org").unwrap()
    }

    /// What a report to example.org says of a policy.
    fn quoted(policy: ObservedPolicy) -> AppliedPolicy {
        let failure = Some(FailureDetail::new(ResultType::ValidationFailure));
        let observation = Observation { domain: Some(domain()), policy, failure: failure.clone() };
        let (to, row) = observation.counted().unwrap();
        assert_eq!((to, row.failure), (domain(), failure));
        AppliedPolicy::clone(&row.policy)
    }

    #[test]
    fn each_policy_is_quoted_as_far_as_it_is_known() {
        let sts = quoted(ObservedPolicy::Sts(Arc::new(Fetched)));
        assert_eq!(sts.strings(), ["version: STSv1", "mode: testing", "mx: *.Example.org"]);
        assert_eq!(sts.mx_hosts(), ["*.example.org"]);
        let invalid = quoted(ObservedPolicy::StsMissing { text: Some("<html>".into()) });
        assert_eq!((invalid.strings(), invalid.mx_hosts().len()), (&["<html>".to_owned()][..], 0));
        let missing = quoted(ObservedPolicy::StsMissing { text: None });
        assert_eq!(missing, AppliedPolicy::without_text(PolicyType::Sts, domain()));
        assert_eq!(quoted(ObservedPolicy::None), AppliedPolicy::none(domain()));
        let record = TlsaRecord { usage: 3, selector: 1, matching_type: 1, data: vec![0xab] };
        let base_domain = DomainName::parse("mx.example.net").unwrap();
        let tlsa = quoted(ObservedPolicy::Tlsa { base_domain, records: vec![record] });
        assert_eq!(
            (tlsa.domain().as_str(), tlsa.strings()),
            ("mx.example.net", &["3 1 1 AB".to_owned()][..])
        );
    }

    #[test]
    fn what_belongs_to_no_report_is_not_counted() {
        let observation = Observation { domain: None, policy: ObservedPolicy::None, failure: None };
        assert!(observation.counted().is_none());
    }
}
