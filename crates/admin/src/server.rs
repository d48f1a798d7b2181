//! The admin interface of the running relay: HTTP over a unix socket that only its user can open,
//! and its three questions for monitors on a TCP port where one is set ([`monitoring_port`]).
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
//! | `GET /exceptions` | the exceptions that last |
//! | `POST /exceptions/DOMAIN?until=SECONDS&reason=TEXT&what=WHAT` | the exception, which counts from now on |
//! | `DELETE /exceptions/DOMAIN` | the exception, which does not count any more |
//! | `GET /tls-reports` | the TLS reports that are due and on their way |
//! | `GET /tls-reports/counted?day=DAY&domain=DOMAIN` | days and domains that are not reported yet, after these |
//! | `GET /tls-reports/preview?day=DAY&domain=DOMAIN` | what would be sent, where and when |
//! | `POST /tls-reports/send?day=DAY&domain=DOMAIN` | how reports stand after this one was sent |
//! | `POST /ui?role=ROLE&port=PORT` | a link to pages that are there until the connection ends |
//! | `POST /tls-reports/send-finished` | the same after those of all days that are over |
//! | `POST /notify/test?name=NAME` | a test was sent to a destination of notices, or to all, and what came of it |

pub mod actions;
pub mod error;
mod exceptions;
pub mod grants;
pub mod health;
pub(crate) mod http;
mod many;
pub mod monitoring_port;
mod notices;
mod on_wall;
pub mod operator;
mod policies;
mod queue;
pub mod reads;
mod refresh;
pub mod reports;
mod respond;
mod ui;

use axum::Router;
use notify::Notifier;
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;

use crate::pages::site::Shown;
use crate::server::actions::Actions;
use crate::server::health::HealthChecks;
use crate::server::operator::Operator;
use crate::server::reports::ReportDesk;
use crate::server::ui::Opening;

/// Answers those who connect to `socket`, who may do everything, until `stop`.
pub async fn serve(
    socket: UnixListener,
    shown: Shown,
    health: HealthChecks,
    desk: ReportDesk,
    notifier: Notifier,
    stop: CancellationToken,
) {
    let routes = routes(shown.actions.clone()).merge(health::routes(health));
    let opening = Opening::new(shown, stop.clone());
    let routes = routes.merge(reports::routes(desk)).merge(ui::routes(opening));
    let routes = routes.merge(notices::routes(notifier));
    let service = routes.into_make_service_with_connect_info::<Operator>();
    let served = axum::serve(socket, service);
    if let Err(error) = served.with_graceful_shutdown(stop.cancelled_owned()).await {
        tracing::error!(%error, "admin interface failed");
    }
}

/// Serves what is asked about queue, policies and exceptions alone, until `stop` is cancelled: where no relay
/// runs there is no health to tell.
pub async fn serve_actions(socket: UnixListener, actions: Actions, stop: CancellationToken) {
    let service = routes(actions).into_make_service_with_connect_info::<Operator>();
    let served = axum::serve(socket, service);
    if let Err(error) = served.with_graceful_shutdown(stop.cancelled_owned()).await {
        tracing::error!(%error, "admin interface failed");
    }
}

/// Who answers what.
fn routes(actions: Actions) -> Router {
    let routes = queue::routes().merge(policies::routes()).merge(exceptions::routes());
    routes.with_state(actions)
}
