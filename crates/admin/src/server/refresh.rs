//! A policy fetched anew because an operator asks for it.

use mta_sts::{NextHop, PolicyDomain, Purpose, Undecided};

/// Fetches the policy of `domain` anew; where none is kept, as mail for it would. Why it could not
/// be fetched is the answer, if that is so.
pub(crate) async fn look_anew(
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
