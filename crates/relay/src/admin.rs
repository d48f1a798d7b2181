//! The admin interface of the running relay: HTTP over a unix socket that only its user can open,
//! and its three questions for monitors on a TCP port where one is set ([`port`]).
//!
//! | request | answer |
//! |---|---|
//! | `GET /healthz` | that the relay runs, and whether it takes mail |
//! | `GET /readyz` | whether it can do its work, check by check; 503 where it cannot |
//! | `GET /metrics` | what it counts, for Prometheus |
//! | `GET /queue?after=ID&limit=N` | messages, oldest first |
//! | ... `&sender=S&domain=D&state=W&reason=R&older_than=SECONDS` | those alone that meet all of it |
//! | `GET /queue/count?...` | how many meet it, and the last of them |
//! | `POST /queue/many/hold?after=ID&until=ID&...` | the next 256 that meet it are put on hold; as well `release`, `retry`, `delete` (`&bounce=true`) |
//! | `GET /queue/ID` | one message, with the reason it waits |
//! | `GET /queue/ID/body` | its header and body, byte for byte |
//! | `POST /queue/ID/hold`, `POST /queue/ID/release` | whether that changed anything |
//! | `DELETE /queue/ID?bounce=true` | that it is gone, and the bounce if one was sent |
//! | `POST /queue/retry?id=ID`, `?domain=D` or `?all=true` | how many attempts are made now |
//! | `GET /stats` | waiting mail by domain |
//! | `GET /verify` | the spool compared with the index |
//! | `GET /policies?after=DOMAIN&limit=N` | cached policies, by domain |
//! | `GET /policies/DOMAIN` | one of them |
//! | `POST /policies/DOMAIN/refresh` | the policy, fetched anew |
//! | `POST /policies/DOMAIN/purge` | that it was forgotten |

pub(crate) mod answer;
pub(crate) mod answers;
pub(crate) mod client;
pub(crate) mod look;
pub(crate) mod many;
pub(crate) mod operator;
pub(crate) mod policies;
pub(crate) mod port;
pub(crate) mod view;
pub(crate) mod vitals;
pub(crate) mod wishes;

mod mail;
mod on_wall;
mod socket;

use std::path::{Path, PathBuf};

use ::mail::in_full;
use axum::extract::{Path as Segment, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use mta_sts::PolicyDomain;
use serde::{Deserialize, Serialize};
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;

use self::answer::Refusal;
use self::operator::Operator;
use self::view::{View, ViewError};
use self::vitals::Vitals;

pub use socket::SocketError;

/// The most entries of one answer.
pub(crate) const PAGE: usize = 1000;

/// The admin interface, listening.
#[derive(Debug)]
pub(crate) struct Admin {
    socket: UnixListener,
    path: PathBuf,
}

impl Admin {
    /// Listens at `path`.
    pub(crate) async fn listen(path: &Path) -> Result<Self, SocketError> {
        Ok(Self { socket: socket::listen(path).await?, path: path.to_owned() })
    }

    /// Answers until `stop`.
    pub(crate) async fn serve(self, view: View, vitals: Vitals, stop: CancellationToken) {
        let Self { socket, path } = self;
        let routes = routes(view).merge(vitals::routes(vitals));
        let service = routes.into_make_service_with_connect_info::<Operator>();
        let served = axum::serve(socket, service);
        if let Err(error) = served.with_graceful_shutdown(stop.cancelled_owned()).await {
            tracing::error!(%error, "admin interface failed");
        }
        socket::remove(&path);
    }
}

/// Who answers what.
fn routes(view: View) -> Router {
    Router::new().merge(mail::routes()).merge(policies::routes()).with_state(view)
}

/// Which part of a list is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    after: Option<String>,
    limit: Option<usize>,
}

/// `GET /policies`
async fn listed_policies(State(view): State<View>, Query(page): Query<Page>) -> Response {
    let after = match page.after.as_deref().map(PolicyDomain::parse).transpose() {
        Ok(after) => after,
        Err(error) => return unclear(&error),
    };
    answer(view.look.policies(after, page.limit()).await.map(Some))
}

/// `GET /policies/DOMAIN`
async fn policy(State(view): State<View>, Segment(domain): Segment<String>) -> Response {
    match PolicyDomain::parse(&domain) {
        Ok(domain) => answer(view.look.policy(domain).await),
        Err(error) => unclear(&error),
    }
}

impl Page {
    /// How many entries are wanted.
    fn limit(&self) -> usize {
        self.limit.unwrap_or(PAGE).clamp(1, PAGE)
    }
}

/// What was found, as JSON.
fn answer<T: Serialize>(found: Result<Option<T>, ViewError>) -> Response {
    match found {
        Ok(Some(found)) => Json(found).into_response(),
        Ok(None) => {
            let refusal = Refusal { error: "not found".to_owned() };
            (StatusCode::NOT_FOUND, Json(refusal)).into_response()
        }
        Err(error) => {
            tracing::error!(error = in_full(&error), "admin request failed");
            let refusal = Refusal { error: in_full(&error) };
            (StatusCode::INTERNAL_SERVER_ERROR, Json(refusal)).into_response()
        }
    }
}

/// The request cannot be understood.
fn unclear<E: std::error::Error>(error: &E) -> Response {
    refuse(Refusal { error: in_full(error) })
}

/// The request cannot be understood, for a reason that is in words already.
fn refuse(refusal: Refusal) -> Response {
    (StatusCode::BAD_REQUEST, Json(refusal)).into_response()
}
