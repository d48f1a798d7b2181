//! What would happen to mail for a domain, step by step as a sender takes them, and how to mend it.
//!
//! Everything is looked up now, and with the parts that delivery uses: the same resolver, the same
//! fetch, the same dialogue and the same verifier. No mail is begun, and nothing is kept.

mod dane;
mod hosts;
mod policy;
mod report;
mod resolver;
mod route;
mod summary;
mod tls_reports;

use std::sync::Arc;

use clock::{Clock, Timestamp};
use delivery::Route;
use dns::{Dns, Resolver};
use mta_sts::{Mode, PolicyDomain};
use settings::Settings;
use smtp::{Domain, MailboxDomain};
use tls_rpt::DomainName;

pub(crate) use self::report::{
    CheckError, DaneVerdict, Exception, Host, HostVerdict, Kept, Report, Stage, State, Verdict,
};
use crate::validation::why_inactive;

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
    let states = resolver.states().await;
    let validates = states.iter().any(|(_, state)| state.validates());
    let inactive = (!validates).then(|| why_inactive(&states));
    let relay = dane::Relay { settings, inactive: inactive.as_deref() };
    let dns: Arc<dyn Dns> = Arc::new(resolver);
    let name = Domain::parse(domain.as_str())?;
    let routes = routes_of(&name, settings);
    let mut report = match extent {
        Extent::All => {
            Box::pin(directly(domain, &name, kept, relay, &dns, Arc::clone(&clock))).await?
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
    relay: dane::Relay<'_>,
    dns: &Arc<dyn Dns>,
    clock: Arc<dyn Clock>,
) -> Result<Report, CheckError> {
    let (now, settings) = (clock.now(), relay.settings);
    let policy::Found { mut stages, policy, looked_up } =
        Box::pin(policy::look(domain, kept, settings, dns, now)).await?;
    let hosts::Found { routing, stages: of_hosts, hosts } =
        Box::pin(hosts::look(name, policy.as_ref(), relay, dns, clock)).await?;
    stages.extend(of_hosts);
    let exception = settings.policies.exceptions.find(domain, now).map(|exception| Exception {
        until: Timestamp::of(exception.until()),
        reason: exception.reason().to_owned(),
    });
    let mode = policy.as_ref().map(|policy| policy.mode());
    let verdict = judge(&stages, mode, &hosts, exception.as_ref());
    let summary = summary::direct(verdict, domain, mode, routing, &hosts, exception.as_ref());
    if let Ok(name) = DomainName::parse(domain.as_str()) {
        stages.push(tls_reports::look(dns.as_ref(), &name).await);
    }
    Ok(Report {
        domain: domain.as_str().to_owned(),
        verdict,
        summary,
        mode: mode.map(|mode| mode.to_string()),
        exception,
        route: Vec::new(),
        stages,
        names_failed: !looked_up
            || routing == hosts::Routing::NotLookedUp
            || hosts.iter().any(|host| host.dane == Some(DaneVerdict::Failed)),
        hosts,
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
        Some(HostVerdict::Unmatched | HostVerdict::Unreachable) | None => Verdict::Waiting,
    }
}

/// What happens to mail (RFC 8461 §5, RFC 7672 §2.2).
fn judge(
    stages: &[Stage],
    mode: Option<Mode>,
    hosts: &[Host],
    exception: Option<&Exception>,
) -> Verdict {
    let best = hosts.iter().map(|host| host.verdict).max();
    let all_prove = hosts.iter().all(|host| host.verdict == HostVerdict::Verified);
    let all_match = hosts.iter().all(|host| host.dane == Some(DaneVerdict::Matched));
    match (mode, best) {
        (_, None | Some(HostVerdict::Unmatched | HostVerdict::Unreachable)) => Verdict::Waiting,
        (Some(Mode::Enforce), Some(HostVerdict::Verified)) => Verdict::Verified,
        (Some(Mode::Enforce), Some(HostVerdict::NotNamed | HostVerdict::Unproved)) => {
            if exception.is_some() { Verdict::Unverified } else { Verdict::Waiting }
        }
        (Some(Mode::Testing), Some(_)) if all_prove => Verdict::Verified,
        (Some(Mode::Testing), Some(_)) => Verdict::Unverified,
        (Some(Mode::None) | None, Some(_)) if all_match => Verdict::Verified,
        (Some(Mode::None) | None, Some(_)) => {
            let wrong = stages.iter().any(|stage| stage.state == State::Wrong);
            if wrong { Verdict::Unverified } else { Verdict::NoPolicy }
        }
    }
}
