//! The queue: what waits, by destination and by message.

use askama::Template;
use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::response::Response;

use crate::api::answers::{DestinationStats, Message, QueueStats};
use crate::pages::answer::page;
use crate::pages::form::Fields;
use crate::pages::frame::{Frame, Section, failed, unclear};
use crate::pages::logins::Visit;
use crate::pages::moment::{Moment, span};
use crate::pages::parts::{Waiting, address, count, is_queued, many, sender, waits};
use crate::pages::queue_filter::{FILTER, QueueFilter};
use crate::pages::site::Site;
use crate::server::error::AdminError;

/// Messages on a page.
const PAGE: usize = 100;

/// Destinations on a page: the rest is found by the filter.
const DESTINATIONS: usize = 20;

#[derive(Debug, Template)]
#[template(path = "queue.html")]
struct QueuePage {
    frame: Frame,
    filter: QueueFilter,
    /// What is to be known first.
    headline: String,
    summary: String,
    staging: Option<String>,
    destinations: Vec<DestinationRow>,
    more_destinations: u64,
    messages: Vec<MessageRow>,
    /// The query of the next page, where there is one.
    next: Option<String>,
    /// Whether this is not the first page.
    is_further: bool,
}

/// What waits for one destination.
#[derive(Debug)]
struct DestinationRow {
    domain: String,
    query: String,
    messages: String,
    due: u64,
    on_hold: u64,
    oldest: String,
    why: Option<Waiting>,
}

/// A message.
#[derive(Debug)]
struct MessageRow {
    id: String,
    sender: String,
    recipient: String,
    others: u32,
    state: String,
    is_queued: bool,
    received: Moment,
    attempts: u32,
    next: Option<Moment>,
    why: Option<Waiting>,
}

/// `GET /queue`
pub(crate) async fn list(
    State(site): State<Site>,
    Extension(visit): Extension<Visit>,
    RawQuery(query): RawQuery,
) -> Response {
    let known: Vec<_> = FILTER.into_iter().chain(["after"]).collect();
    let asked = Fields::asked(query, &known);
    let filter = match asked.and_then(|fields| QueueFilter::read(&fields, &visit)) {
        Ok(filter) => filter,
        Err(problem) => return unclear(&site, &visit, &problem),
    };
    match shown(&site, &visit, filter).await {
        Ok(shown) => page(&shown),
        Err(error) => failed(&site, &visit, &error),
    }
}

/// The page of these messages.
async fn shown(site: &Site, visit: &Visit, filter: QueueFilter) -> Result<QueuePage, AdminError> {
    let stats = site.actions().stats().await?;
    let (wanted, after) = (filter.part.filter.clone(), filter.part.after);
    // One more than is shown tells whether there is a next page.
    let mut found = site.actions().reads.messages(wanted, after, PAGE.saturating_add(1)).await?;
    let has_more = found.len() > PAGE;
    found.truncate(PAGE);
    let last = found.last().map(|message| message.headline.id.clone()).filter(|_| has_more);
    let next = last.map(|id| filter.fields.query_with(&[("after", &id)]));
    let destinations = stats.destinations.iter().take(DESTINATIONS);
    let count_more = stats.destinations.len().saturating_sub(DESTINATIONS);
    Ok(QueuePage {
        frame: Frame::new(site, visit, Section::Queue, "Queue"),
        headline: headline(&stats),
        summary: summary(&stats),
        staging: stats.staging.clone(),
        destinations: destinations.map(DestinationRow::of).collect(),
        more_destinations: u64::try_from(count_more).unwrap_or(u64::MAX),
        messages: found.iter().map(|message| MessageRow::of(message, site, visit)).collect(),
        next,
        is_further: after.is_some(),
        filter,
    })
}

/// What is to be known first.
fn headline(stats: &QueueStats) -> String {
    match (stats.messages, stats.destinations.len()) {
        (0, _) => "Nothing waits.".to_owned(),
        (messages, domains) => {
            let domains = u64::try_from(domains).unwrap_or(u64::MAX);
            format!("{} for {}.", waits(messages), many(domains, "domain"))
        }
    }
}

/// What of it waits for a policy, and what is on hold.
fn summary(stats: &QueueStats) -> String {
    let of = |class: &str| -> u64 {
        let counts = stats.destinations.iter().filter_map(|one| one.waiting.get(class));
        counts.fold(0, |sum, count| sum.saturating_add(*count))
    };
    let on_hold = stats.destinations.iter().fold(0_u64, |sum, one| sum.saturating_add(one.on_hold));
    let mut parts = Vec::new();
    for (number, words) in [
        (of("policy"), "for a host that a policy names and that proves its name"),
        (of("dane"), "for a host that matches its TLSA records"),
        (of("dns"), "for the DNS"),
        (of("connect"), "for a connection"),
        (of("reply"), "because a host put it off"),
        (on_hold, "on hold or quarantined"),
    ] {
        if number > 0 {
            parts.push(format!("{} {words}", count(number)));
        }
    }
    if parts.is_empty() { String::new() } else { format!("{}.", parts.join("; ")) }
}

impl DestinationRow {
    fn of(stats: &DestinationStats) -> Self {
        Self {
            query: Fields::default().query_with(&[("domain", &stats.destination)]),
            domain: stats.destination.clone(),
            messages: count(stats.messages),
            due: stats.due,
            on_hold: stats.on_hold,
            oldest: span(stats.oldest_seconds),
            why: stats.reason.as_ref().map(Waiting::of),
        }
    }
}

impl MessageRow {
    fn of(message: &Message, site: &Site, visit: &Visit) -> Self {
        let calendar = site.calendar();
        let headline = &message.headline;
        let first = message.first_recipient.as_deref().unwrap_or_default();
        Self {
            id: headline.id.clone(),
            sender: sender(visit, headline.sender.as_deref()),
            recipient: address(visit, first),
            others: message.recipients.saturating_sub(1),
            is_queued: is_queued(&headline.state),
            state: headline.state.clone(),
            received: calendar.minute(headline.received_at.time()),
            attempts: message.attempts,
            next: message.next_attempt.map(|time| calendar.minute(time.time())),
            why: message.reason.as_ref().map(Waiting::of),
        }
    }
}
