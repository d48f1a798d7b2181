//! What is found, refused or failed, as a response.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use mail::in_full;
use serde::Serialize;

use crate::api::refusal::{Refusal, refusal};
use crate::server::error::AdminError;

/// What was found, as JSON.
pub(crate) fn answer<T: Serialize>(found: Result<Option<T>, AdminError>) -> Response {
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
pub(crate) fn unclear<E: std::error::Error>(error: &E) -> Response {
    refuse(refusal(error))
}

/// The request cannot be understood, for a reason that is in words already.
pub(crate) fn refuse(refusal: Refusal) -> Response {
    (StatusCode::BAD_REQUEST, Json(refusal)).into_response()
}
