//! Looks up which TLSA records apply to a host, and keeps what was asked and answered on the way.

use std::net::IpAddr;

use dns::{Dns, Lookup, LookupError, Records, Security};
use serde::Serialize;
use tls_policy::{DaneLookup, HostDane};

/// What was asked, and what came of it.
#[derive(Debug)]
pub(crate) struct TracedLookup {
    /// The questions in their order.
    pub(crate) steps: Vec<Step>,
    /// The host's addresses, as far as they were asked for and found.
    pub(crate) addresses: Vec<IpAddr>,
    /// The answer.
    pub(crate) dane: HostDane,
}

/// One question and its answer.
#[derive(Debug, Serialize)]
pub(crate) struct Step {
    /// The type and the name.
    pub(crate) question: String,
    /// What DNSSEC proves of the answer, and the answer.
    pub(crate) answer: String,
    /// What DNSSEC proves of it; none where there is no answer.
    #[serde(skip)]
    pub(crate) security: Option<Security>,
}

/// Looks up the records of a host step by step (RFC 7672 §2.2).
pub(crate) async fn look_up(dns: &dyn Dns, begin: DaneLookup) -> TracedLookup {
    let (mut steps, mut addresses) = (Vec::new(), Vec::new());
    let mut step = begin;
    let dane = loop {
        step = match step {
            DaneLookup::Addresses(question) => {
                let answer = dns.addresses(question.host()).await;
                steps.push(Step::new(format!("A, AAAA {}", question.host()), &answer, "address"));
                if let Ok(Lookup::Found(found)) = &answer {
                    addresses.clone_from(&found.records);
                }
                question.answer(&answer)
            }
            DaneLookup::Alias(question) => {
                let answer = dns.cname(question.host()).await;
                steps.push(Step::new(format!("CNAME {}", question.host()), &answer, "record"));
                question.answer(&answer)
            }
            DaneLookup::Tlsa(question) => {
                let (base, port) = (question.base(), question.port());
                let answer = dns.tlsa(base, port).await;
                let asked = format!("TLSA _{port}._tcp.{base}");
                steps.push(Step::new(asked, &answer, "record"));
                question.answer(answer)
            }
            DaneLookup::Answered(answer) => break answer,
        };
    };
    TracedLookup { steps, addresses, dane }
}

impl Step {
    fn new<T>(question: String, answer: &Result<Lookup<T>, LookupError>, noun: &str) -> Self {
        let security = answer.as_ref().ok().map(Lookup::security);
        Self { question, answer: in_words(answer, noun), security }
    }
}

/// An answer in words: what DNSSEC proves first.
fn in_words<T>(answer: &Result<Lookup<T>, LookupError>, noun: &str) -> String {
    match answer {
        Ok(Lookup::Found(Records { records, security, canonical, .. })) => {
            let alias = canonical.as_ref().map(|end| format!(", at {end}")).unwrap_or_default();
            let number = records.len();
            let plural = if number == 1 {
                ""
            } else if noun == "address" {
                "es"
            } else {
                "s"
            };
            format!("{}: {number} {noun}{plural}{alias}", proved(*security))
        }
        Ok(Lookup::NoData(security)) => format!("{}: no such record", proved(*security)),
        Ok(Lookup::NxDomain(security)) => format!("{}: no such name", proved(*security)),
        Err(error) => format!("cannot be told: {error}"),
    }
}

const fn proved(security: Security) -> &'static str {
    match security {
        Security::Insecure => "insecure",
        Security::Secure => "secure",
    }
}
