//! What happens to mail, in a sentence.

use mta_sts::{Mode, PolicyDomain};

use super::hosts::Routing;
use super::report::{Exception, Host, HostVerdict, Verdict};

/// Mail that goes to the domain's own hosts.
pub(super) fn direct(
    verdict: Verdict,
    domain: &PolicyDomain,
    mode: Option<Mode>,
    routing: Routing,
    hosts: &[Host],
    exception: Option<&Exception>,
) -> String {
    let domain = domain.as_str();
    let taker = |wanted: HostVerdict| {
        let host = hosts.iter().find(|host| host.verdict >= wanted);
        host.map_or_else(String::new, |host| format!(", to {}", host.name))
    };
    match (verdict, mode, exception) {
        (Verdict::Verified, Some(Mode::Testing), _) => format!(
            "mail for {domain} leaves{}; the policy is in testing, and all hosts meet it",
            taker(HostVerdict::Verified)
        ),
        (Verdict::Verified, Some(Mode::None) | None, _) => {
            format!("mail for {domain} leaves verified by DANE{}", taker(HostVerdict::Verified))
        }
        (Verdict::Verified, Some(Mode::Enforce), _) => {
            format!("mail for {domain} leaves verified{}", taker(HostVerdict::Verified))
        }
        (Verdict::NoPolicy, _, _) => format!(
            "mail for {domain} leaves{}; no policy asks for verified TLS",
            taker(HostVerdict::Unproved)
        ),
        (Verdict::Unverified, Some(Mode::Enforce), Some(exception)) => format!(
            "mail for {domain} leaves unverified by your exception until {}: {}",
            exception.until, exception.reason
        ),
        (Verdict::Unverified, Some(Mode::Testing), _) => format!(
            "mail for {domain} leaves although not every host meets its policy, which is in testing"
        ),
        (Verdict::Unverified, _, _) => {
            format!("mail for {domain} leaves without the protection that it is meant to have")
        }
        (Verdict::Waiting | Verdict::CannotTell, _, _) if routing != Routing::Hosts => {
            format!("mail for {domain} does not leave: {}", nowhere(routing))
        }
        (Verdict::Waiting | Verdict::CannotTell, _, _)
            if hosts.iter().any(|host| host.verdict == HostVerdict::Unmatched) =>
        {
            format!(
                "mail for {domain} does not leave: DANE lets it go to none of its hosts; it waits and \
                 is returned if that does not change"
            )
        }
        (Verdict::Waiting | Verdict::CannotTell, Some(Mode::Enforce), _) => format!(
            "mail for {domain} does not leave: no host meets its policy; it waits and is returned \
             if that does not change"
        ),
        (Verdict::Waiting | Verdict::CannotTell, _, _) => {
            format!("mail for {domain} does not leave: no host can be reached")
        }
    }
}

/// Why mail has nowhere to go.
const fn nowhere(routing: Routing) -> &'static str {
    match routing {
        Routing::Hosts => "no host can be reached",
        Routing::NotLookedUp => "its MX lookup failed; it waits until that works",
        Routing::NoMailHost => "the domain exists, and has neither MX nor address records",
        Routing::NoSuchDomain => "the domain does not exist",
        Routing::NullMx => "the domain takes no mail (null MX)",
    }
}

/// Mail that takes a `[[route]]` to `to`; `direct` is what would happen without it.
pub(super) fn routed(verdict: Verdict, domain: &str, to: &str, direct: Option<&str>) -> String {
    let along = match verdict {
        Verdict::Verified => "it leaves verified",
        Verdict::NoPolicy => {
            "it leaves, without certificate verification, as the route's tls setting asks"
        }
        Verdict::Unverified => "it leaves unverified",
        Verdict::Waiting => "it does not leave: no next hop can be used",
        Verdict::CannotTell => "it is not known whether it leaves: the resolver does not answer",
    };
    let without = direct.map(|direct| format!("; without it: {direct}")).unwrap_or_default();
    format!("mail for {domain} goes by your [[route]] to {to}: {along}{without}")
}
