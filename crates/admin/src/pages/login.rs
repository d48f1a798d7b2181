//! Logging in and out.

use askama::Template;
use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::http::header::SET_COOKIE;
use axum::response::{IntoResponse as _, Response};
use tokio::time::Instant;
use tracing::{info, warn};

use crate::pages::answer::{page, see_other};
use crate::pages::form::Fields;
use crate::pages::frame::{Frame, refusal};
use crate::pages::gate::{Act, set_cookie};
use crate::pages::logins::{Purpose, Visit};
use crate::pages::secret::Secret;
use crate::pages::site::Site;

/// Where one logs in.
#[derive(Debug, Template)]
#[template(path = "login.html")]
struct LogIn {
    frame: Frame,
    /// The code of the link that was followed.
    code: Option<String>,
}

/// `GET /login`
pub(crate) async fn form(State(site): State<Site>, RawQuery(query): RawQuery) -> Response {
    let fields = Fields::parse(query.unwrap_or_default().as_bytes());
    let code = fields.get("code").and_then(|code| code.parse::<Secret>().ok());
    let code = code.map(|code| code.reveal());
    page(&LogIn { frame: Frame::for_nobody(&site, "Log in"), code })
}

/// `POST /login/code`: the code is worth nothing afterwards.
pub(crate) async fn with_code(
    State(site): State<Site>,
    Extension(act): Extension<Act>,
) -> Response {
    let code = act.form().get("code").and_then(|code| code.parse::<Secret>().ok());
    let id = code.and_then(|code| site.logins().redeem(&code, Instant::now()));
    let Some(id) = id else {
        warn!("operator login refused");
        let frame = Frame::for_nobody(&site, "This link is used up");
        let text = "Each link logs in once. Run `sts-relay ui` again for another one.";
        return refusal(frame, StatusCode::FORBIDDEN, text);
    };
    entered(&site, &id)
}

/// `POST /logout`
pub(crate) async fn out(State(site): State<Site>, Extension(visit): Extension<Visit>) -> Response {
    site.logins().close(&visit.id);
    info!(by = %visit.visitor.by, "operator logged out");
    with_cookie(see_other("/login"), &site, None)
}

/// The first page of a new login.
fn entered(site: &Site, id: &Secret) -> Response {
    if let Ok(Visit { visitor, .. }) = site.logins().visit(id, Purpose::Read, Instant::now()) {
        info!(by = %visitor.by, role = %visitor.role, "operator logged in");
    }
    with_cookie(see_other("/"), site, Some(id))
}

fn with_cookie(mut response: Response, site: &Site, id: Option<&Secret>) -> Response {
    let Some(cookie) = set_cookie(site, id) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    response.headers_mut().insert(SET_COOKIE, cookie);
    response
}
