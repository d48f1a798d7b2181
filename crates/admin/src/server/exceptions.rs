//! What can be done with exceptions: have them listed, granted and withdrawn.

use std::time::{Duration, UNIX_EPOCH};

use axum::Router;
use axum::extract::{ConnectInfo, Path as Segment, Query, State};
use axum::response::Response;
use axum::routing::{get, post};
use clock::Clock;
use mta_sts::{Exception, Lifts, PolicyDomain};

use crate::api::exceptions::{ExceptionQuery, ListedException};
use crate::api::refusal::{Refusal, refusal};
use crate::server::actions::Actions;
use crate::server::error::AdminError;
use crate::server::operator::Operator;
use crate::server::respond::{answer, refuse, unclear};

/// Who answers what.
pub(crate) fn routes() -> Router<Actions> {
    Router::new()
        .route("/exceptions", get(listed))
        .route("/exceptions/{domain}", post(add).delete(remove))
}

/// `GET /exceptions`
async fn listed(State(actions): State<Actions>) -> Response {
    answer(actions.grants.list().await.map(Some))
}

/// `POST /exceptions/DOMAIN`
async fn add(
    State(actions): State<Actions>,
    ConnectInfo(by): ConnectInfo<Operator>,
    Segment(domain): Segment<String>,
    Query(query): Query<ExceptionQuery>,
) -> Response {
    match wanted(&domain, &query, &*actions.clock) {
        Ok(exception) => changed(actions.grant(&exception, &by).await.map(Some)),
        Err(refusal) => refuse(refusal),
    }
}

/// `DELETE /exceptions/DOMAIN`
async fn remove(
    State(actions): State<Actions>,
    ConnectInfo(by): ConnectInfo<Operator>,
    Segment(domain): Segment<String>,
) -> Response {
    match PolicyDomain::parse(&domain) {
        Ok(domain) => changed(actions.withdraw(&domain, &by).await),
        Err(error) => unclear(&error),
    }
}

/// The exception that is asked for.
fn wanted(domain: &str, query: &ExceptionQuery, clock: &dyn Clock) -> Result<Exception, Refusal> {
    let domain = PolicyDomain::parse(domain).map_err(|error| refusal(&error))?;
    let said = |error: &str| Refusal { error: error.to_owned() };
    let lifts =
        Lifts::parse(&query.what).ok_or_else(|| said("what is `mta-sts`, `dane` or both"))?;
    let now = clock.wall();
    let until = UNIX_EPOCH.checked_add(Duration::from_secs(query.until)).filter(|end| *end > now);
    let until = until.ok_or_else(|| said("the exception would have ended already"))?;
    let exception = Exception::new(domain, until, &query.reason, now);
    Ok(exception.map_err(|error| refusal(&error))?.lifting(lifts))
}

/// What has become of a change.
fn changed(done: Result<Option<Result<ListedException, Refusal>>, AdminError>) -> Response {
    match done {
        Ok(Some(Err(refusal))) => refuse(refusal),
        Ok(Some(Ok(listed))) => answer(Ok(Some(listed))),
        Ok(None) => answer::<ListedException>(Ok(None)),
        Err(error) => answer::<ListedException>(Err(error)),
    }
}
