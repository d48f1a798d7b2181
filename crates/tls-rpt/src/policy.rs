//! The policy that sessions were made under, as a report quotes it (RFC 8460 §4.4, §4.5).

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::domain::DomainName;
use crate::result_type::PolicyType;
use crate::text::i_json;

/// The most octets of a policy's text that are quoted: the largest policy there is (RFC 8461 §3.3).
const TEXT_MAX: usize = 64 << 10;

/// A policy that was applied to a session, or that none was.
///
/// Two policies are the same if all that a report says of them is the same.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct AppliedPolicy {
    policy_type: PolicyType,
    #[serde(rename = "policy-string", default, skip_serializing_if = "Vec::is_empty")]
    strings: Vec<String>,
    #[serde(rename = "policy-domain")]
    domain: DomainName,
    #[serde(rename = "mx-host", default, skip_serializing_if = "Vec::is_empty")]
    mx_hosts: Vec<String>,
}

impl AppliedPolicy {
    /// Neither MTA-STS nor DANE applied, or the MTA-STS policy has the mode none (RFC 8461 §5).
    #[must_use]
    pub const fn none(domain: DomainName) -> Self {
        Self::without_text(PolicyType::NoPolicyFound, domain)
    }

    /// An MTA-STS policy of `domain`: its text as fetched, errors included (RFC 8460 §4.5), and its
    /// `mx` patterns. What was fetched and is no policy has a text and no patterns.
    ///
    /// Of the text 64 KiB are kept, in whole lines.
    #[must_use]
    pub fn sts(domain: DomainName, text: &str, mx_patterns: &[&str]) -> Self {
        let mut room = TEXT_MAX;
        let fits = |line: &&str| match room.checked_sub(line.len()) {
            Some(left) => {
                room = left;
                true
            }
            None => false,
        };
        let strings =
            text.lines().filter(|line| !line.trim().is_empty()).take_while(fits).map(i_json);
        let mx_hosts = mx_patterns
            .iter()
            .filter(|mx| !mx.is_empty())
            .map(|mx| i_json(&mx.to_ascii_lowercase()))
            .collect();
        Self { policy_type: PolicyType::Sts, strings: strings.collect(), domain, mx_hosts }
    }

    /// A policy of `domain` whose text is not known: an MTA-STS policy that is not to be had, TLSA
    /// records that could not be looked up.
    #[must_use]
    pub const fn without_text(policy_type: PolicyType, domain: DomainName) -> Self {
        Self { policy_type, strings: Vec::new(), domain, mx_hosts: Vec::new() }
    }

    /// All TLSA records of a TLSA base domain, those that cannot be used included; their order makes
    /// no difference.
    #[must_use]
    pub fn tlsa(base_domain: DomainName, records: impl IntoIterator<Item = TlsaRecord>) -> Self {
        let mut strings: Vec<_> = records.into_iter().map(|record| record.to_string()).collect();
        strings.sort();
        strings.dedup();
        Self { policy_type: PolicyType::Tlsa, strings, domain: base_domain, mx_hosts: Vec::new() }
    }

    /// The kind of policy.
    #[must_use]
    pub const fn policy_type(&self) -> PolicyType {
        self.policy_type
    }

    /// The policy domain: for TLSA records the TLSA base domain (RFC 8460 §1.1).
    #[must_use]
    pub const fn domain(&self) -> &DomainName {
        &self.domain
    }

    /// The text, line by line or record by record; empty where it is not known.
    #[must_use]
    pub fn strings(&self) -> &[String] {
        &self.strings
    }

    /// The `mx` patterns of an MTA-STS policy.
    #[must_use]
    pub fn mx_hosts(&self) -> &[String] {
        &self.mx_hosts
    }
}

/// A TLSA record, which prints in the presentation format (RFC 6698 §2.2) without blanks in its data.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TlsaRecord {
    /// Certificate usage.
    pub usage: u8,
    /// Selector.
    pub selector: u8,
    /// Matching type.
    pub matching_type: u8,
    /// Certificate association data.
    pub data: Vec<u8>,
}

impl fmt::Display for TlsaRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} ", self.usage, self.selector, self.matching_type)?;
        self.data.iter().try_for_each(|octet| write!(f, "{octet:02X}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domain() -> DomainName {
        DomainName::parse("example.org").unwrap()
    }

    #[test]
    fn a_policy_is_quoted_as_it_was_fetched_line_by_line() {
        let text = "version: STSv1\r\nmode: enforce\nmx: MX.example.org\n\nmx =\u{fffe} oops\nmax_age: 1\n";
        let policy = AppliedPolicy::sts(domain(), text, &["MX.example.org", "*.example.org"]);
        let expected = [
            "version: STSv1",
            "mode: enforce",
            "mx: MX.example.org",
            "mx =\u{fffd} oops",
            "max_age: 1",
        ];
        assert_eq!(policy.strings(), expected);
        assert_eq!(policy.mx_hosts(), ["mx.example.org", "*.example.org"]);
        let large = AppliedPolicy::sts(domain(), &"mx: a\n".repeat(20_000), &[]);
        assert_eq!(large.strings().len(), TEXT_MAX / 5);
    }

    #[test]
    fn tlsa_records_are_quoted_in_presentation_format_all_of_them_sorted() {
        let record = |usage, data: &[u8]| TlsaRecord {
            usage,
            selector: 1,
            matching_type: 1,
            data: data.to_vec(),
        };
        let records = [record(3, &[0xab, 0x01]), record(0, &[]), record(2, &[0x1f])];
        let policy = AppliedPolicy::tlsa(domain(), records.clone());
        assert_eq!(policy.strings(), ["0 1 1 ", "2 1 1 1F", "3 1 1 AB01"]);
        assert_eq!(policy, AppliedPolicy::tlsa(domain(), records.iter().rev().cloned()));
    }
}
