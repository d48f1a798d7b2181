//! What can be done with those who are told when a person is needed.

use axum::Router;
use axum::extract::{ConnectInfo, Query, State};
use axum::response::Response;
use axum::routing::post;
use notify::{Notifier, Tested};
use serde::Deserialize;

use crate::api::notice_answers::TestedDestination;
use crate::server::operator::Operator;
use crate::server::respond::answer;

/// Which destination is meant.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Which {
    /// Its name; none: all.
    name: Option<String>,
}

/// Who answers what.
pub(crate) fn routes(notifier: Notifier) -> Router {
    Router::new().route("/notify/test", post(test)).with_state(notifier)
}

/// `POST /notify/test`
async fn test(
    State(notifier): State<Notifier>,
    ConnectInfo(by): ConnectInfo<Operator>,
    Query(which): Query<Which>,
) -> Response {
    tracing::info!(%by, "notice test requested");
    let tested = Box::pin(notifier.test(which.name.as_deref())).await;
    let shown = |Tested { name, error }| TestedDestination { name, error };
    answer(Ok(tested.map(|all| all.into_iter().map(shown).collect::<Vec<_>>())))
}
