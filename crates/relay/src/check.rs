//! What would happen to mail for a domain, step by step as a sender takes them, and how to mend it.
//!
//! Everything is looked up now, and with the parts that delivery uses: the same resolver, the same
//! fetch, the same dialogue and the same verifier. No mail is begun, and nothing is kept.

mod hosts;
mod policy;
mod resolver;
mod route;
mod summary;

use std::sync::Arc;

use admin::api::answers;
use clock::{Clock, Timestamp};
use delivery::Route;
use dns::{Dns, Resolver, ResolverError};
use mta_sts::{Mode, PolicyDomain};
use pkix::SetupError;
use serde::Serialize;
use settings::Settings;
use smtp::{Domain, MailboxDomain};
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
    names_failed: bool,
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
    fn new(name: &'static str, state: State, text: impl Into<String>) -> Self {
        Self { name, state, text: text.into(), fix: None }
    }

    fn fix(self, fix: impl Into<String>) -> Self {
        Self { fix: Some(fix.into()), ..self }
    }
}

/// How much is looked at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Extent {
    /// Everything.
    All,
    /// The next hops of the `[[route]]` alone.
    Route,
}

/// Looks at everything that a delivery to `domain` would meet.
pub(crate) async fn check(
    domain: &PolicyDomain,
    extent: Extent,
    kept: Kept,
    settings: &Settings,
    clock: Arc<dyn Clock>,
) -> Result<Report, CheckError> {
    let resolver = Resolver::new(settings.dns.clone())?;
    let servers: Vec<_> = resolver.servers().collect();
    let dns: Arc<dyn Dns> = Arc::new(resolver);
    let name = Domain::parse(domain.as_str())?;
    let routes = routes_of(&name, settings);
    let mut report = match extent {
        Extent::All => {
            Box::pin(directly(domain, &name, kept, settings, &dns, Arc::clone(&clock))).await?
        }
        Extent::Route if routes.is_empty() => return Err(CheckError::NoRoute),
        Extent::Route => Report::of_route_alone(domain),
    };
    if report.names_failed
        && let Some((stage, summary)) = resolver::own_fault(&dns, &servers, domain).await
    {
        // There is nothing that the domain could mend.
        report.stages.iter_mut().for_each(|stage| stage.fix = None);
        report.stages.insert(0, stage);
        (report.verdict, report.summary) = (Verdict::CannotTell, summary);
    }
    if !routes.is_empty() {
        Box::pin(along(&routes, &mut report, extent, settings, &dns, clock)).await?;
    }
    Ok(report)
}

/// What happens to mail that goes to the domain's own hosts.
async fn directly(
    domain: &PolicyDomain,
    name: &Domain,
    kept: Kept,
    settings: &Settings,
    dns: &Arc<dyn Dns>,
    clock: Arc<dyn Clock>,
) -> Result<Report, CheckError> {
    let now = clock.now();
    let policy::Found { mut stages, policy, looked_up } =
        Box::pin(policy::look(domain, kept, settings, dns, now)).await?;
    let hosts::Found { routing, stage, hosts } =
        Box::pin(hosts::look(name, policy.as_ref(), settings, dns, clock)).await?;
    stages.push(stage);
    let exception = settings.policies.exceptions.find(domain, now).map(|exception| Exception {
        until: Timestamp::of(exception.until()),
        reason: exception.reason().to_owned(),
    });
    let mode = policy.as_ref().map(|policy| policy.mode());
    let verdict = judge(&stages, mode, &hosts, exception.as_ref());
    let summary = summary::direct(verdict, domain, mode, routing, &hosts, exception.as_ref());
    Ok(Report {
        domain: domain.as_str().to_owned(),
        verdict,
        summary,
        mode: mode.map(|mode| mode.to_string()),
        exception,
        route: Vec::new(),
        stages,
        hosts,
        names_failed: !looked_up || routing == hosts::Routing::NotLookedUp,
    })
}

