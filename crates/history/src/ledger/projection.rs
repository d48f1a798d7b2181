//! From records to the ledger: each record counts once, whatever happens between.
//!
//! The number of the last record that is in the ledger stands in the ledger's own transaction. After a
//! crash the records above it are read again from the segments; of a ledger that is lost all of them.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use crate::error::HistoryError;
use crate::files::Files;
use crate::ledger::database::{Changing, Database, Oldest};
use crate::ledger::day::{Day, DayBar};
use crate::ledger::domain_state::DomainState;
use crate::ledger::event::Event;
use crate::ledger::feed::Feed;
use crate::ledger::figures::{Figures, Span};
use crate::ledger::observed::Observed;
use crate::query::OutcomeKind;

/// So many records are taken in at a time.
const PAGE: usize = 4_096;

/// So many domains' states stay in memory between pages.
const DOMAINS_IN_MEMORY: usize = 1_024;

/// So many domains are kept; those that were quiet for longest go first.
const DOMAINS_MOST: i64 = 100_000;

/// So many events are kept.
const EVENTS_MOST: i64 = 200_000;

/// Figures per minute are kept so long, in milliseconds.
const MINUTES_KEPT: u64 = 2 * 24 * 60 * 60 * 1_000;

/// Makes a ledger of records.
#[derive(Debug)]
pub(crate) struct Projection {
    database: Database,
    feed: Feed,
    /// The number of the last record that is in the ledger.
    mark: u64,
    /// The states of domains as they are in the ledger.
    known: HashMap<String, DomainState>,
}

/// What a page of records changes.
#[derive(Debug, Default)]
struct Page {
    domains: HashMap<String, Touched>,
    events: Vec<Event>,
    minutes: BTreeMap<u64, Figures>,
}

/// A domain that a page has changed.
#[derive(Debug, Default)]
struct Touched {
    state: DomainState,
    days: BTreeMap<Day, DayBar>,
}

/// How a ledger was opened.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Found {
    /// It was damaged: this is what it is called now.
    Damaged(PathBuf),
    /// It is whole, or there was none.
    Whole,
}

impl Projection {
    /// Opens the ledger of the history in `dir`; one that is damaged is set aside and made again.
    pub(crate) fn open(dir: PathBuf, now: u64) -> Result<(Self, Found), HistoryError> {
        let (database, found) = match Database::open(&dir) {
            Ok(database) => (database, Found::Whole),
            Err(error) if error.is_damage() => {
                let aside = Database::set_aside(&dir)?;
                let path = aside.display();
                tracing::error!(%path, %error, "ledger damaged: set aside, and made again of the history");
                (Database::open(&dir)?, Found::Damaged(aside))
            }
            Err(error) => return Err(error),
        };
        let (mark, feed) = (database.mark()?, Feed::new(Files::new(dir), now));
        Ok((Self { database, feed, mark, known: HashMap::new() }, found))
    }

    /// The number of the last record that is in the ledger.
    pub(crate) const fn mark(&self) -> u64 {
        self.mark
    }

    /// Gaps that were met since that was asked last, and found since the ledger was opened.
    pub(crate) fn gaps(&mut self) -> u64 {
        self.feed.take_gaps()
    }

    /// Takes in the next records; whether there were any.
    pub(crate) fn take(&mut self) -> Result<Taken, HistoryError> {
        let mut page = Page::default();
        let Self { database, feed, known, mark, .. } = self;
        let last = feed.visit(*mark, PAGE, &mut |seen| {
            let before = || match known.get(seen.domain) {
                Some(state) => Ok(Some(state.clone())),
                None => database.domain(seen.domain),
            };
            page.take(seen, before)
        })?;
        let Some(last) = last else { return Ok(Taken::Nothing) };
        self.write(page, last)?;
        Ok(Taken::Some)
    }

    /// Writes a page: records up to `mark` are in the ledger then.
    fn write(&mut self, page: Page, mark: u64) -> Result<(), HistoryError> {
        let figures = self.with_kept(&page.minutes)?;
        let Page { domains, events, .. } = page;
        let written = self.database.change(|changing| {
            for (name, Touched { state, days }) in &domains {
                let days: Vec<_> = days.values().copied().collect();
                changing.domain(name, state, &days)?;
            }
            events.iter().try_for_each(|event| changing.event(event))?;
            write_figures(changing, &figures)?;
            changing.mark(mark)
        });
        if let Err(error) = written {
            self.known.clear();
            return Err(error);
        }
        self.mark = mark;
        if self.known.len() > DOMAINS_IN_MEMORY {
            self.known.clear();
        }
        let states = domains.into_iter().map(|(name, touched)| (name, touched.state));
        self.known.extend(states.take(DOMAINS_IN_MEMORY));
        Ok(())
    }

