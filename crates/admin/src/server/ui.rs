//! `sts-relay ui`: pages at a loopback address for as long as the command runs.
//!
//! Who may open the admin socket may do everything already; the command makes a link of it that a
//! browser can follow. The link logs in once, within an hour, and the pages end with the connection
//! that asked for them.

use std::future::Future as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use access::Role;
use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Query, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use hyper::body::{Bytes, Frame};
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Interval, interval};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tracing::info;

use crate::api::refusal::Refusal;
use crate::api::ui::UiOpened;
use crate::pages::logins::Visitor;
use crate::pages::site::{Shown, Site, SiteSettings, Transport};
use crate::pages::table;
use crate::server::http::{self, AfterAnswer, Bounds};
use crate::server::operator::Operator;
use crate::server::respond::refuse;

/// So many commands have pages open at a time.
const MOST: usize = 8;

/// So long a link can be followed.
const LINK: Duration = Duration::from_secs(60 * 60);

/// How often a sign of life is sent, by which a command that is gone is noticed.
const BEAT: Duration = Duration::from_secs(5);

/// What the connections of one command may take up.
const BOUNDS: Bounds = Bounds {
    connections: 32,
    head: Duration::from_secs(10),
    whole: Duration::from_secs(10 * 60),
    after: AfterAnswer::Keep,
};

/// What opens pages.
#[derive(Clone, Debug)]
pub(crate) struct Opening {
    shown: Shown,
    room: Arc<Semaphore>,
    stop: CancellationToken,
}

impl Opening {
    /// Opens pages that end with `stop` at the latest.
    pub(crate) fn new(shown: Shown, stop: CancellationToken) -> Self {
        Self { shown, room: Arc::new(Semaphore::new(MOST)), stop }
    }
}

/// Who answers.
pub(crate) fn routes(opening: Opening) -> Router {
    Router::new().route("/ui", post(open)).with_state(opening)
}

/// What pages are asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct UiQuery {
    role: String,
    port: Option<u16>,
}

/// `POST /ui`
async fn open(
    State(opening): State<Opening>,
    ConnectInfo(by): ConnectInfo<Operator>,
    Query(query): Query<UiQuery>,
) -> Response {
    match pages(opening, by, &query).await {
        Ok(pages) => Body::new(pages).into_response(),
        Err(error) => refuse(Refusal { error }),
    }
}

/// Opens pages, and says where they are.
async fn pages(opening: Opening, by: Operator, query: &UiQuery) -> Result<Pages, String> {
    let role: Role = query.role.parse().map_err(|error: access::RoleError| error.to_string())?;
    let room = Arc::clone(&opening.room).try_acquire_owned();
    let room = room.map_err(|_full| format!("{MOST} such pages are open: end one of them"))?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, query.port.unwrap_or(0)));
    let failed = |error: std::io::Error| format!("cannot listen on {address}: {error}");
    let socket = TcpListener::bind(address).await.map_err(failed)?;
    let address = socket.local_addr().map_err(failed)?;
    let site = Site::new(opening.shown, SiteSettings::default(), Transport::Clear, address.port());
    info!(%by, %role, %address, "operator page opened");
    let code = site.offer(Visitor { by, role }, LINK);
    let opened = UiOpened { url: format!("http://{address}/login?code={}", code.reveal()) };
    let first = serde_json::to_string(&opened).map_err(|error| error.to_string())?;
    let mut serving = JoinSet::new();
    let _handle = serving.spawn(http::serve(
        socket,
        table::routes(&site),
        BOUNDS,
        None,
        opening.stop.clone(),
    ));
    let stopped = Box::pin(opening.stop.cancelled_owned());
    let first = Some(Bytes::from(first + "\n"));
    Ok(Pages { first, beat: interval(BEAT), stopped, _serving: serving, _room: room })
}

/// An answer that lasts as long as the pages: where they are, then signs of life. When it is dropped
/// they end, and with them everybody's login.
struct Pages {
    first: Option<Bytes>,
    beat: Interval,
    stopped: Pin<Box<WaitForCancellationFutureOwned>>,
    _serving: JoinSet<()>,
    _room: OwnedSemaphorePermit,
}

impl hyper::body::Body for Pages {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        if self.stopped.as_mut().poll(cx).is_ready() {
            return Poll::Ready(None);
        }
        self.beat.poll_tick(cx).map(|_at| Some(Ok(Frame::data(Bytes::from_static(b"\n")))))
    }
}
