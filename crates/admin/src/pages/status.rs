//! The first page: what flows, what protects it, and who needs a person.

use askama::Template;
use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use clock::millis;
use history::{Between, Day, Figures, Span};
use mail::Protection;

use crate::pages::answer::page;
use crate::pages::chart::{DayChart, FlowChart, delivered, of, spark};
use crate::pages::domains::{Chip, chips};
use crate::pages::form::Fields;
use crate::pages::frame::{Frame, Section, failed, unclear};
use crate::pages::ledger::{WaitingMail, domains, read};
use crate::pages::logins::Visit;
use crate::pages::needs::{Needed, needs};
use crate::pages::parts::{self, count, many, share};
use crate::pages::site::Site;
use crate::pages::standing::DomainRow;
use crate::server::error::AdminError;

/// Domains on the page: the worst.
const DOMAINS: usize = 15;

/// So many things that need a person are named one by one.
const NEEDED: usize = 10;

/// Days of each in its strip.
const DAYS: u32 = 30;

#[derive(Debug, Template)]
#[template(path = "status.html")]
struct StatusPage {
    frame: Frame,
    headline: String,
    lead: String,
    needed: Vec<Needed>,
    /// How many more there are.
    unnamed: usize,
    spans: Vec<SpanLink>,
    each: &'static str,
    chart: FlowChart,
    figures: Vec<Figure>,
    chips: Vec<Chip>,
    rows: Vec<DomainRow>,
    waiting: String,
}

/// A span of time to choose.
#[derive(Debug)]
struct SpanLink {
    text: &'static str,
    query: String,
    is_chosen: bool,
}

/// A number and how it went.
#[derive(Debug)]
struct Figure {
    number: String,
    text: &'static str,
    spark: String,
    class: &'static str,
}

/// How much time the chart shows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Shown {
    Day,
    Week,
    Month,
}

impl Shown {
    const ALL: [(Self, &'static str, &'static str); 3] = [
        (Self::Day, "24h", "24 hours"),
        (Self::Week, "7d", "7 days"),
        (Self::Month, "30d", "30 days"),
    ];

    /// The one that is asked for.
    fn asked(fields: &Fields) -> Result<Self, String> {
        let word = fields.get("span").unwrap_or("24h");
        let found = Self::ALL.into_iter().find(|(_, known, _)| *known == word);
        let (span, _, _) =
            found.ok_or_else(|| format!("`{word}` is no span of time: 24h, 7d or 30d."))?;
        Ok(span)
    }

    /// How many columns there are, how long each is in milliseconds, and of which figures they are made.
    const fn columns(self) -> (u64, u64, Span) {
        const MINUTE: u64 = 60_000;
        match self {
            Self::Day => (48, 30 * MINUTE, Span::Minute),
            Self::Week => (56, 180 * MINUTE, Span::Hour),
            Self::Month => (60, 720 * MINUTE, Span::Hour),
        }
    }

    const fn each(self) -> &'static str {
        match self {
            Self::Day => "recipients in each half hour",
            Self::Week => "recipients in each three hours",
            Self::Month => "recipients in each half day",
        }
    }
}

/// `GET /`
pub(crate) async fn show(
    State(site): State<Site>,
    Extension(visit): Extension<Visit>,
    RawQuery(query): RawQuery,
) -> Response {
    let span = match Fields::asked(query, &["span"]).and_then(|fields| Shown::asked(&fields)) {
        Ok(span) => span,
        Err(problem) => return unclear(&site, &visit, &problem),
    };
    match status(&site, &visit, span).await {
        Ok(status) => page(&status),
        Err(error) => failed(&site, &visit, &error),
    }
}

async fn status(site: &Site, visit: &Visit, span: Shown) -> Result<StatusPage, AdminError> {
    let stats = site.actions().stats().await?;
    let waiting = WaitingMail::of(&stats);
    let needed = needs(site, &waiting).await?;
    let headline = headline(stats.messages, &needed);
    let unnamed = needed.len().saturating_sub(NEEDED);
    let needed: Vec<_> = needed.into_iter().take(NEEDED).collect();
    let columns = columns(site, span).await?;
    let all = domains(site, &waiting).await?;
    let chips = chips(&all, None);
    let mut rows: Vec<_> = all.into_iter().take(DOMAINS).collect();
    strips(site, &mut rows).await?;
    let links = Shown::ALL.map(|(known, word, text)| SpanLink {
        text,
        query: format!("/?span={word}"),
        is_chosen: known == span,
    });
    Ok(StatusPage {
        frame: Frame::new(site, visit, Section::Status, "Status"),
        headline,
        lead: lead(&columns, stats.messages, span),
        needed,
        unnamed,
        spans: links.into(),
        each: span.each(),
        chart: FlowChart::of(&columns, &site.calendar()),
        figures: figures(&columns, stats.messages),
        chips,
        rows,
        waiting: count(stats.messages),
    })
}

