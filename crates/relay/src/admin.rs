//! The admin interface of the running relay: HTTP over a unix socket that only its user can open.
//!
//! | request | answer |
//! |---|---|
//! | `GET /queue?after=ID&limit=N` | messages, oldest first |
//! | `GET /queue/ID` | one message, with the reason it is held |
//! | `POST /queue/retry?id=ID`, `?domain=D` or `?all=true` | how many attempts are made now |
//! | `GET /stats` | what waits for whom |
//! | `GET /policies?after=DOMAIN&limit=N` | cached policies, by domain |
//! | `GET /policies/DOMAIN` | one of them |

pub(crate) mod answer;
pub(crate) mod answers;
pub(crate) mod client;
pub(crate) mod view;

mod socket;

use std::path::{Path, PathBuf};

use axum::extract::{Path as Segment, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use mta_sts::PolicyDomain;
use queue::{QueueId, Selection};
use serde::{Deserialize, Serialize};
use smtp::MailboxDomain;
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;

use self::answer::Refusal;
use self::view::{View, ViewError};
use crate::error_text::in_full;

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
    pub(crate) async fn serve(self, view: View, stop: CancellationToken) {
        let Self { socket, path } = self;
        let served = axum::serve(socket, routes(view));
        if let Err(error) = served.with_graceful_shutdown(stop.cancelled_owned()).await {
            tracing::error!(%error, "admin interface failed");
        }
        socket::remove(&path);
    }
}

/// Who answers what.
fn routes(view: View) -> Router {
    Router::new()
        .route("/queue", get(messages))
        .route("/queue/retry", post(retry))
        .route("/queue/{id}", get(message))
        .route("/stats", get(stats))
        .route("/policies", get(policies))
        .route("/policies/{domain}", get(policy))
        .with_state(view)
}

/// Which part of a list is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    after: Option<String>,
    limit: Option<usize>,
}

/// What is to be tried now.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RetryQuery {
    all: Option<bool>,
    domain: Option<String>,
    id: Option<String>,
}

/// `GET /queue`
async fn messages(State(view): State<View>, Query(page): Query<Page>) -> Response {
    let after = match page.after.as_deref().map(str::parse::<QueueId>).transpose() {
        Ok(after) => after,
        Err(error) => return unclear(&error),
    };
    answer(view.messages(after, page.limit()).await.map(Some))
}

/// `GET /queue/ID`
async fn message(State(view): State<View>, Segment(id): Segment<String>) -> Response {
    match id.parse() {
        Ok(id) => answer(view.message(id).await),
        Err(error) => unclear::<queue::QueueIdError>(&error),
    }
}

/// `POST /queue/retry`
async fn retry(State(view): State<View>, Query(query): Query<RetryQuery>) -> Response {
    match query.selection() {
        Ok(selection) => answer(view.retry(selection).await),
        Err(refusal) => (StatusCode::BAD_REQUEST, Json(refusal)).into_response(),
    }
}

/// `GET /stats`
async fn stats(State(view): State<View>) -> Response {
    answer(view.stats().await.map(Some))
}

/// `GET /policies`
async fn policies(State(view): State<View>, Query(page): Query<Page>) -> Response {
    let after = match page.after.as_deref().map(PolicyDomain::parse).transpose() {
        Ok(after) => after,
        Err(error) => return unclear(&error),
    };
    answer(view.policies(after, page.limit()).await.map(Some))
}

/// `GET /policies/DOMAIN`
async fn policy(State(view): State<View>, Segment(domain): Segment<String>) -> Response {
    match PolicyDomain::parse(&domain) {
        Ok(domain) => answer(view.policy(domain).await),
        Err(error) => unclear(&error),
    }
}

impl Page {
    /// How many entries are wanted.
    fn limit(&self) -> usize {
        self.limit.unwrap_or(PAGE).clamp(1, PAGE)
    }
}

impl RetryQuery {
    /// The one selection that is asked for.
    fn selection(self) -> Result<Selection, Refusal> {
        let refusal = |error: String| Refusal { error };
        match (self.id, self.domain, self.all) {
            (Some(id), None, None) => {
                id.parse().map(Selection::Message).map_err(|error| refusal(in_full(&error)))
            }
            (None, Some(domain), None) => MailboxDomain::parse(&domain)
                .map(Selection::Destination)
                .map_err(|error| refusal(in_full(&error))),
            (None, None, Some(true)) => Ok(Selection::All),
            _ => Err(refusal("name one of id, domain and all".to_owned())),
        }
    }
}

/// What was found, as JSON.
fn answer<T: Serialize>(found: Result<Option<T>, ViewError>) -> Response {
    match found {
        Ok(Some(found)) => Json(found).into_response(),
        Ok(None) => {
            let refusal = Refusal { error: "there is no such thing".to_owned() };
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
    (StatusCode::BAD_REQUEST, Json(Refusal { error: in_full(error) })).into_response()
}
