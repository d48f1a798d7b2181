//! What would happen to mail for a domain, step by step as a sender takes them, and how to mend it.
//!
//! Everything is looked at anew and with the parts that delivery uses: the same resolver, the same
//! fetch, the same dialogue and the same verifier. No mail is begun, and nothing is kept.

mod hosts;
mod policy;

use std::sync::Arc;

use clock::Clock;
use delivery::Route;
use dns::{Dns, Resolver, ResolverError};
use mta_sts::{Mode, PolicyDomain};
use pkix::SetupError;
use serde::Serialize;
use smtp::{Domain, MailboxDomain};
use thiserror::Error;

use crate::admin::answer;
use crate::moment::Moment;
use crate::settings::Settings;

/// What was found.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// The domain, in A-labels.
    pub(crate) domain: String,
    /// What becomes of mail.
    pub(crate) verdict: Verdict,
    /// The same in a sentence.
    pub(crate) summary: String,
    /// The mode of the policy that applies.
    pub(crate) mode: Option<String>,
    /// The operator's exception, where one is in force.
    pub(crate) exception: Option<Exception>,
    /// What was looked at for the domain as a whole.
    pub(crate) stages: Vec<Stage>,
    /// Its MX hosts, in the order they are tried.
    pub(crate) hosts: Vec<Host>,
}

/// What becomes of mail for the domain.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Verdict {
    /// It leaves over a verified session, as the policy asks.
    Verified,
    /// It leaves; the domain has no policy that asks for more.
    NoPolicy,
    /// It leaves although something is wrong that a policy would forbid, or does.
    Unverified,
    /// It does not leave.
    Held,
}

/// An exception in force.
#[derive(Debug, Serialize)]
pub(crate) struct Exception {
    /// When it ends.
    pub(crate) until: Moment,
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

/// An MX host.
#[derive(Debug, Serialize)]
pub(crate) struct Host {
    /// Its name.
    pub(crate) name: String,
    /// Its MX record's preference; none where the domain itself stands in.
    pub(crate) preference: Option<u16>,
    /// What it is good for.
    pub(crate) verdict: HostVerdict,
    /// What was looked at.
    pub(crate) stages: Vec<Stage>,
}

/// What a host is good for.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum HostVerdict {
    /// It has no address, or no connection or dialogue came about.
    Unreachable,
    /// It can be talked to, without proof of its name.
    Unproved,
    /// It proves its name; the policy does not name it.
    NotNamed,
    /// It proves its name, and no policy forbids to send there.
    Verified,
}

