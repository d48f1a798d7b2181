//! The admin interface's part about the queue.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Path as Segment, Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use hyper::body::{Bytes, Frame};
use queue::{BodyReader, QueueId, QueueIdError};
use serde::Deserialize;
use tokio::io::{AsyncRead as _, ReadBuf};

use crate::api::change::{Bounce, Change};
use crate::api::query::{ListQuery, Part, RetryQuery};
use crate::server::actions::Actions;
use crate::server::operator::Operator;
use crate::server::respond::{answer, refuse, unclear};

/// How much of a message is sent at a time.
const CHUNK_BYTES: usize = 64 << 10;

/// Who answers what about the queue.
pub(crate) fn routes() -> Router<Actions> {
    Router::new()
        .route("/queue", get(messages))
        .route("/queue/retry", post(retry))
        .route("/queue/count", get(count))
        .route("/queue/many/hold", post(hold_many))
        .route("/queue/many/release", post(release_many))
        .route("/queue/many/delete", post(delete_many))
        .route("/queue/many/retry", post(retry_many))
        .route("/queue/{id}", get(message).delete(delete))
        .route("/queue/{id}/body", get(body))
        .route("/queue/{id}/hold", post(hold))
        .route("/queue/{id}/release", post(release))
        .route("/stats", get(stats))
        .route("/verify", get(verify))
}

/// How a message is removed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DeleteQuery {
    bounce: Option<bool>,
}

/// A message's bytes on their way into an answer.
struct MessageBody(BodyReader);

/// `GET /queue`
async fn messages(State(actions): State<Actions>, Query(query): Query<ListQuery>) -> Response {
    match query.read() {
        Ok((Part { filter, after, .. }, limit)) => {
            answer(actions.reads.messages(filter, after, limit).await.map(Some))
        }
        Err(refusal) => refuse(refusal),
    }
}

/// `GET /queue/count`
async fn count(State(actions): State<Actions>, Query(query): Query<ListQuery>) -> Response {
    match query.read() {
        Ok((part, _)) => answer(actions.matching(part).await.map(Some)),
        Err(refusal) => refuse(refusal),
    }
}

/// Who asks for a change of many messages, and of which.
type Asked = (State<Actions>, ConnectInfo<Operator>, Query<ListQuery>);

/// `POST /queue/many/hold`
async fn hold_many((actions, by, query): Asked) -> Response {
    change(Change::Hold, (actions, by, query)).await
}

/// `POST /queue/many/release`
async fn release_many((actions, by, query): Asked) -> Response {
    change(Change::Release, (actions, by, query)).await
}

/// `POST /queue/many/delete`
async fn delete_many((actions, by, query): Asked) -> Response {
    change(Change::Delete(query.bounce()), (actions, by, query)).await
}

/// `POST /queue/many/retry`
async fn retry_many((actions, by, query): Asked) -> Response {
    change(Change::Retry, (actions, by, query)).await
}

/// Changes the next part of the messages that are meant.
async fn change(what: Change, asked: Asked) -> Response {
    let (State(actions), ConnectInfo(by), Query(query)) = asked;
    match query.read() {
        Ok((part, limit)) => answer(actions.change_part(what, part, limit, &by).await.map(Some)),
        Err(refusal) => refuse(refusal),
    }
}

/// `GET /queue/ID`
async fn message(State(actions): State<Actions>, Segment(id): Segment<String>) -> Response {
    match id.parse::<QueueId>() {
        Ok(id) => answer(actions.reads.message(id).await),
        Err(error) => unclear::<QueueIdError>(&error),
    }
}

/// `GET /queue/ID/body`
async fn body(
    State(actions): State<Actions>,
    ConnectInfo(by): ConnectInfo<Operator>,
    Segment(id): Segment<String>,
) -> Response {
    let id = match id.parse::<QueueId>() {
        Ok(id) => id,
        Err(error) => return unclear(&error),
    };
    match actions.body(id, &by).await {
        Ok(Some(reader)) => {
            let kind = [(CONTENT_TYPE, "application/octet-stream")];
            (kind, Body::new(MessageBody(reader))).into_response()
        }
        Ok(None) => answer::<()>(Ok(None)),
        Err(error) => answer::<()>(Err(error)),
    }
}

/// `POST /queue/retry`
async fn retry(
    State(actions): State<Actions>,
    ConnectInfo(by): ConnectInfo<Operator>,
    Query(query): Query<RetryQuery>,
) -> Response {
    match query.selection() {
        Ok(selection) => answer(actions.retry(selection, &by).await),
        Err(refusal) => refuse(refusal),
    }
}

/// `POST /queue/ID/hold`
async fn hold(
    State(actions): State<Actions>,
    ConnectInfo(by): ConnectInfo<Operator>,
    Segment(id): Segment<String>,
) -> Response {
    match id.parse::<QueueId>() {
        Ok(id) => answer(actions.hold(id, &by).await),
        Err(error) => unclear(&error),
    }
}

/// `POST /queue/ID/release`
async fn release(
    State(actions): State<Actions>,
    ConnectInfo(by): ConnectInfo<Operator>,
    Segment(id): Segment<String>,
) -> Response {
    match id.parse::<QueueId>() {
        Ok(id) => answer(actions.release(id, &by).await),
        Err(error) => unclear(&error),
    }
}

/// `DELETE /queue/ID`
async fn delete(
    State(actions): State<Actions>,
    ConnectInfo(by): ConnectInfo<Operator>,
    Segment(id): Segment<String>,
    Query(query): Query<DeleteQuery>,
) -> Response {
    let bounce = if query.bounce == Some(true) { Bounce::Sent } else { Bounce::None };
    match id.parse::<QueueId>() {
        Ok(id) => answer(actions.delete(id, bounce, &by).await),
        Err(error) => unclear(&error),
    }
}

/// `GET /stats`
async fn stats(State(actions): State<Actions>) -> Response {
    answer(actions.stats().await.map(Some))
}

/// `GET /verify`
async fn verify(State(actions): State<Actions>) -> Response {
    answer(actions.verify().await.map(Some))
}

impl hyper::body::Body for MessageBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let mut chunk = vec![0; CHUNK_BYTES];
        let mut space = ReadBuf::new(&mut chunk);
        let read = ready!(Pin::new(&mut self.0).poll_read(cx, &mut space));
        let length = space.filled().len();
        chunk.truncate(length);
        Poll::Ready(match read {
            // Damage is seen before the last chunk is given: the answer then breaks off.
            Err(error) => Some(Err(error)),
            Ok(()) if length == 0 => None,
            Ok(()) => Some(Ok(Frame::data(Bytes::from(chunk)))),
        })
    }
}
