//! Who did what, and when.

use askama::Template;
use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use clock::time;
use history::{Activity, Between, activities};

use crate::pages::answer::page;
use crate::pages::form::Fields;
use crate::pages::frame::{Frame, Section, failed, unclear};
use crate::pages::logins::Visit;
use crate::pages::moment::Moment;
use crate::pages::site::Site;
use crate::server::error::AdminError;

/// Acts on a page.
const PAGE: usize = 100;

#[derive(Debug, Template)]
#[template(path = "activity.html")]
struct ActivityPage {
    frame: Frame,
    rows: Vec<Row>,
    next: Option<String>,
}

/// An act.
#[derive(Debug)]
struct Row {
    at: Moment,
    by: String,
    act: &'static str,
    what: String,
}

/// `GET /activity`
pub(crate) async fn list(
    State(site): State<Site>,
    Extension(visit): Extension<Visit>,
    RawQuery(query): RawQuery,
) -> Response {
    let before = match Fields::asked(query, &["before"]).and_then(|fields| before(&fields)) {
        Ok(before) => before,
        Err(problem) => return unclear(&site, &visit, &problem),
    };
    match acts(&site, before).await {
        Ok(acts) => page(&ActivityPage::of(&acts, &site, &visit)),
        Err(error) => failed(&site, &visit, &error),
    }
}

/// Before when the acts were that are meant.
fn before(fields: &Fields) -> Result<u64, String> {
    let Some(text) = fields.get("before") else { return Ok(u64::MAX) };
    text.parse().map_err(|_no_number| "`before` is no moment.".to_owned())
}

async fn acts(site: &Site, before: u64) -> Result<Vec<Activity>, AdminError> {
    let Some(dir) = site.shown().history.clone() else { return Ok(Vec::new()) };
    let within = Between { since: 0, until: before };
    Ok(tokio::task::spawn_blocking(move || activities(&dir, within, PAGE)).await??)
}

impl ActivityPage {
    fn of(acts: &[Activity], site: &Site, visit: &Visit) -> Self {
        let calendar = site.calendar();
        let row = |one: &Activity| Row {
            at: calendar.second(time(one.at)),
            by: one.by.clone(),
            act: one.act.word(),
            what: one.act.to_string(),
        };
        let last = acts.last().map(|one| one.at).filter(|_| acts.len() == PAGE);
        Self {
            frame: Frame::new(site, visit, Section::Activity, "Activity"),
            rows: acts.iter().map(row).collect(),
            next: last.map(|at| format!("?before={at}")),
        }
    }
}