/// What happens to mail that takes a route instead: its verdict is the one that counts.
async fn along(
    routes: &[Route],
    report: &mut Report,
    extent: Extent,
    settings: &Settings,
    dns: &Arc<dyn Dns>,
    clock: Arc<dyn Clock>,
) -> Result<(), CheckError> {
    let mut worst: Option<Verdict> = None;
    for route in routes {
        let hosts = route::look(route, settings, dns, Arc::clone(&clock)).await?;
        let verdict = judge_route(&hosts);
        worst = Some(worst.map_or(verdict, |worst| worst.max(verdict)));
        report.route.extend(hosts);
    }
    let to = in_words(routes);
    report.stages.insert(0, route_stage(&to));
    let verdict = match (worst, report.verdict) {
        // Nothing can be said of a next hop whose name cannot be looked up either.
        (Some(Verdict::Waiting), Verdict::CannotTell) => Verdict::CannotTell,
        (Some(worst), _) => worst,
        (None, direct) => direct,
    };
    let direct = std::mem::take(&mut report.summary);
    let direct = (extent == Extent::All).then_some(direct);
    report.summary = summary::routed(verdict, &report.domain, &to, direct.as_deref());
    report.verdict = verdict;
    Ok(())
}

impl Report {
    /// A report that says nothing of the domain's own hosts.
    fn of_route_alone(domain: &PolicyDomain) -> Self {
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

/// The routes that the settings have for mail to the domain.
fn routes_of(domain: &Domain, settings: &Settings) -> Vec<Route> {
    let domain = MailboxDomain::Domain(domain.clone());
    settings.delivery.routes.of_recipient(&domain).cloned().collect()
}

/// Where routes lead.
fn in_words(routes: &[Route]) -> String {
    let one = |route: &Route| {
        let hops: Vec<_> = route.next_hops.iter().map(|hop| hop.to.to_string()).collect();
        let senders = if route.senders.is_empty() { "" } else { " (from some senders)" };
        format!("{}{senders}", hops.join(", then "))
    };
    routes.iter().map(one).collect::<Vec<_>>().join("; ")
}

/// A route, and what it means for the policy (RFC 8461 §3.4).
fn route_stage(to: &str) -> Stage {
    let text = format!(
        "mail goes to {to}, under the policy of that host; the domain's own policy and hosts are \
         not used"
    );
    Stage::new("route", State::Warning, text)
        .fix("drop the [[route]] to have the domain's own policy enforced")
}

/// What happens to mail along a route: one next hop that takes it is enough.
fn judge_route(hosts: &[Host]) -> Verdict {
    match hosts.iter().map(|host| host.verdict).max() {
        Some(HostVerdict::Verified) => Verdict::Verified,
        // The operator wants it so: tls = "opportunistic".
        Some(HostVerdict::Unproved | HostVerdict::NotNamed) => Verdict::NoPolicy,
        Some(HostVerdict::Unreachable) | None => Verdict::Waiting,
    }
}

/// What happens to mail (RFC 8461 §5).
fn judge(
    stages: &[Stage],
    mode: Option<Mode>,
    hosts: &[Host],
    exception: Option<&Exception>,
) -> Verdict {
    let best = hosts.iter().map(|host| host.verdict).max();
    let all_prove = hosts.iter().all(|host| host.verdict == HostVerdict::Verified);
    match (mode, best) {
        (_, None | Some(HostVerdict::Unreachable)) => Verdict::Waiting,
        (Some(Mode::Enforce), Some(HostVerdict::Verified)) => Verdict::Verified,
        (Some(Mode::Enforce), Some(HostVerdict::NotNamed | HostVerdict::Unproved)) => {
            if exception.is_some() { Verdict::Unverified } else { Verdict::Waiting }
        }
        (Some(Mode::Testing), Some(_)) if all_prove => Verdict::Verified,
        (Some(Mode::Testing), Some(_)) => Verdict::Unverified,
        (Some(Mode::None) | None, Some(_)) => {
            let wrong = stages.iter().any(|stage| stage.state == State::Wrong);
            if wrong { Verdict::Unverified } else { Verdict::NoPolicy }
        }
    }
}
