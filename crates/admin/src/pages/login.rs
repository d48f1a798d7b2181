//! Logging in and out.

use askama::Template;
use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::http::header::{HeaderValue, RETRY_AFTER, SET_COOKIE};
use axum::response::{IntoResponse as _, Response};
use tokio::time::Instant;
use tracing::{info, warn};

use crate::pages::answer::{page, see_other, with_status};
use crate::pages::form::Fields;
use crate::pages::frame::{Frame, refusal};
use crate::pages::gate::{Act, set_cookie};
use crate::pages::logins::{Purpose, Visit, Visitor};
use crate::pages::secret::Secret;
use crate::pages::site::Site;
use crate::server::http::Peer;
use crate::server::operator::Operator;

/// Where one logs in.
#[derive(Debug, Template)]
#[template(path = "login.html")]
struct LogIn {
    frame: Frame,
    /// The code of the link that was followed.
    code: Option<String>,
    has_passwords: bool,
    problem: Option<&'static str>,
}

impl LogIn {
    fn of(site: &Site, code: Option<String>, problem: Option<&'static str>) -> Self {
        let frame = Frame::for_nobody(site, "Log in");
        Self { frame, code, has_passwords: site.has_passwords(), problem }
    }
}

/// `GET /login`
pub(crate) async fn form(State(site): State<Site>, RawQuery(query): RawQuery) -> Response {
    let fields = Fields::parse(query.unwrap_or_default().as_bytes());
    let code = fields.get("code").and_then(|code| code.parse::<Secret>().ok());
    let code = code.map(|code| code.reveal());
    page(&LogIn::of(&site, code, None))
}

/// `POST /login/password`
///
/// A try is counted before the password is checked, and what is said of an unknown name is what is said
/// of a wrong password, as late.
pub(crate) async fn with_password(
    State(site): State<Site>,
    Extension(Peer(peer)): Extension<Peer>,
    Extension(act): Extension<Act>,
) -> Response {
    let name = act.form().get("name").unwrap_or_default().to_owned();
    let password = act.form().get("password").unwrap_or_default().to_owned();
    if !site.has_passwords() {
        let frame = Frame::for_nobody(&site, "Nobody can log in by password");
        return refusal(frame, StatusCode::FORBIDDEN, "Run `sts-relay ui` for a link.");
    }
    let counted = site.failed().count(peer.ip(), &name, Instant::now());
    if let Err(wait) = counted {
        warn!(client = %peer.ip(), "operator login refused");
        let text = "There were too many wrong passwords. Wait a quarter of an hour.";
        let mut response =
            with_status(StatusCode::TOO_MANY_REQUESTS, &LogIn::of(&site, None, Some(text)));
        response
            .headers_mut()
            .insert(RETRY_AFTER, HeaderValue::from(wait.as_secs().saturating_add(1)));
        return response;
    }
    let Some(role) = site.prove(name.clone(), password).await else {
        warn!(client = %peer.ip(), "operator login refused");
        let text = "There is no such operator, or the password is another one.";
        return with_status(StatusCode::FORBIDDEN, &LogIn::of(&site, None, Some(text)));
    };
    site.failed().forget(peer.ip(), &name);
    let visitor = Visitor { by: Operator::account(&name), role };
    let id = site.logins().open(visitor, Instant::now());
    entered(&site, &id)
}

/// `POST /login/code`: the code is worth nothing afterwards.
pub(crate) async fn with_code(
    State(site): State<Site>,
    Extension(Peer(peer)): Extension<Peer>,
    Extension(act): Extension<Act>,
) -> Response {
    let code = act.form().get("code").and_then(|code| code.parse::<Secret>().ok());
    let id = code.and_then(|code| site.logins().redeem(&code, Instant::now()));
    let Some(id) = id else {
        warn!(client = %peer.ip(), "operator login refused");
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
