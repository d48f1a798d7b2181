//! Records: what became of mail, found as `sts-relay trace` finds it.

use std::path::Path as FilePath;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use askama::Template;
use axum::Extension;
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use clock::Timestamp;
use history::{Found, FoundRecord, History, OutcomeKind, Query, Wanted};
use mail::{Protection, QueueId};

use crate::pages::answer::page;
use crate::pages::attempt::AttemptShown;
use crate::pages::choice::Choice;
use crate::pages::form::Fields;
use crate::pages::frame::{Frame, Section, failed, not_found, unclear};
use crate::pages::logins::Visit;
use crate::pages::parts::may_look_for;
use crate::pages::site::Site;
use crate::server::error::AdminError;

/// Records on a page.
const PAGE: usize = 100;

/// Attempts of one message that are shown.
const ATTEMPTS: usize = 100;

/// What can be asked for.
const KEYS: [&str; 9] =
    ["domain", "sender", "recipient", "host", "protection", "outcome", "since", "until", "before"];

#[derive(Debug, Template)]
#[template(path = "records.html")]
struct RecordsPage {
    frame: Frame,
    fields: Fields,
    protections: Vec<Choice>,
    outcomes: Vec<Choice>,
    records: Vec<AttemptShown>,
    gaps: Vec<String>,
    unreadable: Vec<String>,
    is_kept: bool,
    next: Option<String>,
}

#[derive(Debug, Template)]
#[template(path = "record.html")]
struct RecordPage {
    frame: Frame,
    id: String,
    waits: bool,
    attempts: Vec<AttemptShown>,
}

/// `GET /records`
pub(crate) async fn list(
    State(site): State<Site>,
    Extension(visit): Extension<Visit>,
    RawQuery(query): RawQuery,
) -> Response {
    let asked = Fields::asked(query, &KEYS);
    let (fields, query) =
        match asked.and_then(|fields| Ok((fields.clone(), read(&fields, &visit)?))) {
            Ok(asked) => asked,
            Err(problem) => return unclear(&site, &visit, &problem),
        };
    let found = match find(site.shown().history.as_deref(), query, PAGE).await {
        Ok(found) => found,
        Err(error) => return failed(&site, &visit, &error),
    };
    page(&RecordsPage::of(&found, &fields, &site, &visit))
}

/// `GET /records/ID`
pub(crate) async fn message(
    State(site): State<Site>,
    Extension(visit): Extension<Visit>,
    Path(id): Path<String>,
) -> Response {
    let Ok(id) = id.parse::<QueueId>() else { return not_found(&site, &visit) };
    let query = Query { wanted: vec![Wanted::QueueId(id)], ..Query::default() };
    let found = match find(site.shown().history.as_deref(), query, ATTEMPTS).await {
        Ok(found) => found,
        Err(error) => return failed(&site, &visit, &error),
    };
    if found.records.is_empty() {
        return not_found(&site, &visit);
    }
    let waits = matches!(site.actions().reads.message(id).await, Ok(Some(_)));
    let attempts = found.records.iter().filter_map(|one| AttemptShown::of(one, &site, &visit));
    page(&RecordPage {
        frame: Frame::new(&site, &visit, Section::Records, format!("Record of {id}")),
        id: id.to_string(),
        waits,
        attempts: attempts.collect(),
    })
}

/// What the history has; without one nothing.
async fn find(history: Option<&FilePath>, query: Query, limit: usize) -> Result<Found, AdminError> {
    let Some(dir) = history else { return Ok(Found::default()) };
    let history = History::in_dir(dir);
    Ok(tokio::task::spawn_blocking(move || history.find(&query, limit)).await??)
}

/// What these fields ask the history.
fn read(fields: &Fields, visit: &Visit) -> Result<Query, String> {
    may_look_for(&["sender", "recipient"], fields, visit)?;
    let text = |name| fields.get(name).map(str::to_owned);
    let protection = fields.get("protection").map(protection).transpose()?;
    let outcome = fields.get("outcome").map(outcome).transpose()?;
    let wanted = [
        text("sender").map(|path| Wanted::Sender(if path == "<>" { String::new() } else { path })),
        text("recipient").map(Wanted::Recipient),
        text("domain").map(Wanted::Domain),
        text("host").map(Wanted::Host),
        protection.map(Wanted::Protection),
        outcome.map(Wanted::Outcome),
    ];
    let (since, until) = (moment(fields, "since")?, moment(fields, "until")?);
    let before = fields.get("before").map(|text| text.parse::<u64>()).transpose();
    let before = before.map_err(|_no_number| "`before` is no place in the records.".to_owned())?;
    let before = before.and_then(|millis| UNIX_EPOCH.checked_add(Duration::from_millis(millis)));
    let until = before.into_iter().chain(until).min();
    Ok(Query { wanted: wanted.into_iter().flatten().collect(), since, until })
}

/// A time that was typed: a day, or a day and a time.
fn moment(fields: &Fields, name: &str) -> Result<Option<SystemTime>, String> {
    let Some(text) = fields.get(name) else { return Ok(None) };
    let time = text.parse::<Timestamp>().map_err(|error| error.to_string())?;
    Ok(Some(time.time()))
}

fn protection(word: &str) -> Result<Protection, String> {
    let unknown = || format!("`{word}` is no protection: verified, dane, tls or plaintext.");
    Protection::of_label(word).ok_or_else(unknown)
}

fn outcome(word: &str) -> Result<OutcomeKind, String> {
    let unknown = || format!("`{word}` is no outcome: delivered, deferred or bounced.");
    OutcomeKind::of_word(word).ok_or_else(unknown)
}

impl RecordsPage {
    fn of(found: &Found, fields: &Fields, site: &Site, visit: &Visit) -> Self {
        let shown = found.records.iter().filter_map(|one| AttemptShown::of(one, site, visit));
        let gaps = found.records.iter().filter_map(|one| match one {
            FoundRecord::Gap { gap, .. } => Some(gap.why.words().to_owned()),
            FoundRecord::Attempt { .. } => None,
        });
        let last = found.records.iter().rev().find_map(|one| match one {
            FoundRecord::Attempt { attempt, .. } => Some(attempt.ended_at.to_string()),
            FoundRecord::Gap { .. } => None,
        });
        let next = last.filter(|_| found.more).map(|last| fields.query_with(&[("before", &last)]));
        let chosen = |name| fields.get(name).unwrap_or_default();
        let protections = Protection::ALL.map(|one| (one.label(), one.label()));
        let outcomes = OutcomeKind::ALL.map(|one| (one.word(), one.word()));
        Self {
            frame: Frame::new(site, visit, Section::Records, "Records"),
            protections: Choice::any_or(protections, chosen("protection")),
            outcomes: Choice::any_or(outcomes, chosen("outcome")),
            records: shown.collect(),
            gaps: gaps.collect(),
            unreadable: found.unreadable.clone(),
            is_kept: site.shown().history.is_some(),
            next,
            fields: fields.clone(),
        }
    }

    /// The value of a field.
    fn value(&self, name: &str) -> &str {
        self.fields.get(name).unwrap_or_default()
    }
}
