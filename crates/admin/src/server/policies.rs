//! What can be done with cached policies: have one fetched anew, or forgotten.

use axum::Router;
use axum::extract::{ConnectInfo, Path as Segment, Query, State};
use axum::response::Response;
use axum::routing::{get, post};
use mta_sts::PolicyDomain;
use serde::Deserialize;

use crate::api::query::PAGE;
use crate::server::actions::Actions;
use crate::server::operator::Operator;
use crate::server::respond::{answer, unclear};

/// Which part of a list is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    after: Option<String>,
    limit: Option<usize>,
}

/// Who answers what.
pub(crate) fn routes() -> Router<Actions> {
    Router::new()
        .route("/policies", get(listed_policies))
        .route("/policies/{domain}", get(policy))
        .route("/policies/{domain}/refresh", post(refresh))
        .route("/policies/{domain}/purge", post(purge))
}

/// `GET /policies`
async fn listed_policies(State(actions): State<Actions>, Query(page): Query<Page>) -> Response {
    let after = match page.after.as_deref().map(PolicyDomain::parse).transpose() {
        Ok(after) => after,
        Err(error) => return unclear(&error),
    };
    answer(actions.reads.policies(after, page.limit()).await.map(Some))
}

/// `GET /policies/DOMAIN`
async fn policy(State(actions): State<Actions>, Segment(domain): Segment<String>) -> Response {
    match PolicyDomain::parse(&domain) {
        Ok(domain) => answer(actions.reads.policy(domain).await),
        Err(error) => unclear(&error),
    }
}

/// `POST /policies/DOMAIN/refresh`
async fn refresh(
    State(actions): State<Actions>,
    ConnectInfo(by): ConnectInfo<Operator>,
    Segment(domain): Segment<String>,
) -> Response {
    match PolicyDomain::parse(&domain) {
        Ok(domain) => answer(actions.refresh(domain, &by).await.map(Some)),
        Err(error) => unclear(&error),
    }
}

/// `POST /policies/DOMAIN/purge`
async fn purge(
    State(actions): State<Actions>,
    ConnectInfo(by): ConnectInfo<Operator>,
    Segment(domain): Segment<String>,
) -> Response {
    match PolicyDomain::parse(&domain) {
        Ok(domain) => answer(actions.purge(domain, &by).await),
        Err(error) => unclear(&error),
    }
}

impl Page {
    /// How many entries are wanted.
    fn limit(&self) -> usize {
        self.limit.unwrap_or(PAGE).clamp(1, PAGE)
    }
}
