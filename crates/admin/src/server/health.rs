//! What monitors ask: `/healthz`, `/readyz` and `/metrics`. They change nothing and tell of no
//! message, so they alone are answered on the network.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use clock::Clock;
use history::HistoryProgress;
use mta_sts::Policies;
use queue::{Counts, Queue};
use reporting::Reporting;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::api::answers::Health;
use crate::metrics::{Format, Metrics};
use crate::readiness::{Bearings, Checks, Readiness, queue_seen};

/// Counting the messages of a long queue takes a while; it is done again only after this many
/// times as long.
const COUNTS_REST: u32 = 20;

/// What monitors ask about.
#[derive(Clone, Debug)]
pub struct HealthChecks {
    queue: Queue,
    policies: Arc<Policies>,
    clock: Arc<dyn Clock>,
    checks: Arc<Checks>,
    metrics: Arc<Metrics>,
    reporting: Reporting,
    /// None where none is kept.
    history: Option<WatchedHistory>,
    counts: Arc<Mutex<Option<Counting>>>,
}

/// A history that is kept.
#[derive(Clone, Debug)]
pub struct WatchedHistory {
    /// Where.
    pub dir: PathBuf,
    /// How far it is.
    pub progress: HistoryProgress,
}

/// A count of the messages.
#[derive(Clone, Copy, Debug)]
struct Counting {
    counts: Counts,
    ended: Instant,
    took: Duration,
}

impl HealthChecks {
    /// What monitors of one relay ask about.
    pub fn of(
        queue: &Queue,
        policies: &Arc<Policies>,
        clock: &Arc<dyn Clock>,
        checks: Checks,
        metrics: Arc<Metrics>,
        reporting: Reporting,
    ) -> Self {
        let (policies, clock) = (Arc::clone(policies), Arc::clone(clock));
        let (queue, checks) = (queue.clone(), Arc::new(checks));
        let (history, counts) = (None, Arc::default());
        Self { queue, policies, clock, checks, metrics, reporting, history, counts }
    }

    /// The same, which tells of this history.
    #[must_use]
    pub fn with_history(self, history: Option<WatchedHistory>) -> Self {
        Self { history, ..self }
    }

    /// Goes by other settings from now on.
    pub fn reload(&self, bearings: Bearings) {
        self.checks.reload(bearings);
    }

    /// Whether the relay can do its work, check by check.
    pub async fn readiness(&self) -> Readiness {
        self.checks.look().await
    }

    /// Brings up to date what is not counted as it happens, and writes everything down.
    async fn scrape(&self, format: Format) -> Result<String, std::fmt::Error> {
        let readiness = self.checks.look().await;
        let counts = self.counts().await;
        let state = &self.metrics.state;
        state.set_queue(self.queue.totals(), self.queue.leased(), counts);
        state.set_waiting(&self.queue.waiting());
        state.set_readiness(&readiness);
        state.set_none_left(self.checks.none_left_for());
        state.set_paces(&self.checks.paces());
        let latest = self.clock.now().max(self.clock.wall());
        state.set_exceptions(&self.policies.exceptions(), latest);
        state.set_clock(self.clock.doubt());
        state.set_dkim_keys(&self.checks.signing());
        state.set_reports(&self.reporting, self.clock.now());
        self.look_at_history().await;
        self.metrics.text(format)
    }

    /// Brings up to date how much history there is; what cannot be told stays as it was.
    async fn look_at_history(&self) {
        let Some(WatchedHistory { dir, progress }) = &self.history else { return };
        match progress.levels(dir.clone(), self.queue.store().as_ref()).await {
            Ok(levels) => self.metrics.history.set(&levels),
            Err(error) => tracing::debug!(%error, "history not looked at"),
        }
    }

    /// How many messages are in each state; `None` while the queue cannot tell.
    pub async fn counts(&self) -> Option<Counts> {
        let mut last = self.counts.lock().await;
        if let Some(counting) = *last
            && counting.ended.elapsed() < counting.took.saturating_mul(COUNTS_REST)
        {
            return Some(counting.counts);
        }
        let begun = Instant::now();
        let counted = self.queue.store().counts().await;
        let counting = |counts| Counting { counts, ended: Instant::now(), took: begun.elapsed() };
        *last = counted.ok().map(counting);
        last.map(|counting| counting.counts)
    }
}

/// Who answers what.
pub(crate) fn routes(health: HealthChecks) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(health)
}

/// `GET /healthz`: that there is an answer is the point; what it says is for `healthy`. That mail does
/// not leave is told and is no reason to start the relay again, which would not help.
async fn healthz(State(health): State<HealthChecks>) -> Json<Health> {
    let seen = queue_seen(health.checks.health());
    let (Ok(queue) | Err(queue)) = seen;
    let delivery = match health.checks.delivery_seen() {
        Ok(seen) => seen.to_owned(),
        Err(seen) => seen,
    };
    Json(Health { healthy: seen.is_ok(), queue: queue.to_owned(), delivery })
}

/// `GET /readyz`
async fn readyz(State(health): State<HealthChecks>) -> Response {
    let readiness = health.checks.look().await;
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(readiness)).into_response()
}

/// `GET /metrics`
async fn metrics(State(health): State<HealthChecks>, headers: HeaderMap) -> Response {
    let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
    let format = Format::accepted(accept.unwrap_or_default());
    match health.scrape(format).await {
        Ok(text) => ([(CONTENT_TYPE, format.media_type())], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "metrics not written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
