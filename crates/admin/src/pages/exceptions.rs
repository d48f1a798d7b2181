//! Exceptions: those in force, and one more.

use std::time::{Duration, SystemTime};

use askama::Template;
use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use mta_sts::{Exception, ExceptionEnding, ExceptionScope, Lifts, PolicyDomain};

use crate::api::exceptions::{ExceptionKind, ExceptionSource, ListedException, ScopeQuery};
use crate::pages::answer::{page, see_other};
use crate::pages::choice::{Choice, Choosable};
use crate::pages::form::Fields;
use crate::pages::frame::{Frame, Section, failed, unclear};
use crate::pages::gate::Act;
use crate::pages::logins::Visit;
use crate::pages::moment::{Moment, span};
use crate::pages::site::Site;
use crate::server::error::AdminError;

#[derive(Debug, Template)]
#[template(path = "exceptions.html")]
struct ExceptionsPage {
    frame: Frame,
    headline: String,
    listed: Vec<Row>,
    grant: GrantForm,
}

/// An exception in force.
#[derive(Debug)]
struct Row {
    domain: String,
    what: String,
    /// What tells it from others for the domain, as the form that ends it has it.
    scope: (&'static str, String),
    until: Moment,
    left: String,
    reason: String,
    by: String,
    /// Whether it can be ended here.
    is_granted: bool,
}

/// The form that grants one, as it was filled in.
#[derive(Debug, Default)]
struct GrantForm {
    domain: String,
    again: String,
    reason: String,
    hours: Vec<Choice>,
    what: Vec<Choice>,
    problem: Option<String>,
}

/// How long one may last, in hours.
const HOURS: [Choosable; 5] =
    [("4", "4 hours"), ("24", "24 hours"), ("72", "3 days"), ("168", "7 days"), ("720", "30 days")];

/// What one may set aside.
const WHAT: [Choosable; 3] = [
    ("mta-sts", "its MTA-STS policy"),
    ("dane", "its TLSA records (DANE)"),
    ("mta-sts,dane", "both"),
];

/// `GET /exceptions`
pub(crate) async fn list(
    State(site): State<Site>,
    Extension(visit): Extension<Visit>,
    RawQuery(query): RawQuery,
) -> Response {
    match Fields::asked(query, &["domain"]) {
        Ok(fields) => shown(&site, &visit, GrantForm::of(&fields)).await,
        Err(problem) => unclear(&site, &visit, &problem),
    }
}

/// `POST /exceptions/grant`
pub(crate) async fn grant(
    State(site): State<Site>,
    Extension(visit): Extension<Visit>,
    Extension(act): Extension<Act>,
) -> Response {
    let form = act.form();
    let exception = match wanted(form, site.shown().clock.wall()) {
        Ok(exception) => exception,
        Err(problem) => {
            let filled = GrantForm { problem: Some(problem), ..GrantForm::of(form) };
            return shown(&site, &visit, filled).await;
        }
    };
    let by = &visit.visitor.by;
    let exception = exception.granted(&by.to_string(), ExceptionEnding::OncePassed);
    match site.actions().grant(exception, by).await {
        Ok(Ok(listed)) => {
            let until = site.calendar().minute(listed.until.time());
            let note =
                format!("The exception for {} counts from now on, until {until}.", listed.domain);
            site.logins().note(&visit.id, note);
            see_other("/exceptions")
        }
        Ok(Err(refusal)) => {
            let filled = GrantForm { problem: Some(refusal.error), ..GrantForm::of(form) };
            shown(&site, &visit, filled).await
        }
        Err(error) => failed(&site, &visit, &error),
    }
}

/// `POST /exceptions/end`
pub(crate) async fn end(
    State(site): State<Site>,
    Extension(visit): Extension<Visit>,
    Extension(act): Extension<Act>,
) -> Response {
    let domain = match PolicyDomain::parse(act.form().get("domain").unwrap_or_default()) {
        Ok(domain) => domain,
        Err(error) => return unclear(&site, &visit, &error.to_string()),
    };
    let value = |name| act.form().get(name).map(str::to_owned);
    let (what, certificate, host) = (value("what"), value("certificate"), value("host"));
    let scope = match (ScopeQuery { what, certificate, host }).read() {
        Ok(scope) => scope,
        Err(refusal) => return unclear(&site, &visit, &refusal.error),
    };
    let ended = site.actions().withdraw(&domain, scope.as_ref(), &visit.visitor.by).await;
    let note = match ended {
        Ok(Some(Ok(_))) => {
            format!("The exception for {domain} has ended: its policy counts again.")
        }
        Ok(Some(Err(refusal))) => return unclear(&site, &visit, &refusal.error),
        Ok(None) => format!("The exception for {domain} had ended already."),
        Err(error) => return failed(&site, &visit, &error),
    };
    site.logins().note(&visit.id, note);
    see_other("/exceptions")
}

/// The page.
async fn shown(site: &Site, visit: &Visit, grant: GrantForm) -> Response {
    match listed(site).await {
        Ok(listed) => page(&ExceptionsPage {
            frame: Frame::new(site, visit, Section::Exceptions, "Exceptions"),
            headline: headline(listed.len()),
            listed,
            grant,
        }),
        Err(error) => failed(site, visit, &error),
    }
}

async fn listed(site: &Site) -> Result<Vec<Row>, AdminError> {
    let mut listed = site.actions().grants.list().await?;
    listed.sort_by_key(|one| one.until);
    let now = site.shown().clock.wall();
    Ok(listed.iter().map(|one| Row::of(one, site, now)).collect())
}

fn headline(count: usize) -> String {
    match count {
        0 => "No exception is in force.".to_owned(),
        1 => "One exception is in force.".to_owned(),
        more => format!("{more} exceptions are in force."),
    }
}

/// The exception that a form asks for.
fn wanted(form: &Fields, now: SystemTime) -> Result<Exception, String> {
    let typed = form.get("domain").unwrap_or_default().trim();
    if !typed.eq_ignore_ascii_case(form.get("again").unwrap_or_default().trim()) {
        return Err("The domain was not typed twice in the same way.".to_owned());
    }
    let domain = PolicyDomain::parse(typed).map_err(|error| format!("`{typed}`: {error}"))?;
    let hours = form.get("hours").and_then(|hours| hours.parse::<u64>().ok());
    let hours =
        hours.filter(|hours| (1..=8760).contains(hours)).ok_or("Choose how long it lasts.")?;
    let what = form.get("what").and_then(Lifts::parse).ok_or("Choose what it sets aside.")?;
    let until = Duration::from_secs(hours.saturating_mul(3_600));
    let until = now.checked_add(until).ok_or("That is too long.")?;
    let reason = form.get("reason").unwrap_or_default().trim();
    let exception =
        Exception::new(domain, until, reason, now).map_err(|error| error.to_string())?;
    Ok(exception.of(ExceptionScope::Domain(what)))
}

impl GrantForm {
    fn of(form: &Fields) -> Self {
        let value = |name| form.get(name).unwrap_or_default().to_owned();
        Self {
            domain: value("domain"),
            again: value("again"),
            reason: value("reason"),
            hours: Choice::of(HOURS, form.get("hours").unwrap_or("24")),
            what: Choice::of(WHAT, form.get("what").unwrap_or("mta-sts")),
            problem: None,
        }
    }
}

impl Row {
    fn of(listed: &ListedException, site: &Site, now: SystemTime) -> Self {
        let until = listed.until.time();
        let left = until.duration_since(now).unwrap_or_default().as_secs();
        let accepts = listed.accepts.clone().unwrap_or_default();
        Self {
            domain: listed.domain.clone(),
            what: match listed.kind {
                ExceptionKind::Domain => listed.what.join(" and "),
                ExceptionKind::Certificate | ExceptionKind::Host => listed.scope_in_words(),
            },
            scope: match listed.kind {
                ExceptionKind::Certificate => ("certificate", accepts),
                ExceptionKind::Domain => ("what", listed.what.join(",")),
                ExceptionKind::Host => ("host", accepts),
            },
            until: site.calendar().minute(until),
            left: span(left),
            reason: listed.reason.clone(),
            by: listed.by.clone().unwrap_or_else(|| "the settings".to_owned()),
            is_granted: match listed.from {
                ExceptionSource::Command => true,
                ExceptionSource::Settings => false,
            },
        }
    }
}
