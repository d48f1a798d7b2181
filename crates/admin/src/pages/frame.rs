//! What is around every page: its title, where one can go, who is there.

use access::Role;
use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use mail::in_full;

use crate::pages::answer::with_status;
use crate::pages::logins::Visit;
use crate::pages::site::Site;
use crate::server::error::AdminError;

/// The pages that can be reached from every page.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Section {
    Status,
    Domains,
    Queue,
    Records,
    Exceptions,
    Activity,
    /// None of them.
    Other,
}

/// What is around a page.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) title: String,
    pub(crate) section: Section,
    pub(crate) relay: String,
    pub(crate) version: &'static str,
    pub(crate) zone: String,
    /// Who is there; nobody is where one logs in.
    pub(crate) who: Option<Who>,
    /// What was done before.
    pub(crate) note: Option<String>,
}

/// A page that one can go to.
#[derive(Debug)]
pub(crate) struct Way {
    pub(crate) path: &'static str,
    pub(crate) name: &'static str,
    /// Whether one is there.
    pub(crate) is_here: bool,
}

/// Who is there.
#[derive(Debug)]
pub(crate) struct Who {
    pub(crate) name: String,
    pub(crate) role: Role,
    /// What forms have to hold.
    pub(crate) token: String,
}

impl Frame {
    /// The frame of a page for somebody who is logged in.
    pub(crate) fn new(
        site: &Site,
        visit: &Visit,
        section: Section,
        title: impl Into<String>,
    ) -> Self {
        let note = site.logins().take_note(&visit.id);
        let who = Who {
            name: visit.visitor.by.to_string(),
            role: visit.visitor.role,
            token: visit.token.reveal(),
        };
        Self { who: Some(who), note, section, ..Self::for_nobody(site, title) }
    }

    /// The frame of a page for anybody.
    pub(crate) fn for_nobody(site: &Site, title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            section: Section::Other,
            relay: site.shown().relay.clone(),
            version: site.shown().version,
            zone: site.calendar().zone().to_owned(),
            who: None,
            note: None,
        }
    }

    /// Whether who is there may act.
    pub(crate) fn may_act(&self) -> bool {
        self.who.as_ref().is_some_and(|who| who.role.may(Role::Operator))
    }

    /// What forms have to hold.
    pub(crate) fn token(&self) -> &str {
        self.who.as_ref().map_or("", |who| who.token.as_str())
    }

    /// Where one can go from every page.
    pub(crate) fn ways(&self) -> [Way; 6] {
        let of = |section, path, name| Way { path, name, is_here: self.section == section };
        [
            of(Section::Status, "/", "Status"),
            of(Section::Domains, "/domains", "Domains"),
            of(Section::Queue, "/queue", "Queue"),
            of(Section::Records, "/records", "Records"),
            of(Section::Exceptions, "/exceptions", "Exceptions"),
            of(Section::Activity, "/activity", "Activity"),
        ]
    }
}

/// A page that says one thing.
#[derive(Debug, Template)]
#[template(path = "message.html")]
struct Plain<'a> {
    frame: Frame,
    text: &'a str,
}

/// A page that says why something is not as it was asked for.
pub(crate) fn refusal(frame: Frame, status: StatusCode, text: &str) -> Response {
    with_status(status, &Plain { frame, text })
}

/// That what was asked for is not understood.
pub(crate) fn unclear(site: &Site, visit: &Visit, text: &str) -> Response {
    let frame = Frame::new(site, visit, Section::Other, "That cannot be understood");
    refusal(frame, StatusCode::BAD_REQUEST, text)
}

/// That there is no such thing, or none that one may see.
pub(crate) fn not_found(site: &Site, visit: &Visit) -> Response {
    let frame = Frame::new(site, visit, Section::Other, "Not found");
    refusal(frame, StatusCode::NOT_FOUND, "There is nothing under this address, or it is gone.")
}

/// That it cannot be told.
pub(crate) fn failed(site: &Site, visit: &Visit, error: &AdminError) -> Response {
    tracing::error!(error = in_full(error), "admin request failed");
    let frame = Frame::new(site, visit, Section::Other, "That cannot be shown");
    refusal(frame, StatusCode::INTERNAL_SERVER_ERROR, &in_full(error))
}
