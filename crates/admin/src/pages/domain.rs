//! One domain: what protects its mail, since when, and what has happened.

use askama::Template;
use axum::Extension;
use axum::extract::{Path, State};
use axum::response::Response;
use clock::{millis, time};
use history::{Between, Day, Event, FullDomain, Weight};
use mta_sts::PolicyDomain;

use crate::api::answers::Policy;
use crate::pages::answer::{page, see_other};
use crate::pages::chart::DayChart;
use crate::pages::form::Fields;
use crate::pages::frame::{Frame, Section, failed, not_found, unclear};
use crate::pages::gate::Act;
use crate::pages::ledger::{WaitingMail, read};
use crate::pages::logins::Visit;
use crate::pages::moment::Moment;
use crate::pages::parts::count;
use crate::pages::site::Site;
use crate::pages::standing::{DomainRow, Standing};
use crate::server::error::AdminError;

/// So many days are drawn.
const DAYS: u32 = 400;

/// So many events are listed.
const EVENTS: usize = 100;

#[derive(Debug, Template)]
#[template(path = "domain.html")]
struct DomainPage {
    frame: Frame,
    domain: String,
    query: String,
    standing: Standing,
    row: DomainRow,
    days: DayChart,
    months: Vec<(String, String, String)>,
    policy: Option<PolicyShown>,
    dane_since: Option<Moment>,
    hosts: Vec<HostShown>,
    events: Vec<EventShown>,
    failing: Option<Moment>,
}

/// The cached policy.
#[derive(Debug)]
struct PolicyShown {
    id: String,
    mode: String,
    max_age: u64,
    mx: Vec<String>,
    fetched: Moment,
    valid_until: Moment,
    trouble: Option<String>,
}

/// A host and its certificate.
#[derive(Debug)]
struct HostShown {
    host: String,
    sha256: String,
    since: Moment,
    ends: Option<Moment>,
}

/// Something that has happened.
#[derive(Debug)]
struct EventShown {
    at: Moment,
    text: String,
    is_warning: bool,
}

/// `GET /domains/{domain}`
pub(crate) async fn show(
    State(site): State<Site>,
    Extension(visit): Extension<Visit>,
    Path(domain): Path<String>,
) -> Response {
    let Ok(domain) = PolicyDomain::parse(&domain) else { return not_found(&site, &visit) };
    match shown(&site, &visit, &domain).await {
        Ok(Some(shown)) => page(&shown),
        Ok(None) => not_found(&site, &visit),
        Err(error) => failed(&site, &visit, &error),
    }
}

/// `POST /policies/refresh`
pub(crate) async fn refresh(
    State(site): State<Site>,
    Extension(visit): Extension<Visit>,
    Extension(act): Extension<Act>,
) -> Response {
    let domain = match PolicyDomain::parse(act.form().get("domain").unwrap_or_default()) {
        Ok(domain) => domain,
        Err(error) => return unclear(&site, &visit, &error.to_string()),
    };
    let target = format!("/domains/{domain}");
    match site.actions().refresh(domain, &visit.visitor.by).await {
        Ok(refreshed) => {
            let note = match (refreshed.error, refreshed.policy) {
                (Some(error), _) => format!("The policy could not be fetched: {error}"),
                (None, Some(policy)) => {
                    format!("The policy was fetched: id {}, mode {}.", policy.id, policy.mode)
                }
                (None, None) => "The domain has no policy.".to_owned(),
            };
            site.logins().note(&visit.id, note);
            see_other(&target)
        }
        Err(error) => failed(&site, &visit, &error),
    }
}

async fn shown(
    site: &Site,
    visit: &Visit,
    domain: &PolicyDomain,
) -> Result<Option<DomainPage>, AdminError> {
    let name = domain.as_str().to_owned();
    let wanted = name.clone();
    let found: Option<FullDomain> =
        read(site, move |ledger| ledger.domain(&wanted, Between::ALWAYS, EVENTS)).await?;
    let Some(found) = found else { return Ok(None) };
    let policy = site.actions().reads.policy(domain.clone()).await?;
    let waiting = WaitingMail::of(&site.actions().stats().await?).for_domain(&name);
    let calendar = site.calendar();
    let moment = |at| calendar.minute(time(at));
    let state = &found.domain.state;
    let shown_hosts = state.certificates.0.iter().filter_map(|host| {
        let shown = host.shown.last()?;
        let (since, ends) = (moment(shown.since), shown.not_after.map(moment));
        Some(HostShown { host: host.host.clone(), sha256: shown.sha256.clone(), since, ends })
    });
    let today = Day::of(millis(site.shown().clock.wall()));
    Ok(Some(DomainPage {
        frame: Frame::new(site, visit, Section::Domains, name.clone()),
        query: Fields::default().query_with(&[("domain", &name)]),
        standing: Standing::of(state, waiting),
        row: DomainRow::of(&found.domain, waiting, &calendar),
        days: DayChart::of(&found.days, today, DAYS),
        months: months(&found),
        policy: policy.map(|policy| PolicyShown::of(policy, site)),
        dane_since: state.dane_since.map(moment),
        hosts: shown_hosts.collect(),
        events: found.events.iter().map(|event| EventShown::of(event, site)).collect(),
        failing: state.refresh_failing_since.map(moment),
        domain: name,
    }))
}

/// The last days with mail, the newest first: day, worst protection, recipients.
fn months(found: &FullDomain) -> Vec<(String, String, String)> {
    let last = found.days.iter().rev().take(60);
    last.map(|bar| {
        let worst = bar.worst.map_or("not sent", |worst| worst.label());
        (bar.day.to_string(), worst.to_owned(), count(bar.counts.delivered))
    })
    .collect()
}

impl PolicyShown {
    fn of(policy: Policy, site: &Site) -> Self {
        let calendar = site.calendar();
        Self {
            id: policy.id,
            mode: policy.mode,
            max_age: policy.max_age,
            mx: policy.mx,
            fetched: calendar.minute(policy.fetched_at.time()),
            valid_until: calendar.minute(policy.valid_until.time()),
            trouble: policy.trouble.map(|trouble| trouble.error),
        }
    }
}

impl EventShown {
    fn of(event: &Event, site: &Site) -> Self {
        Self {
            at: site.calendar().minute(time(event.at)),
            text: event.what.to_string(),
            is_warning: event.what.weight() == Weight::Warning,
        }
    }
}
