//! Parts of the relay, made of the settings and of other parts.

use std::sync::Arc;

use admin::metrics::{CountedDns, Metrics};
use admin::readiness::Bearings;
use admin::server::actions::Actions;
use clock::Clock;
use delivery::{ReportingMta, WallClock};
use dns::Dns;
use listener::{Access, ServerTls};
use mta_sts::{FetchSettings, Fetcher, Policies};
use queue::Queue;
use settings::Settings;
use store_embedded::Embedded;

use crate::adapters::reloadable_dns::ReloadableDns;
use crate::default_gateways;
use crate::policy_store::StoredPolicies;

/// Who may hand in mail by these settings, and what they are shown.
pub(super) fn access(settings: &Settings, tls: Option<ServerTls>) -> Access {
    Access {
        networks: default_gateways::without(&settings.networks),
        proxies: settings.proxies.clone(),
        recipients: settings.recipients.clone(),
        users: settings.users.clone(),
        tls,
    }
}

/// What of the settings its readiness depends on.
pub(super) fn bearings(settings: &Settings) -> Bearings {
    let signing = Arc::clone(&settings.dkim.table);
    Bearings::new(settings.delivery.hostname.clone(), settings.roots.clone(), signing)
}

/// Who writes to senders by these settings.
pub(super) fn reporting_mta(settings: &Settings) -> ReportingMta {
    let delivery = &settings.delivery;
    ReportingMta { hostname: delivery.hostname.clone(), signing: Arc::clone(&delivery.signing) }
}

/// Fetches policies by these settings, and judges certificates by the wall clock.
pub(super) fn fetcher(
    settings: &Settings,
    clock: &Arc<dyn Clock>,
) -> Result<Fetcher, rustls::Error> {
    let wall = WallClock::new(Arc::clone(clock));
    Fetcher::new(FetchSettings { clock: Some(Arc::new(wall)), ..settings.fetch.clone() })
}

/// Metrics that count what the queue does, from now on.
pub(super) fn metrics_of(store: &Embedded, clock: &Arc<dyn Clock>) -> Arc<Metrics> {
    let metrics = Arc::new(Metrics::new(clock.wall()));
    store.observe(metrics.storage());
    metrics
}

/// The DNS, with what it answers counted.
pub(super) fn counted(dns: &Arc<ReloadableDns>, metrics: &Metrics) -> Arc<dyn Dns> {
    Arc::new(CountedDns::new(Arc::<ReloadableDns>::clone(dns), metrics.lookups()))
}

/// What the admin interface shows of the queue and the policies.
pub(super) fn actions(
    settings: &Settings,
    queue: &Queue,
    policies: &Arc<Policies>,
    clock: &Arc<dyn Clock>,
) -> Actions {
    let (kept, in_use) = (Arc::new(StoredPolicies::of(queue)), Arc::clone(policies));
    Actions::of(queue.clone(), kept, in_use, reporting_mta(settings), Arc::clone(clock))
}
