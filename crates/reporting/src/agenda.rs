//! What is to be done and when, in memory: made again of the store at every start.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::time::{Duration, SystemTime};

use tls_rpt::{Day, DomainName, Instance};

use crate::kept::ReportKey;
use crate::schedule::{due, retry_after};

/// Days that are over whose reports are not made yet, and reports on their way.
#[derive(Debug, Default)]
pub(crate) struct Agenda {
    days: BTreeMap<(Day, DomainName), Waiting>,
    /// Reports on their way, by when the next try is due, in milliseconds since 1970.
    reports: BTreeMap<ReportKey, u64>,
}

/// A report that is not made yet.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    /// Since when it is due, however often it was tried.
    due: SystemTime,
    /// When it is to be made, or tried again.
    next: SystemTime,
    /// When the first lookup of its record failed.
    first_failure: Option<SystemTime>,
    /// How many lookups have failed.
    failures: u32,
}

impl Waiting {
    /// One that nobody has tried to make.
    const fn new(due: SystemTime) -> Self {
        Self { due, next: due, first_failure: None, failures: 0 }
    }
}

/// Whether there is another try.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Again {
    Later,
    Never,
}

impl Agenda {
    /// Notes that these tallies of days that are over are there; those that are not any more are
    /// forgotten. What is known already keeps its time.
    pub(crate) fn finished(
        &mut self,
        found: Vec<(Day, DomainName)>,
        instance: &Instance,
        spread: Duration,
    ) {
        let mut of_day = BTreeMap::<Day, usize>::new();
        for (day, _) in &found {
            let count = of_day.entry(*day).or_default();
            *count = count.saturating_add(1);
        }
        let mut known = std::mem::take(&mut self.days);
        for (day, domain) in found {
            let reports = of_day.get(&day).copied().unwrap_or_default();
            let first = || Waiting::new(due(day, &domain, instance, spread, reports));
            let waiting = known.remove(&(day, domain.clone())).unwrap_or_else(first);
            self.days.insert((day, domain), waiting);
        }
    }

    /// Up to `limit` reports that are to be made by now, after `after` if given; with `early`, those
    /// of later as well.
    pub(crate) fn due_days(
        &self,
        now: SystemTime,
        early: Early,
        after: Option<&(Day, DomainName)>,
        limit: usize,
    ) -> Vec<(Day, DomainName)> {
        let is_due = |waiting: &Waiting| waiting.next <= now || early == Early::Yes;
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let days = self.days.range::<(Day, DomainName), _>((from, Bound::Unbounded));
        let due = days.filter(|(_, waiting)| is_due(waiting));
        due.take(limit).map(|(key, _)| key.clone()).collect()
    }

    /// When a report is to be made, or tried again, if it is not made yet.
    pub(crate) fn due_of(&self, day: Day, domain: &DomainName) -> Option<SystemTime> {
        self.days.get(&(day, domain.clone())).map(|waiting| waiting.next)
    }

    /// Forgets a report that is made, or never will be.
    pub(crate) fn made(&mut self, day: Day, domain: &DomainName) {
        self.days.remove(&(day, domain.clone()));
    }

    /// Notes that a report could not be made at `now`.
    pub(crate) fn failed(
        &mut self,
        day: Day,
        domain: &DomainName,
        now: SystemTime,
        give_up_after: Duration,
    ) -> Again {
        let Some(waiting) = self.days.get_mut(&(day, domain.clone())) else { return Again::Never };
        let first = *waiting.first_failure.get_or_insert(now);
        if now.duration_since(first).unwrap_or_default() >= give_up_after {
            return Again::Never;
        }
        waiting.failures = waiting.failures.saturating_add(1);
        waiting.next = now.checked_add(retry_after(waiting.failures)).unwrap_or(now);
        Again::Later
    }

    /// Notes when a report on its way is to be tried next; none where nothing is to be tried.
    pub(crate) fn on_its_way(&mut self, report: ReportKey, due: Option<u64>) {
        match due {
            Some(due) => drop(self.reports.insert(report, due)),
            None => drop(self.reports.remove(&report)),
        }
    }

    /// Up to `limit` reports on their way that are to be tried by `now`.
    pub(crate) fn due_reports(&self, now: u64, limit: usize) -> Vec<ReportKey> {
        let due = self.reports.iter().filter(|(_, due)| **due <= now);
        due.take(limit).map(|(key, _)| key.clone()).collect()
    }

    /// How many reports are to be made.
    pub(crate) fn waiting(&self) -> usize {
        self.days.len()
    }

    /// How many reports on their way are to be tried again.
    pub(crate) fn retrying(&self) -> usize {
        self.reports.len()
    }

    /// Since when the oldest report that is to be made is due: one that is tried again does not count
    /// anew.
    pub(crate) fn oldest_due(&self) -> Option<SystemTime> {
        self.days.values().map(|waiting| waiting.due).min()
    }
}

/// Whether reports are made before their time, because an operator asks for it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Early {
    No,
    Yes,
}