    /// Adds what is seen of the queue to the figures of the minute and the hour.
    pub(crate) fn sample(&mut self, sample: Figures) -> Result<(), HistoryError> {
        let minutes = BTreeMap::from([(sample.at, sample)]);
        let figures = self.with_kept(&minutes)?;
        self.database.change(|changing| write_figures(changing, &figures))
    }

    /// The policy of a domain was fetched again, or could not be. Of a domain that gets no mail nothing
    /// is kept.
    pub(crate) fn refreshed(
        &mut self,
        domain: &str,
        error: Option<&str>,
        at: u64,
    ) -> Result<(), HistoryError> {
        let Some(mut state) = self.database.domain(domain)? else { return Ok(()) };
        let events = state.refreshed(error, at);
        if events.is_empty() {
            return Ok(());
        }
        drop(self.known.remove(domain));
        self.database.change(|changing| {
            changing.domain(domain, &state, &[])?;
            let domain = domain.to_owned();
            events
                .into_iter()
                .try_for_each(|what| changing.event(&Event { at, domain: domain.clone(), what }))
        })
    }

    /// Removes what is too old or too much.
    pub(crate) fn prune(&mut self, now: u64, keep: u64) -> Result<(), HistoryError> {
        self.known.clear();
        let oldest = Oldest {
            minute: now.saturating_sub(MINUTES_KEPT),
            kept: now.saturating_sub(keep),
            domains: DOMAINS_MOST,
            events: EVENTS_MOST,
        };
        self.database.change(|changing| changing.prune(&oldest))
    }

    /// These minutes and their hours, with what is kept of them already.
    fn with_kept(
        &self,
        minutes: &BTreeMap<u64, Figures>,
    ) -> Result<Vec<(Span, Figures)>, HistoryError> {
        let mut all: BTreeMap<(u64, u64), (Span, Figures)> = BTreeMap::new();
        for figures in minutes.values() {
            for span in [Span::Hour, Span::Minute] {
                let at = span.begins(figures.at);
                let kept = match all.remove(&(span.millis(), at)) {
                    Some((_, kept)) => Some(kept),
                    None => self.database.figures(span, at)?,
                };
                let mut kept = kept.unwrap_or_else(|| Figures::beginning(at));
                kept.merge(figures);
                drop(all.insert((span.millis(), at), (span, kept)));
            }
        }
        Ok(all.into_values().collect())
    }
}

/// Whether records were taken in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Taken {
    /// There were none.
    Nothing,
    /// Some, and there may be more.
    Some,
}

impl Page {
    /// Takes in an attempt; `before` gives what is known of its domain.
    fn take(
        &mut self,
        seen: &Observed<'_>,
        before: impl FnOnce() -> Result<Option<DomainState>, HistoryError>,
    ) -> Result<(), HistoryError> {
        let minute = Span::Minute.begins(seen.at);
        self.minutes.entry(minute).or_insert_with(|| Figures::beginning(minute)).count(seen);
        if !self.domains.contains_key(seen.domain) {
            let state = before()?.unwrap_or_default();
            drop(
                self.domains
                    .insert(seen.domain.to_owned(), Touched { state, ..Touched::default() }),
            );
        }
        let Some(touched) = self.domains.get_mut(seen.domain) else { return Ok(()) };
        let events = touched.state.observe(seen);
        let at = touched.state.last_at;
        touched.count(seen);
        let domain = || seen.domain.to_owned();
        self.events.extend(events.into_iter().map(|what| Event { at, domain: domain(), what }));
        Ok(())
    }
}

impl Touched {
    /// Counts an attempt to its day.
    fn count(&mut self, seen: &Observed<'_>) {
        let day = Day::of(seen.at);
        let bar = self.days.entry(day).or_insert_with(|| DayBar { day, ..DayBar::default() });
        bar.counts.add(seen.outcome, seen.recipients);
        if seen.outcome == OutcomeKind::Delivered && seen.is_mail() {
            bar.worst = Some(bar.worst.map_or(seen.protection, |worst| worst.min(seen.protection)));
        }
    }
}

/// Writes figures.
fn write_figures(changing: &Changing<'_>, figures: &[(Span, Figures)]) -> rusqlite::Result<()> {
    figures.iter().try_for_each(|(span, figures)| changing.figures(*span, figures))
}
