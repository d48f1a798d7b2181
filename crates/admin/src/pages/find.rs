//! Where one gets by a word: a queue id, a domain or an address.

use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use queue::QueueId;

use crate::pages::answer::see_other;
use crate::pages::form::Fields;
use crate::pages::frame::unclear;
use crate::pages::logins::Visit;
use crate::pages::site::Site;

/// `GET /find`
pub(crate) async fn find(
    State(site): State<Site>,
    Extension(visit): Extension<Visit>,
    RawQuery(query): RawQuery,
) -> Response {
    let fields = match Fields::asked(query, &["q"]) {
        Ok(fields) => fields,
        Err(problem) => return unclear(&site, &visit, &problem),
    };
    let word = fields.get("q").unwrap_or_default().trim();
    let target = |name| Fields::default().query_with(&[(name, word)]);
    if word.is_empty() {
        return see_other("/queue");
    }
    if let Ok(id) = word.parse::<QueueId>() {
        let waits = matches!(site.actions().reads.message(id).await, Ok(Some(_)));
        return see_other(&format!("/{}/{id}", if waits { "queue" } else { "records" }));
    }
    if word.contains('@') {
        return see_other(&format!("/records{}", target("recipient")));
    }
    see_other(&format!("/domains{}", target("name")))
}
