//! Handing reports to their destinations: some hosts at a time, one report at a time to a host.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::try_join;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tls_rpt::{Destination, HttpsUri, MailAddress};
use tokio::time::Instant;

use crate::error::ReportError;
use crate::hand_over::{HandOver, HandOverState, ReportResult};
use crate::https::PostRules;
use crate::kept::{KeptReport, ReportKey};
use crate::mail::{draft, signed};
use crate::schedule::{RETRY_AFTER_MAX, millis_of, retry_after};
use crate::sending::context::Context;
use crate::sending::outcomes::{Met, Tried};

/// How many HTTPS servers are served at a time.
const SERVERS_AT_ONCE: usize = 4;

/// How many messages are put into the queue at a time.
const MESSAGES_AT_ONCE: usize = 32;

/// The longest that one host is served in a round: others wait meanwhile.
const HOST_MAX: Duration = Duration::from_secs(10 * 60);

/// A report that is due at a destination.
type DueAt = (ReportKey, Destination);

impl Context {
    /// Hands these reports to those of their destinations that are due.
    pub(super) async fn hand_over_all(&self, reports: Vec<ReportKey>) -> Result<(), ReportError> {
        let (mut posts, mut messages) = (BTreeMap::<_, Vec<DueAt>>::new(), Vec::new());
        let now = self.now();
        for key in reports {
            let Some(report) = self.kept.find(&key).await? else {
                self.agenda().on_its_way(key, None);
                continue;
            };
            let is_due = |one: &&HandOver| one.due_at().is_some_and(|at| at <= now);
            for hand_over in report.hand_overs.iter().filter(is_due) {
                let due = (key.clone(), hand_over.destination.clone());
                match &hand_over.destination {
                    Destination::Https(uri) => {
                        posts.entry((uri.host().clone(), uri.port())).or_default().push(due);
                    }
                    Destination::Mailto(_) => messages.push(vec![due]),
                }
            }
        }
        let posts = posts.into_values().collect();
        let posted = self.serve_all(posts, SERVERS_AT_ONCE);
        let queued = self.serve_all(messages, MESSAGES_AT_ONCE);
        try_join(posted, queued).await.map(drop)
    }

    /// Serves these hosts, so many at a time.
    async fn serve_all(&self, hosts: Vec<Vec<DueAt>>, at_once: usize) -> Result<(), ReportError> {
        let serve = |due: Vec<DueAt>| async move { Box::pin(self.serve(due)).await };
        let served = stream::iter(hosts.into_iter().map(serve)).buffer_unordered(at_once);
        served.try_collect::<()>().await
    }

    /// Hands reports to one host, one after the other.
    async fn serve(&self, due: Vec<DueAt>) -> Result<(), ReportError> {
        let began = Instant::now();
        let mut out_of_reach = false;
        for (key, destination) in due {
            if out_of_reach || began.elapsed() > HOST_MAX {
                let later = self.now().saturating_add(millis_of(retry_after(1)));
                self.agenda().on_its_way(key, Some(later));
                continue;
            }
            out_of_reach = self.hand_over(&key, destination).await? == Met::Silence;
        }
        Ok(())
    }

    /// Hands a report to one of its destinations.
    async fn hand_over(
        &self,
        key: &ReportKey,
        destination: Destination,
    ) -> Result<Met, ReportError> {
        let Some(kept) = self.kept.find(key).await? else { return Ok(Met::Answer) };
        let Some(hand_over) =
            kept.hand_overs.iter().find(|one| one.destination == destination).cloned()
        else {
            return Ok(Met::Answer);
        };
        if let Some(until) = self.refusals.until(&destination, self.today()).await? {
            let why = format!("refused reports on 3 days, left alone until {until}");
            let tried = Tried::Over(ReportResult::Suppressed, why);
            return self.tried(&kept, hand_over, tried).await;
        }
        match destination {
            Destination::Https(uri) => {
                let tried = self.post(&kept, &uri).await;
                self.tried(&kept, hand_over, tried).await
            }
            Destination::Mailto(to) => match self.mail(&kept, &hand_over, &to).await? {
                Some(tried) => self.tried(&kept, hand_over, tried).await,
                None => Ok(Met::Answer),
            },
        }
    }

