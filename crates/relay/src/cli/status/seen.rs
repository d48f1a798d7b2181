//! How the relay and its mail are, as it is seen from outside.

use std::collections::BTreeMap;
use std::time::SystemTime;

use admin::client::Client;
use anyhow::Context as _;
use clock::millis;
use history::{Between, DomainQuery, Figures, Ledger, Need, NeedKind, Span};
use mail::Protection;
use serde::{Deserialize, Serialize};
use settings::RelayPaths;

use crate::cli::relay_or_disk::RelayOrDisk;

const HOUR: u64 = 60 * 60 * 1_000;

/// How the relay and its mail are.
#[derive(Debug, Serialize)]
pub(super) struct Status {
    /// When that was, in milliseconds since 1970.
    pub(super) at: u64,
    /// Whether a relay answers.
    pub(super) running: bool,
    /// What of `/readyz` is not as it should be.
    pub(super) not_ready: Vec<Check>,
    /// The queue; absent: it cannot be read.
    pub(super) queue: Option<Waiting>,
    /// What has flowed in the last 60 minutes.
    pub(super) hour: Figures,
    /// What has flowed in the last 24 hours.
    pub(super) day: Figures,
    /// How many domains have which protection.
    pub(super) domains: BTreeMap<Protection, u64>,
    /// Domains that somebody should look at.
    pub(super) needs: Vec<Need>,
}

/// What waits.
#[derive(Debug, Serialize)]
pub(super) struct Waiting {
    /// Messages.
    pub(super) messages: u64,
    /// Recipients.
    pub(super) recipients: u64,
    /// How long the oldest has waited.
    pub(super) oldest_seconds: u64,
}

/// A check of `/readyz`.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Check {
    pub(super) name: String,
    #[serde(skip_serializing)]
    ok: bool,
    pub(super) detail: String,
}

/// What `/readyz` says.
#[derive(Debug, Deserialize)]
struct Readiness {
    checks: Vec<Check>,
}

impl Status {
    /// Whether somebody is needed.
    pub(super) fn needs_a_person(&self) -> bool {
        !self.running || !self.not_ready.is_empty() || !self.needs.is_empty()
    }
}

/// Looks at everything.
pub(super) async fn look(paths: &RelayPaths, now: SystemTime) -> anyhow::Result<Status> {
    let not_ready = readiness(paths).await?;
    let stats = match RelayOrDisk::reach(paths).await {
        Ok(mut queue) => queue.stats().await.ok().flatten(),
        Err(_) => None,
    };
    let waits = |domain: &str| {
        let of = stats.as_ref()?.destinations.iter().find(|one| one.destination == domain);
        Some(of.map_or(0, |one| one.messages.saturating_add(one.on_hold)))
    };
    let (at, ledger) = (millis(now), Ledger::in_dir(&paths.history));
    let unreadable = "the ledger cannot be read";
    let mut needs = ledger.needs(at).context(unreadable)?;
    needs.retain(|need| match need.why {
        NeedKind::Held { .. } => waits(&need.domain) != Some(0),
        NeedKind::CertificateEnding { .. }
        | NeedKind::PolicyEnding
        | NeedKind::ProtectionFell { .. }
        | NeedKind::TlsaGone
        | NeedKind::Weakened { .. } => true,
    });
    let flowed = |span, ago: u64| {
        let within = Between { since: at.saturating_sub(ago), until: u64::MAX };
        ledger.figures(span, within).map(|all| Figures::sum(at.saturating_sub(ago), &all))
    };
    let hour = flowed(Span::Minute, HOUR).context(unreadable)?;
    let day = flowed(Span::Minute, HOUR.saturating_mul(24)).context(unreadable)?;
    let mut domains = BTreeMap::new();
    for domain in ledger.domains(&DomainQuery::default()).context(unreadable)? {
        if let Some(protection) = domain.state.protection {
            let count: &mut u64 = domains.entry(protection).or_default();
            *count = count.saturating_add(1);
        }
    }
    let queue = stats.map(|stats| Waiting {
        messages: stats.messages,
        recipients: stats.recipients,
        oldest_seconds: stats
            .destinations
            .iter()
            .map(|one| one.oldest_seconds)
            .max()
            .unwrap_or_default(),
    });
    let running = not_ready.is_some();
    let not_ready = not_ready.unwrap_or_default();
    Ok(Status { at, running, not_ready, queue, hour, day, domains, needs })
}

/// What is not as it should be in the relay that runs; none where no relay answers.
async fn readiness(paths: &RelayPaths) -> anyhow::Result<Option<Vec<Check>>> {
    let Some(mut client) = Client::connect(&paths.admin_socket).await? else {
        paths.ensure_certain()?;
        return Ok(None);
    };
    let ready = client.get_whatever_status::<Readiness>("/readyz").await?;
    Ok(Some(ready.checks.into_iter().filter(|check| !check.ok).collect()))
}
