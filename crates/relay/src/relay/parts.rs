//! Parts of the relay, made of the settings and of other parts.

use std::sync::Arc;

use admin::metrics::{CountedDns, Metrics};
use admin::pages::site::Shown;
use admin::readiness::{Bearings, Validators};
use admin::server::actions::Actions;
use admin::server::grants::GrantRule;
use clock::{Clock, millis};
use delivery::{Delivery, Recorder, ReportingMta, Unrecorded, WallClock};
use dns::Dns;
use history::{ActivityLog, Keeper};
use listener::{Access, Listener, ServerTls};
use mta_sts::{FetchSettings, Fetcher, Policies};
use queue::Queue;
use reporting::{Counter, Counting, Reports, counting};
use rustls::crypto::aws_lc_rs;
use settings::{RawExceptionRule, Settings};
use tls_policy::DaneMode;

use crate::adapters::dns_for_mta_sts::DnsForMtaSts;
use crate::adapters::history_recorder::HistoryRecorder;
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
        local_senders: settings.local_senders.clone(),
        tls,
    }
}

/// What of the settings its readiness depends on.
pub(super) fn bearings(settings: &Settings) -> Bearings {
    let signing = Arc::clone(&settings.dkim.table);
    let validators = match settings.delivery.dane.mode {
        DaneMode::Required => Validators::Needed,
        DaneMode::Auto | DaneMode::Off => Validators::NotNeeded,
    };
    Bearings::new(settings.delivery.hostname.clone(), settings.roots.clone(), signing)
        .with_validators(validators)
        .with_staging(settings.listener.staging.in_words())
}

/// Who writes to senders by these settings.
pub(super) fn reporting_mta(settings: &Settings) -> ReportingMta {
    let delivery = &settings.delivery;
    ReportingMta { hostname: delivery.hostname.clone(), signing: Arc::clone(&delivery.signing) }
}

/// Who makes records of attempts: this, if any are made; where none are made, the queue's store knows
/// since when.
pub(super) async fn recorder_of(
    recorder: Option<history::Recorder>,
    queue: &Queue,
    clock: &Arc<dyn Clock>,
) -> Arc<dyn Recorder> {
    if let Some(recorder) = recorder {
        if let Err(error) = recorder.load_key(millis(clock.now())).await {
            tracing::warn!(%error, "history key not read: addresses not kept until it is");
        }
        return Arc::new(HistoryRecorder(recorder));
    }
    if let Err(error) = Keeper::note_disabled(queue.store().as_ref(), clock.as_ref()).await {
        tracing::warn!(%error, "history switched off: not noted");
    }
    Arc::new(Unrecorded)
}

/// Fetches policies by these settings, and judges certificates by the wall clock.
pub(super) fn fetcher(
    settings: &Settings,
    clock: &Arc<dyn Clock>,
) -> Result<Fetcher, rustls::Error> {
    let wall = WallClock::new(Arc::clone(clock));
    Fetcher::new(FetchSettings { clock: Some(Arc::new(wall)), ..settings.fetch.clone() })
}

/// Whether TLS reports are made by these settings.
pub(super) const fn reports_of(settings: &Settings) -> Reports {
    match settings.reports.contact {
        Some(_) => Reports::Made,
        None => Reports::None,
    }
}

/// What counts for TLS reports, if any are made by these settings.
pub(super) fn counting_of(
    settings: &Settings,
    queue: &Queue,
    dns: &Arc<dyn Dns>,
    clock: &Arc<dyn Clock>,
    metrics: &Metrics,
) -> (Counter, Counting) {
    let (dns, clock) = (Arc::clone(dns), Arc::clone(clock));
    let (counter, counting) = counting(queue.store(), dns, clock, metrics.counting());
    counter.turn(reports_of(settings));
    (counter, counting)
}

/// What takes mail in by these settings, and shows this certificate.
pub(super) fn listener_of(
    settings: &Settings,
    tls: Option<ServerTls>,
    queue: &Queue,
    clock: &Arc<dyn Clock>,
    metrics: &Metrics,
) -> Listener {
    let (own, access) = (settings.listener.clone(), access(settings, tls));
    Listener::with(own, access, queue.clone(), Arc::clone(clock), metrics.inbound())
}

/// Metrics that count what the queue does, from now on.
pub(super) fn metrics_of(queue: &Queue, clock: &Arc<dyn Clock>) -> Arc<Metrics> {
    let metrics = Arc::new(Metrics::new(clock.wall()));
    queue.store().observe(metrics.storage());
    metrics
}

/// The DNS, with what it answers counted.
pub(super) fn counted(dns: &Arc<ReloadableDns>, metrics: &Metrics) -> Arc<dyn Dns> {
    Arc::new(CountedDns::new(Arc::<ReloadableDns>::clone(dns), metrics.lookups()))
}

/// The policies, found through `dns` and kept in the queue's store.
pub(super) fn policies(
    settings: &Settings,
    queue: &Queue,
    dns: &Arc<dyn Dns>,
    clock: &Arc<dyn Clock>,
) -> Result<Policies, rustls::Error> {
    let fetcher = fetcher(settings, clock)?;
    let names = Arc::new(DnsForMtaSts(Arc::clone(dns)));
    let store = Arc::new(StoredPolicies::of(queue).cached());
    Ok(Policies::new(settings.policies.clone(), names, store, fetcher))
}

/// What the admin interface shows of the queue and the policies; what it has granted before counts.
pub(super) async fn actions(
    settings: &Settings,
    queue: &Queue,
    policies: &Arc<Policies>,
    delivery: &Delivery,
    clock: &Arc<dyn Clock>,
) -> Actions {
    let (kept, in_use) = (Arc::new(StoredPolicies::of(queue)), Arc::clone(policies));
    let mta = reporting_mta(settings);
    let actions =
        Actions::of(queue.clone(), kept, in_use, delivery.clone(), mta, Arc::clone(clock));
    let history = &settings.history;
    let activity = if history.enabled {
        ActivityLog::in_dir(&history.dir, history.keep_domains)
    } else {
        ActivityLog::disabled()
    };
    let actions = actions.recorded_in(activity);
    actions.tell_staging(settings.listener.staging.in_words());
    actions.grants.reload(grant_rule(settings));
    actions.grants.load().await;
    actions
}

/// Names aws-lc-rs as what TLS computes with, for libraries that do not ask.
pub(super) fn install_crypto_provider() {
    // In a process that has one already (a test with two relays) it is the same one.
    if aws_lc_rs::default_provider().install_default().is_err() {
        tracing::debug!("crypto provider was installed before");
    }
}

/// Who may make exceptions.
pub(super) const fn grant_rule(settings: &Settings) -> GrantRule {
    match settings.exception_rule {
        RawExceptionRule::All => GrantRule::All,
        RawExceptionRule::Settings => GrantRule::Settings,
    }
}

/// What pages show, wherever they are shown.
pub(super) fn shown(settings: &Settings, actions: &Actions, clock: &Arc<dyn Clock>) -> Shown {
    let history = &settings.history;
    Shown {
        actions: actions.clone(),
        history: history.enabled.then(|| history.dir.clone()),
        relay: settings.listener.hostname.to_string(),
        version: env!("CARGO_PKG_VERSION"),
        clock: Arc::clone(clock),
    }
}