    /// Posts a report (RFC 8460 §5.4).
    async fn post(&self, kept: &KeptReport, uri: &HttpsUri) -> Tried {
        let Some(report) = kept.report() else { return Tried::nothing() };
        let tuned = self.tuned();
        let rules = PostRules {
            verify: tuned.settings.verify_https,
            private: tuned.settings.private_destinations,
        };
        let dns = self.parts.dns.as_ref();
        let posted = Box::pin(tuned.poster.post(dns, uri, report.to_gzip(), rules)).await;
        let posted = match posted {
            Ok(posted) => posted,
            Err(error) => return Tried::Failed(error.to_string()),
        };
        if let Some(unproved) = posted.unproved {
            let (domain, day, id) = (report.domain(), report.day(), report.id());
            tracing::warn!(
                %domain, %day, report_id = %id, destination = %uri, error = %unproved,
                "report sent to an unverified server"
            );
        }
        let reply = format!("HTTP {}", posted.answer.status);
        match posted.answer.status {
            200..300 => Tried::Over(ReportResult::Accepted, reply),
            // What the server may say otherwise later; a redirect is not followed.
            408 | 429 | 500.. => {
                let asked = posted.answer.retry_after;
                Tried::PutOff(reply, asked.map(|asked| asked.from(self.parts.clock.wall())))
            }
            _ => Tried::Over(ReportResult::Refused, reply),
        }
    }

    /// Puts a report into the queue (RFC 8460 §5.3); what came of it where that was not possible.
    async fn mail(
        &self,
        kept: &KeptReport,
        hand_over: &HandOver,
        to: &MailAddress,
    ) -> Result<Option<Tried>, ReportError> {
        let Some(report) = kept.report() else { return Ok(Some(Tried::nothing())) };
        let Some(message) = signed(self.parts.signatures.as_ref(), kept, &report, to) else {
            let why = "no DKIM key of the submitter is fit for reports".to_owned();
            return Ok(Some(Tried::Over(ReportResult::Unsigned, why)));
        };
        let from = report.submitter().contact();
        let Some(draft) = draft(&self.parts.queue, from, to, &message).await? else {
            let why = "the address cannot be written to".to_owned();
            return Ok(Some(Tried::Over(ReportResult::Refused, why)));
        };
        let (id, key) = (draft.id(), kept.key());
        let number = id.number();
        let noted = |state| HandOver { state, ..hand_over.clone() };
        // Noted before it is there: a relay that is killed in between looks for it.
        self.kept.note(&key, noted(HandOverState::Queueing { id: number })).await?;
        self.mail.watch(id, key.clone(), hand_over.destination.clone());
        if let Err(error) = draft.commit().await {
            self.mail.forget(id);
            self.kept.note(&key, hand_over.clone()).await?;
            return Err(error.into());
        }
        let left = self.kept.note(&key, noted(HandOverState::Queued { id: number })).await?;
        self.agenda().on_its_way(key, left.and_then(|left| left.next_due()));
        tracing::debug!(report_id = %report.id(), queue_id = %id, "report queued");
        Ok(None)
    }

    /// When a report that is due now is tried again; none where its time is over.
    pub(super) fn next_try(
        &self,
        kept: &KeptReport,
        attempts: u32,
        asked: Option<Duration>,
    ) -> Option<u64> {
        let (now, give_up_after) = (self.now(), self.tuned().settings.give_up_after);
        let last = kept.begun_at.saturating_add(millis_of(give_up_after));
        let wait = retry_after(attempts).max(asked.unwrap_or_default().min(RETRY_AFTER_MAX));
        (now < last).then(|| now.saturating_add(millis_of(wait)).min(last))
    }
}