/// The columns of the chart, the oldest first.
async fn columns(site: &Site, span: Shown) -> Result<Vec<Figures>, AdminError> {
    let (number, length, kind) = span.columns();
    let now = millis(site.shown().clock.wall());
    let last = now.saturating_sub(now.checked_rem(length).unwrap_or(0));
    let first = last.saturating_sub(number.saturating_sub(1).saturating_mul(length));
    let within = Between { since: first, until: u64::MAX };
    let found: Vec<Figures> = read(site, move |ledger| ledger.figures(kind, within)).await?;
    let column = |place: u64| {
        let begins = first.saturating_add(place.saturating_mul(length));
        let ends = begins.saturating_add(length);
        let own: Vec<_> =
            found.iter().filter(|one| (begins..ends).contains(&one.at)).cloned().collect();
        Figures::sum(begins, &own)
    };
    Ok((0..number).map(column).collect())
}

/// The last days of each domain.
async fn strips(site: &Site, rows: &mut [DomainRow]) -> Result<(), AdminError> {
    let today = Day::of(millis(site.shown().clock.wall()));
    let since = Day::numbered(today.number().saturating_sub(DAYS)).begins();
    let names: Vec<_> = rows.iter().map(|row| row.domain.clone()).collect();
    let found = read(site, move |ledger| {
        let within = Between { since, until: u64::MAX };
        names.iter().map(|name| ledger.domain(name, within, 0)).collect::<Result<Vec<_>, _>>()
    });
    for (row, full) in rows.iter_mut().zip(found.await?) {
        row.strip = full.map(|full| DayChart::of(&full.days, today, DAYS));
    }
    Ok(())
}

/// What is to be known first.
fn headline(waiting: u64, needed: &[Needed]) -> String {
    let mut domains: Vec<_> = needed.iter().map(|one| one.domain.as_str()).collect();
    domains.sort_unstable();
    domains.dedup();
    let flow = if waiting == 0 { "Nothing waits." } else { "Mail is flowing." };
    match domains.len() {
        0 => format!("{flow} Nobody is needed."),
        1 => format!("{flow} One domain needs a person."),
        more => format!("{flow} {more} domains need a person."),
    }
}

/// The same in numbers.
fn lead(columns: &[Figures], waiting: u64, span: Shown) -> String {
    let all = columns.iter().map(delivered).fold(0, u64::saturating_add);
    let proved = sum(columns, &[Protection::Verified, Protection::Dane]);
    let time = Shown::ALL.into_iter().find(|(known, _, _)| *known == span);
    let time = time.map_or("", |(_, _, text)| text);
    let waits = match waiting {
        0 => "Nothing waits.".to_owned(),
        some => format!("{}.", parts::waits(some)),
    };
    if all == 0 {
        return format!("Nothing was delivered in the last {time}. {waits}");
    }
    let reached = many(all, "recipient");
    format!(
        "{reached} reached in the last {time}, {} of them at hosts that proved their names. {waits}",
        share(proved, all)
    )
}

/// What was delivered with these protections.
fn sum(columns: &[Figures], protections: &[Protection]) -> u64 {
    let each = columns.iter().flat_map(|one| protections.iter().map(|kind| of(one, *kind)));
    each.fold(0, u64::saturating_add)
}

/// The four numbers beside the chart.
fn figures(columns: &[Figures], waiting: u64) -> Vec<Figure> {
    const PROVED: [Protection; 2] = [Protection::Verified, Protection::Dane];
    const ENCRYPTED: [Protection; 3] = [Protection::Verified, Protection::Dane, Protection::Tls];
    let all = columns.iter().map(delivered).fold(0, u64::saturating_add);
    let each = |kinds: &[Protection]| -> Vec<u64> {
        columns.iter().map(|one| sum(std::slice::from_ref(one), kinds)).collect()
    };
    let late: Vec<u64> = columns
        .iter()
        .map(|one| one.deferred.values().copied().fold(0, u64::saturating_add))
        .collect();
    let deferred = late.iter().copied().fold(0, u64::saturating_add);
    let queue: Vec<u64> = columns.iter().map(|one| one.queue.unwrap_or(0)).collect();
    let of = |number, text, numbers: &[u64], class| Figure {
        number,
        text,
        spark: spark(numbers),
        class,
    };
    vec![
        of(
            share(sum(columns, &PROVED), all),
            "delivered to hosts that proved their names",
            &each(&PROVED),
            "",
        ),
        of(share(sum(columns, &ENCRYPTED), all), "delivered under TLS", &each(&ENCRYPTED), ""),
        of(count(deferred), "put off, to be tried again", &late, "bad"),
        of(count(waiting), "messages in the queue now", &queue, ""),
    ]
}
