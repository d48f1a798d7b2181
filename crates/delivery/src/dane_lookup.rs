//! Looks up which TLSA records apply to a host: puts the questions of [`DaneLookup`] to the DNS.

use dns::Dns;
use tls_policy::{DaneLookup, HostDane};

/// How old TLSA records may be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TlsaAge {
    /// As old as they say.
    Any,
    /// Not remembered: a certificate does not match, and its records may be newer than ours
    /// (RFC 7671 §8).
    Fresh,
}

/// The TLSA records that apply to a host, from a step of the lookup on (RFC 7672 §2.2).
pub async fn host_dane(dns: &dyn Dns, begun: DaneLookup, age: TlsaAge) -> HostDane {
    let mut step = begun;
    loop {
        step = match step {
            DaneLookup::Addresses(question) => {
                let addresses = dns.addresses(question.host()).await;
                question.answer(&addresses)
            }
            DaneLookup::Alias(question) => {
                let answer = dns.cname(question.host()).await;
                question.answer(&answer)
            }
            DaneLookup::Tlsa(question) => {
                let (base, port) = (question.base(), question.port());
                let answer = match age {
                    TlsaAge::Any => dns.tlsa(base, port).await,
                    TlsaAge::Fresh => dns.tlsa_fresh(base, port).await,
                };
                question.answer(answer)
            }
            DaneLookup::Answered(answer) => return answer,
        };
    }
}

#[cfg(test)]
mod tests;