/// The check could not be made.
#[derive(Debug, Error)]
pub(crate) enum CheckError {
    /// There is nobody to ask for names.
    #[error("there is no resolver")]
    Dns(#[from] ResolverError),
    /// The name cannot be a domain's.
    #[error("this is not a mail domain")]
    Domain(#[from] smtp::DomainError),
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
    Known(Option<answer::Policy>),
    /// That cannot be told, for this reason.
    Unknown(String),
}

impl Stage {
    fn new(name: &'static str, state: State, text: impl Into<String>) -> Self {
        Self { name, state, text: text.into(), fix: None }
    }

    fn fix(self, fix: impl Into<String>) -> Self {
        Self { fix: Some(fix.into()), ..self }
    }
}

/// Looks at everything that a delivery to `domain` would meet.
pub(crate) async fn check(
    domain: &PolicyDomain,
    kept: Kept,
    settings: &Settings,
    clock: Arc<dyn Clock>,
) -> Result<Report, CheckError> {
    let dns: Arc<dyn Dns> = Arc::new(Resolver::new(settings.dns.clone())?);
    let name = Domain::parse(domain.as_str())?;
    let now = clock.now();
    let found = Box::pin(policy::look(domain, kept, settings, &dns, now)).await?;
    let routed = routed(&name, settings);
    let (mut stages, policy) = (found.stages, found.policy);
    stages.splice(0..0, routed.as_deref().map(route_stage));
    let (routing, hosts) =
        Box::pin(hosts::look(&name, policy.as_ref(), settings, &dns, clock)).await?;
    stages.push(routing);
    let exception = settings.policies.exceptions.find(domain, now).map(|exception| Exception {
        until: Moment::of(exception.until()),
        reason: exception.reason().to_owned(),
    });
    let mode = policy.as_ref().map(|policy| policy.mode());
    let verdict = judge(&stages, mode, &hosts, exception.as_ref());
    Ok(Report {
        domain: domain.as_str().to_owned(),
        verdict,
        summary: match (routed, summary(verdict, domain, mode, &hosts, exception.as_ref())) {
            (Some(to), direct) => format!(
                "mail for {} goes by your [[route]] to {to}; without it: {direct}",
                domain.as_str()
            ),
            (None, direct) => direct,
        },
        mode: mode.map(|mode| mode.to_string()),
        exception,
        stages,
        hosts,
    })
}

/// Where the settings send mail for the domain instead of its MX hosts.
fn routed(domain: &Domain, settings: &Settings) -> Option<String> {
    let domain = MailboxDomain::Domain(domain.clone());
    let one = |route: &Route| {
        let hops: Vec<_> = route.next_hops.iter().map(|hop| hop.to.to_string()).collect();
        let senders = if route.senders.is_empty() { "" } else { " (from some senders)" };
        format!("{}{senders}", hops.join(", then "))
    };
    let routes: Vec<_> = settings.delivery.routes.of_recipient(&domain).map(one).collect();
    (!routes.is_empty()).then(|| routes.join("; "))
}

/// A route, and what it means for the policy (RFC 8461 §3.4).
fn route_stage(to: &str) -> Stage {
    let text = format!(
        "mail goes to {to}, under the policy of that host; the domain's own policy and hosts, which \
         follow, have no say"
    );
    Stage::new("route", State::Warning, text)
        .fix("check the next hop's name as well; drop the [[route]] to have this policy enforced")
}

/// What becomes of mail (RFC 8461 §5).
fn judge(
    stages: &[Stage],
    mode: Option<Mode>,
    hosts: &[Host],
    exception: Option<&Exception>,
) -> Verdict {
    let best = hosts.iter().map(|host| host.verdict).max();
    let all_prove = hosts.iter().all(|host| host.verdict == HostVerdict::Verified);
    match (mode, best) {
        (_, None | Some(HostVerdict::Unreachable)) => Verdict::Held,
        (Some(Mode::Enforce), Some(HostVerdict::Verified)) => Verdict::Verified,
        (Some(Mode::Enforce), Some(HostVerdict::NotNamed | HostVerdict::Unproved)) => {
            if exception.is_some() { Verdict::Unverified } else { Verdict::Held }
        }
        (Some(Mode::Testing), Some(_)) if all_prove => Verdict::Verified,
        (Some(Mode::Testing), Some(_)) => Verdict::Unverified,
        (Some(Mode::None) | None, Some(_)) => {
            let wrong = stages.iter().any(|stage| stage.state == State::Wrong);
            if wrong { Verdict::Unverified } else { Verdict::NoPolicy }
        }
    }
}

fn summary(
    verdict: Verdict,
    domain: &PolicyDomain,
    mode: Option<Mode>,
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
        (Verdict::Verified, _, _) => {
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
            format!("mail for {domain} leaves without the protection that it means to have")
        }
        (Verdict::Held, _, _) if hosts.is_empty() => {
            format!("mail for {domain} does not leave: it has no host to go to")
        }
        (Verdict::Held, Some(Mode::Enforce), _) => format!(
            "mail for {domain} does not leave: no host meets its policy; it waits and is returned \
             if that does not change"
        ),
        (Verdict::Held, _, _) => {
            format!("mail for {domain} does not leave: no host can be reached")
        }
    }
}
