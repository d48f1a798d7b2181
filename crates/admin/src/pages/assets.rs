//! The two files that pages need.

use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};

/// `GET /style.css`
pub(crate) async fn style() -> Response {
    ([(CONTENT_TYPE, "text/css; charset=utf-8")], include_str!("../../assets/style.css"))
        .into_response()
}

/// `GET /page.js`
pub(crate) async fn script() -> Response {
    let kind = [(CONTENT_TYPE, "text/javascript; charset=utf-8")];
    (kind, include_str!("../../assets/page.js")).into_response()
}

/// `GET /favicon.ico`: there is none, which is no failure.
pub(crate) async fn no_icon() -> StatusCode {
    StatusCode::NO_CONTENT
}
