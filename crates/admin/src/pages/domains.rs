//! The domains: what protects mail to each, the worst first.

use askama::Template;
use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::response::Response;

use crate::pages::answer::page;
use crate::pages::form::Fields;
use crate::pages::frame::{Frame, Section, failed, unclear};
use crate::pages::ledger::{WaitingMail, domains};
use crate::pages::logins::Visit;
use crate::pages::parts::{count, many};
use crate::pages::site::Site;
use crate::pages::standing::{DomainRow, StandingKind};
use crate::server::error::AdminError;

/// Domains on a page.
const PAGE: usize = 100;

#[derive(Debug, Template)]
#[template(path = "domains.html")]
struct DomainsPage {
    frame: Frame,
    headline: String,
    name: String,
    chips: Vec<Chip>,
    rows: Vec<DomainRow>,
    next: Option<String>,
}

/// A standing to choose.
#[derive(Debug)]
pub(crate) struct Chip {
    pub(crate) text: &'static str,
    pub(crate) query: String,
    pub(crate) count: String,
    pub(crate) is_chosen: bool,
}

/// `GET /domains`
pub(crate) async fn list(
    State(site): State<Site>,
    Extension(visit): Extension<Visit>,
    RawQuery(query): RawQuery,
) -> Response {
    let asked = Fields::asked(query, &["standing", "name", "after"]);
    let (fields, kind) = match asked.and_then(|fields| Ok((fields.clone(), kind(&fields)?))) {
        Ok(asked) => asked,
        Err(problem) => return unclear(&site, &visit, &problem),
    };
    match shown(&site, &visit, &fields, kind).await {
        Ok(Some(shown)) => page(&shown),
        Ok(None) => unclear(&site, &visit, "`after` is no domain of this list."),
        Err(error) => failed(&site, &visit, &error),
    }
}

/// The standing that is meant; none: all.
fn kind(fields: &Fields) -> Result<Option<StandingKind>, String> {
    let Some(word) = fields.get("standing") else { return Ok(None) };
    let unknown = || format!("`{word}` is no standing of a domain.");
    StandingKind::of_word(word).map(Some).ok_or_else(unknown)
}

/// The page; none where the place in the list is not known.
async fn shown(
    site: &Site,
    visit: &Visit,
    fields: &Fields,
    kind: Option<StandingKind>,
) -> Result<Option<DomainsPage>, AdminError> {
    let waiting = WaitingMail::of(&site.actions().stats().await?);
    let all = domains(site, &waiting).await?;
    let chips = chips(&all, kind);
    let total = u64::try_from(all.len()).unwrap_or(u64::MAX);
    let name = fields.get("name").unwrap_or_default().to_lowercase();
    let is_meant = |row: &DomainRow| {
        kind.is_none_or(|kind| row.standing.kind == kind) && row.domain.contains(&name)
    };
    let mut rows: Vec<_> = all.into_iter().filter(is_meant).collect();
    if let Some(after) = fields.get("after") {
        let Some(place) = rows.iter().position(|row| row.domain == after) else { return Ok(None) };
        rows.drain(..=place);
    }
    let has_more = rows.len() > PAGE;
    rows.truncate(PAGE);
    let last = rows.last().map(|row| row.domain.clone()).filter(|_| has_more);
    Ok(Some(DomainsPage {
        frame: Frame::new(site, visit, Section::Domains, "Domains"),
        headline: format!("Mail was sent to {}.", many(total, "domain")),
        name,
        chips,
        rows,
        next: last.map(|last| fields.query_with(&[("after", &last)])),
    }))
}

/// The standings to choose from.
pub(crate) fn chips(rows: &[DomainRow], chosen: Option<StandingKind>) -> Vec<Chip> {
    let number = |kind: Option<StandingKind>| -> u64 {
        let of = rows.iter().filter(|row| kind.is_none_or(|kind| row.standing.kind == kind));
        u64::try_from(of.count()).unwrap_or(u64::MAX)
    };
    let all = Chip {
        text: "All",
        query: String::new(),
        count: count(number(None)),
        is_chosen: chosen.is_none(),
    };
    let each = StandingKind::ALL.into_iter().filter_map(|(kind, word, text)| {
        let of_kind = number(Some(kind));
        (of_kind > 0).then(|| Chip {
            text,
            query: format!("?standing={word}"),
            count: count(of_kind),
            is_chosen: chosen == Some(kind),
        })
    });
    [all].into_iter().chain(each).collect()
}
