//! Who is let in to which page: the one place where it is decided.
//!
//! A request passes when, in this order, its `Host` is one of ours (else 421), it changes nothing or
//! comes from a page of ours (403), it has a login (303 to where one logs in), whose role suffices
//! (403) and that is not used too often (429), and, where it changes something, it is a form of at most
//! 64 KiB (413, 415) that holds the token of its login (403).

use std::time::Duration;

use access::Role;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_TYPE, COOKIE, HOST, HeaderValue, ORIGIN, RETRY_AFTER};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use tokio::time::{Instant, timeout};

use crate::pages::answer::see_other;
use crate::pages::form::Fields;
use crate::pages::frame::{Frame, Section, refusal};
use crate::pages::logins::{NoVisit, Purpose, Visit};
use crate::pages::secret::Secret;
use crate::pages::site::{Site, Transport};

/// The longest form, in octets.
const FORM_MOST: usize = 64 << 10;

/// How long a form may take to arrive.
const FORM_PATIENCE: Duration = Duration::from_secs(10);

/// Who may ask for something.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Need {
    /// Anybody who reaches the address.
    Anybody,
    /// Who is logged in with this role, or with more.
    Role(Role),
}

/// A form that changes something, of somebody who may: only the gate makes one.
#[derive(Clone, Debug)]
pub(crate) struct Act {
    form: Fields,
}

impl Act {
    /// What it says.
    pub(crate) const fn form(&self) -> &Fields {
        &self.form
    }
}

/// What a gate needs to know.
#[derive(Clone, Debug)]
pub(crate) struct Gate {
    pub(crate) site: Site,
    pub(crate) need: Need,
}

/// Why a request does not pass.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stop {
    /// Its `Host` is not ours.
    Misdirected,
    /// It does not come from a page of ours.
    Elsewhere,
    /// Nobody is logged in.
    LogIn,
    /// The role does not suffice.
    Role,
    /// The login is used too often.
    TooFast,
    /// It is no form.
    NotAForm,
    /// It is too long.
    TooLong,
    /// It did not arrive in time, or broke off.
    TooSlow,
    /// It is a form of another login.
    Stale,
}

/// Lets a request through, or says why not.
pub(crate) async fn pass(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    match gate.admit(request).await {
        Ok(request) => next.run(request).await,
        Err((stop, visit)) => gate.refuse(stop, visit.as_ref()),
    }
}

impl Gate {
    /// The request with who asks and what they ask for.
    async fn admit(&self, request: Request) -> Result<Request, (Stop, Option<Visit>)> {
        let purpose = match *request.method() {
            Method::GET | Method::HEAD => Purpose::Read,
            _ => Purpose::Act,
        };
        self.origin(request.headers(), purpose).map_err(|stop| (stop, None))?;
        let visit = match self.need {
            Need::Anybody => None,
            Need::Role(role) => Some(self.visit(request.headers(), purpose, role)?),
        };
        let admitted = match purpose {
            Purpose::Read => Ok(request),
            Purpose::Act => with_form(request, visit.as_ref()).await,
        };
        let mut request = admitted.map_err(|stop| (stop, visit.clone()))?;
        if let Some(visit) = visit {
            request.extensions_mut().insert(visit);
        }
        Ok(request)
    }

    /// Whether it was meant for us, and, where it changes something, whether a page of ours sent it.
    fn origin(&self, headers: &HeaderMap, purpose: Purpose) -> Result<(), Stop> {
        let host = text(headers, HOST.as_str()).ok_or(Stop::Misdirected)?;
        if !self.site.answers_to(host) {
            return Err(Stop::Misdirected);
        }
        let is_ours = match (purpose, text(headers, "sec-fetch-site")) {
            (Purpose::Read, _) => true,
            (Purpose::Act, Some(from)) => from == "same-origin",
            (Purpose::Act, None) => {
                let own = format!("{}://{host}", self.site.transport().scheme());
                text(headers, ORIGIN.as_str())
                    .is_some_and(|origin| origin.eq_ignore_ascii_case(&own))
            }
        };
        is_ours.then_some(()).ok_or(Stop::Elsewhere)
    }

