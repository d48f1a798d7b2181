//! One message that waits.

use askama::Template;
use axum::Extension;
use axum::extract::{Path, State};
use axum::response::Response;
use queue::QueueId;

use crate::api::answers::{Destination, FullMessage};
use crate::pages::answer::page;
use crate::pages::frame::{Frame, Section, failed, not_found};
use crate::pages::logins::Visit;
use crate::pages::moment::Moment;
use crate::pages::parts::{Waiting, address, is_queued, sender, size};
use crate::pages::site::Site;

#[derive(Debug, Template)]
#[template(path = "queued.html")]
struct Queued {
    frame: Frame,
    id: String,
    sender: String,
    state: String,
    is_queued: bool,
    damage: Option<String>,
    received: Moment,
    size: String,
    destinations: Vec<DestinationShown>,
}

/// Recipients that are tried together.
#[derive(Debug)]
struct DestinationShown {
    domain: String,
    attempts: u32,
    next: Option<Moment>,
    recipients: Vec<(String, Option<Waiting>)>,
}

/// `GET /queue/ID`
pub(crate) async fn message(
    State(site): State<Site>,
    Extension(visit): Extension<Visit>,
    Path(id): Path<String>,
) -> Response {
    let Ok(id) = id.parse::<QueueId>() else { return not_found(&site, &visit) };
    match site.actions().reads.message(id).await {
        Ok(Some(found)) => page(&Queued::of(&found, &site, &visit)),
        Ok(None) => not_found(&site, &visit),
        Err(error) => failed(&site, &visit, &error),
    }
}

impl Queued {
    fn of(found: &FullMessage, site: &Site, visit: &Visit) -> Self {
        let headline = &found.headline;
        Self {
            frame: Frame::new(site, visit, Section::Queue, format!("Message {}", headline.id)),
            id: headline.id.clone(),
            sender: sender(visit, headline.sender.as_deref()),
            is_queued: is_queued(&headline.state),
            state: headline.state.clone(),
            damage: headline.damage.clone(),
            received: site.calendar().minute(headline.received_at.time()),
            size: size(headline.size),
            destinations: found
                .destinations
                .iter()
                .map(|destination| DestinationShown::of(destination, site, visit))
                .collect(),
        }
    }
}

impl DestinationShown {
    fn of(destination: &Destination, site: &Site, visit: &Visit) -> Self {
        let recipients = destination
            .recipients
            .iter()
            .map(|one| (address(visit, &one.address), one.reason.as_ref().map(Waiting::of)));
        Self {
            domain: destination.destination.clone(),
            attempts: destination.attempts,
            next: destination.next_attempt.map(|time| site.calendar().minute(time.time())),
            recipients: recipients.collect(),
        }
    }
}
