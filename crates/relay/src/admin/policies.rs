//! What can be done with cached policies: have one fetched anew, or forgotten.

use axum::Router;
use axum::extract::{ConnectInfo, Path as Segment, State};
use axum::response::Response;
use axum::routing::{get, post};
use mta_sts::{NextHop, PolicyDomain, Purpose, Undecided};
use serde::{Deserialize, Serialize};

use super::answer::Policy;
use super::operator::Operator;
use super::view::View;
use super::{answer, listed_policies, policy, unclear};

/// A policy after it was looked up anew.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Refreshed {
    /// What is kept now.
    pub(crate) policy: Option<Policy>,
    /// Why it could not be fetched, now or in the last five minutes.
    pub(crate) error: Option<String>,
}

/// A policy that was forgotten.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Purged {
    /// The policy domain.
    pub(crate) domain: String,
}

/// Who answers what.
pub(super) fn routes() -> Router<View> {
    Router::new()
        .route("/policies", get(listed_policies))
        .route("/policies/{domain}", get(policy))
        .route("/policies/{domain}/refresh", post(refresh))
        .route("/policies/{domain}/purge", post(purge))
}

/// `POST /policies/DOMAIN/refresh`
async fn refresh(
    State(view): State<View>,
    ConnectInfo(by): ConnectInfo<Operator>,
    Segment(domain): Segment<String>,
) -> Response {
    match PolicyDomain::parse(&domain) {
        Ok(domain) => answer(view.refresh(domain, &by).await.map(Some)),
        Err(error) => unclear(&error),
    }
}

/// `POST /policies/DOMAIN/purge`
async fn purge(
    State(view): State<View>,
    ConnectInfo(by): ConnectInfo<Operator>,
    Segment(domain): Segment<String>,
) -> Response {
    match PolicyDomain::parse(&domain) {
        Ok(domain) => answer(view.purge(domain, &by).await),
        Err(error) => unclear(&error),
    }
}

/// Fetches the policy of `domain` anew; where none is kept, as mail for it would. Why it could not
/// be fetched is the answer, if that is so.
pub(super) async fn look_anew(
    in_use: &mta_sts::Policies,
    domain: &PolicyDomain,
    now: mta_sts::Now,
) -> Result<Option<String>, Undecided> {
    match Box::pin(in_use.refresh(domain, now)).await? {
        mta_sts::Refreshed::Failed { error, .. } => Ok(Some(error.in_full())),
        mta_sts::Refreshed::Renewed(_) => Ok(None),
        mta_sts::Refreshed::Forgotten | mta_sts::Refreshed::NotCached => {
            let next_hop = NextHop::Domain(domain.clone());
            let purpose = Purpose::Delivery { queued_for: std::time::Duration::ZERO };
            let decision = Box::pin(in_use.decide(&next_hop, purpose, now)).await?;
            Ok(decision.evidence().fetch_error().map(|error| error.in_full()))
        }
    }
}
