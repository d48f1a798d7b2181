//! What can be done with exceptions: have them listed, granted and withdrawn.

use std::time::{Duration, UNIX_EPOCH};

use axum::Router;
use axum::extract::{ConnectInfo, Path as Segment, Query, State};
use axum::response::Response;
use axum::routing::{get, post};
use clock::Clock;
use mta_sts::{Exception, ExceptionScope, Lifts, PolicyDomain};
use serde::Serialize;

use crate::api::exceptions::{ExceptionQuery, ScopeQuery};
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
    match wanted(&domain, &query, &by, &*actions.clock) {
        Ok(exception) => changed(actions.grant(exception, &by).await.map(Some)),
        Err(refusal) => refuse(refusal),
    }
}

/// `DELETE /exceptions/DOMAIN`
async fn remove(
    State(actions): State<Actions>,
    ConnectInfo(by): ConnectInfo<Operator>,
    Segment(domain): Segment<String>,
    Query(scope): Query<ScopeQuery>,
) -> Response {
    let domain = match PolicyDomain::parse(&domain) {
        Ok(domain) => domain,
        Err(error) => return unclear(&error),
    };
    match scope.read() {
        Ok(scope) => changed(actions.withdraw(&domain, scope.as_ref(), &by).await),
        Err(refusal) => refuse(refusal),
    }
}

/// The exception that is asked for.
fn wanted(
    domain: &str,
    query: &ExceptionQuery,
    by: &Operator,
    clock: &dyn Clock,
) -> Result<Exception, Refusal> {
    let domain = PolicyDomain::parse(domain).map_err(|error| refusal(&error))?;
    let said = |error: &str| Refusal { error: error.to_owned() };
    let scope = query.scope().read()?.unwrap_or_else(|| ExceptionScope::Domain(Lifts::default()));
    let now = clock.wall();
    let until = UNIX_EPOCH.checked_add(Duration::from_secs(query.until)).filter(|end| *end > now);
    let until = until.ok_or_else(|| said("the exception would have ended already"))?;
    let exception = Exception::new(domain, until, &query.reason, now);
    let exception = exception.map_err(|error| refusal(&error))?.of(scope);
    Ok(exception.granted(&by.to_string(), query.ending()))
}

/// What has become of a change.
fn changed<T: Serialize>(done: Result<Option<Result<T, Refusal>>, AdminError>) -> Response {
    match done {
        Ok(Some(Err(refusal))) => refuse(refusal),
        Ok(Some(Ok(listed))) => answer(Ok(Some(listed))),
        Ok(None) => answer::<T>(Ok(None)),
        Err(error) => answer::<T>(Err(error)),
    }
}
