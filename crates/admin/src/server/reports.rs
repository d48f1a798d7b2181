//! What can be asked about TLS reports, and done with them.

use std::sync::Arc;

use axum::Router;
use axum::extract::{ConnectInfo, Query, State};
use axum::response::Response;
use axum::routing::{get, post};
use clock::Clock;
use reporting::Reporting;
use serde::Deserialize;
use tls_rpt::{Day, DomainName};

use crate::api::query::PAGE;
use crate::api::report_answers::{CountedDomain, LISTED_MAX, PreviewedReport, ReportsStatus};
use crate::server::error::AdminError;
use crate::server::operator::Operator;
use crate::server::respond::answer;

/// The reports, and the time.
#[derive(Clone, Debug)]
pub struct ReportDesk {
    /// The reports.
    pub reporting: Reporting,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// Which report is meant.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Which {
    domain: DomainName,
    day: Day,
}

/// Which part of a list is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    day: Option<Day>,
    domain: Option<DomainName>,
}

/// Who answers what.
pub(crate) fn routes(desk: ReportDesk) -> Router {
    Router::new()
        .route("/tls-reports", get(status))
        .route("/tls-reports/counted", get(counted))
        .route("/tls-reports/preview", get(preview))
        .route("/tls-reports/send", post(send))
        .route("/tls-reports/send-finished", post(send_finished))
        .with_state(desk)
}

/// `GET /tls-reports`
async fn status(State(desk): State<ReportDesk>) -> Response {
    answer(desk.status().await.map(Some))
}

/// `GET /tls-reports/counted`
async fn counted(State(desk): State<ReportDesk>, Query(page): Query<Page>) -> Response {
    let after = page.day.zip(page.domain);
    let counted = desk.reporting.counted(after.as_ref(), PAGE).await;
    let shown = |(day, domain)| CountedDomain { day, domain };
    let counted = counted.map(|all| all.into_iter().map(shown).collect::<Vec<_>>());
    answer(counted.map(Some).map_err(AdminError::from))
}

/// `GET /tls-reports/preview`
async fn preview(State(desk): State<ReportDesk>, Query(which): Query<Which>) -> Response {
    let Which { domain, day } = which;
    let preview = Box::pin(desk.reporting.preview(day, &domain)).await;
    let shown = preview.map(|preview| PreviewedReport::of(day, domain, &preview));
    answer(shown.map(Some).map_err(AdminError::from))
}

/// `POST /tls-reports/send`
async fn send(
    State(desk): State<ReportDesk>,
    ConnectInfo(by): ConnectInfo<Operator>,
    Query(which): Query<Which>,
) -> Response {
    let Which { domain, day } = which;
    let sent = Box::pin(desk.reporting.send_one(day, &domain)).await;
    tracing::info!(%domain, %day, %by, "TLS report requested");
    match sent {
        Ok(true) => answer(desk.status().await.map(Some)),
        Ok(false) => answer::<ReportsStatus>(Ok(None)),
        Err(error) => answer::<ReportsStatus>(Err(error.into())),
    }
}

/// `POST /tls-reports/send-finished`
async fn send_finished(
    State(desk): State<ReportDesk>,
    ConnectInfo(by): ConnectInfo<Operator>,
) -> Response {
    tracing::info!(%by, "TLS reports requested");
    match Box::pin(desk.reporting.send_finished()).await {
        Ok(()) => answer(desk.status().await.map(Some)),
        Err(error) => answer::<ReportsStatus>(Err(error.into())),
    }
}

impl ReportDesk {
    /// How reports stand.
    async fn status(&self) -> Result<ReportsStatus, AdminError> {
        let on_their_way = self.reporting.on_their_way(LISTED_MAX).await?;
        Ok(ReportsStatus::of(&self.reporting, &on_their_way, &*self.clock))
    }
}