    /// Who asks, if they may.
    fn visit(
        &self,
        headers: &HeaderMap,
        purpose: Purpose,
        role: Role,
    ) -> Result<Visit, (Stop, Option<Visit>)> {
        let id = cookie(headers, self.site.cookie()).ok_or((Stop::LogIn, None))?;
        let visit = self.site.logins().visit(&id, purpose, Instant::now());
        let visit = visit.map_err(|why| match why {
            NoVisit::Nobody => (Stop::LogIn, None),
            NoVisit::TooFast => (Stop::TooFast, None),
        })?;
        if visit.visitor.role.may(role) { Ok(visit) } else { Err((Stop::Role, Some(visit))) }
    }

    /// The page that says why.
    fn refuse(&self, stop: Stop, visit: Option<&Visit>) -> Response {
        let (status, title, text) = stop.words();
        if stop == Stop::LogIn {
            return see_other("/login");
        }
        let frame = match visit {
            Some(visit) => Frame::new(&self.site, visit, Section::Other, title),
            None => Frame::for_nobody(&self.site, title),
        };
        let mut response = refusal(frame, status, text);
        if stop == Stop::TooFast {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

/// The request with its form, read and found to be of this login.
async fn with_form(request: Request, visit: Option<&Visit>) -> Result<Request, Stop> {
    let (mut parts, body) = request.into_parts();
    let kind = text(&parts.headers, CONTENT_TYPE.as_str()).unwrap_or_default();
    if kind.split(';').next().map(str::trim) != Some("application/x-www-form-urlencoded") {
        return Err(Stop::NotAForm);
    }
    let body = timeout(FORM_PATIENCE, Limited::new(body, FORM_MOST).collect()).await;
    let body = body.map_err(|_elapsed| Stop::TooSlow)?.map_err(|error| {
        if error.is::<LengthLimitError>() { Stop::TooLong } else { Stop::TooSlow }
    })?;
    let form = Fields::parse(&body.to_bytes());
    if let Some(visit) = visit {
        let token = form.get("token").and_then(|token| token.parse::<Secret>().ok());
        if token != Some(visit.token) {
            return Err(Stop::Stale);
        }
    }
    parts.extensions.insert(Act { form });
    Ok(Request::from_parts(parts, Body::empty()))
}

/// The login that a request has a cookie of (RFC 6265 §5.4).
pub(crate) fn cookie(headers: &HeaderMap, name: &str) -> Option<Secret> {
    let fields = headers.get_all(COOKIE).into_iter().filter_map(|field| field.to_str().ok());
    let mut cookies = fields.flat_map(|field| field.split(';'));
    cookies.find_map(|one| {
        let (known, value) = one.trim().split_once('=')?;
        (known == name).then(|| value.parse().ok()).flatten()
    })
}

/// The field that sets the cookie of a login, or, without one, removes it.
pub(crate) fn set_cookie(site: &Site, id: Option<&Secret>) -> Option<HeaderValue> {
    let secure = match site.transport() {
        Transport::Clear => "",
        Transport::Tls => "; Secure",
    };
    let (value, age) = match id {
        Some(id) => (id.reveal(), ""),
        None => (String::new(), "; Max-Age=0"),
    };
    let name = site.cookie();
    let text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict{secure}{age}");
    HeaderValue::from_str(&text).ok()
}

/// A field of a request as text.
fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

impl Stop {
    /// Its status, and what the page says.
    const fn words(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::Misdirected => (
                StatusCode::MISDIRECTED_REQUEST,
                "This relay does not answer to that name",
                "Use its own name, or add the name to admin.hosts.",
            ),
            Self::Elsewhere => (
                StatusCode::FORBIDDEN,
                "That did not come from this page",
                "Nothing was changed. Another site may have tried to act in your name.",
            ),
            Self::LogIn => (StatusCode::UNAUTHORIZED, "Log in first", ""),
            Self::Role => (
                StatusCode::FORBIDDEN,
                "A viewer may not do that",
                "Nothing was changed. It takes the role operator.",
            ),
            Self::TooFast => (
                StatusCode::TOO_MANY_REQUESTS,
                "That was too fast",
                "A login may make 20 requests and 5 changes a second. Try again in a moment.",
            ),
            Self::NotAForm => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "That is no form",
                "Nothing was changed. A change is a form of this page.",
            ),
            Self::TooLong => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "That is too long",
                "Nothing was changed. A form has at most 64 KiB.",
            ),
            Self::TooSlow => {
                (StatusCode::REQUEST_TIMEOUT, "That did not arrive in time", "Nothing was changed.")
            }
            Self::Stale => (
                StatusCode::FORBIDDEN,
                "This form is from an earlier login",
                "Nothing was changed. Open the page again and repeat what you did.",
            ),
        }
    }
}
