//! What the pages read of the ledger and the queue together.

use std::collections::HashMap;
use std::path::PathBuf;

use history::{Domain, DomainQuery, HistoryError, Ledger};

use crate::api::answers::QueueStats;
use crate::pages::site::Site;
use crate::pages::standing::{DomainRow, worst_first};
use crate::server::error::AdminError;

/// How many messages wait, by domain.
#[derive(Debug, Default)]
pub(crate) struct WaitingMail(HashMap<String, u64>);

impl WaitingMail {
    pub(crate) fn of(stats: &QueueStats) -> Self {
        let of = stats.destinations.iter();
        Self(
            of.map(|one| (one.destination.clone(), one.messages.saturating_add(one.on_hold)))
                .collect(),
        )
    }

    /// How many wait for a domain.
    pub(crate) fn for_domain(&self, domain: &str) -> u64 {
        self.0.get(domain).copied().unwrap_or_default()
    }
}

/// Reads the ledger where it does not hold others up; nothing where none is kept.
pub(crate) async fn read<T: Default + Send + 'static>(
    site: &Site,
    read: impl FnOnce(&Ledger) -> Result<T, HistoryError> + Send + 'static,
) -> Result<T, AdminError> {
    let Some(dir): Option<PathBuf> = site.shown().history.clone() else { return Ok(T::default()) };
    Ok(tokio::task::spawn_blocking(move || read(&Ledger::in_dir(dir))).await??)
}

/// All domains, the worst first.
pub(crate) async fn domains(
    site: &Site,
    waiting: &WaitingMail,
) -> Result<Vec<DomainRow>, AdminError> {
    let found: Vec<Domain> = read(site, |ledger| ledger.domains(&DomainQuery::default())).await?;
    let calendar = site.calendar();
    let row = |domain: &Domain| {
        let waits = waiting.for_domain(&domain.domain);
        (DomainRow::of(domain, waits, &calendar), domain.state.counts.delivered)
    };
    let mut rows: Vec<_> = found.iter().map(row).collect();
    worst_first(&mut rows);
    Ok(rows.into_iter().map(|(row, _)| row).collect())
}
