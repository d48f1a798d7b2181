//! Keeps cached policies fresh (RFC 8461 §3.3 and §10.2), so that a policy that changed or would
//! expire is renewed before mail needs it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use clock::Clock;
use delivery::now_of;
use mail::in_full;
use mta_sts::{Policies, PolicyDomain, Undecided};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error};

/// How often the policies that are due are looked for; which are is spread by their own jitter.
const ROUND: Duration = Duration::from_secs(60);

/// How many domains are looked at in one go.
const PAGE: usize = 1000;

/// How many policies are fetched at a time: refreshing is never urgent.
pub(crate) const AT_ONCE: usize = 8;

/// Refreshes what is due until `stop`, and counts the rounds; a fetch under way is given up then.
pub(crate) async fn keep_fresh(
    policies: Arc<Policies>,
    clock: Arc<dyn Clock>,
    rounds_made: watch::Sender<u64>,
    stop: CancellationToken,
) {
    let rounds = async {
        loop {
            round(&policies, &clock).await;
            rounds_made.send_modify(|rounds| *rounds = rounds.saturating_add(1));
            sleep(ROUND).await;
        }
    };
    // Nothing is lost where a refresh is dropped: the policy is due again at the next start.
    tokio::select! {
        () = stop.cancelled() => {}
        () = rounds => {}
    }
}

/// Refreshes every policy that is due.
async fn round(policies: &Arc<Policies>, clock: &Arc<dyn Clock>) {
    loop {
        match policies.refresh_due(PAGE, now_of(&**clock)).await {
            Ok(page) => {
                page.unreadable.iter().for_each(log_unreadable);
                refresh(policies, clock, page.due.into()).await;
                if !page.more {
                    return;
                }
            }
            Err(error) => return error!(error = in_full(&error), "policy cache read failed"),
        }
    }
}

/// Refreshes these policies, some at a time.
async fn refresh(
    policies: &Arc<Policies>,
    clock: &Arc<dyn Clock>,
    mut due: VecDeque<PolicyDomain>,
) {
    let mut running = JoinSet::new();
    loop {
        while running.len() < AT_ONCE
            && let Some(domain) = due.pop_front()
        {
            let (policies, now) = (Arc::clone(policies), now_of(&**clock));
            let one = async move { policies.refresh(&domain, now).await.map(|_seen| domain) };
            let _handle = running.spawn(Box::pin(one));
        }
        match running.join_next().await {
            // What came of a fetch is logged where it is made.
            Some(Ok(Ok(domain))) => debug!(%domain, "policy refreshed"),
            Some(Ok(Err(undecided))) => log_unreadable(&undecided),
            Some(Err(error)) => error!(%error, "policy refresh task panicked"),
            None => return,
        }
    }
}

/// A policy that cannot be read holds up mail until someone acts.
fn log_unreadable(undecided: &Undecided) {
    error!(error = in_full(undecided), "cached policy unreadable");
}
