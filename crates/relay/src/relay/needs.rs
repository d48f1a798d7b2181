//! What the ledger says that somebody should look at, as conditions for notices.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use clock::{millis, time};
use history::{Ledger, Need, NeedKind};
use mta_sts::{PolicyDomain, PolicyStore};
use notify::{Condition, Event, TimeLeft};
use queue::Queue;
use settings::Settings;
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use crate::policy_store::StoredPolicies;

/// How often the ledger is read, at most: it may have ten thousand domains.
const ROUND: Duration = Duration::from_secs(60);

/// For how long mail must be held before that is told.
const HELD_FOR: Duration = Duration::from_secs(15 * 60);

/// How long before their ends certificates of others are told of.
const CERTIFICATE_ENDING: Duration = Duration::from_secs(5 * 86_400);

/// What is told of by the ledger.
const EVENTS: [Event; 4] =
    [Event::CertificateEnding, Event::Held, Event::PolicyEnding, Event::Weakened];

/// Reads the ledger again and again.
#[derive(Debug)]
pub(super) struct Needs {
    dir: PathBuf,
    queue: Queue,
    policies: Arc<dyn PolicyStore>,
    /// How long mail is tried.
    lifetime: Duration,
    last: Option<Instant>,
}

impl Needs {
    /// Those of the history of these settings, where one is kept.
    pub(super) fn of(settings: &Settings, queue: &Queue) -> Option<Self> {
        let policies: Arc<dyn PolicyStore> = Arc::new(StoredPolicies::of(queue));
        let (dir, lifetime) = (settings.history.dir.clone(), settings.queue.lifetime);
        let needs = Self { dir, queue: queue.clone(), policies, lifetime, last: None };
        settings.history.enabled.then_some(needs)
    }

    /// What there is to tell, and of which events all of it; nothing where it was looked at a moment ago or
    /// cannot be told.
    pub(super) async fn look(&mut self, now: SystemTime) -> (Vec<Event>, Vec<Condition>) {
        if self.last.is_some_and(|last| last.elapsed() < ROUND) {
            return (Vec::new(), Vec::new());
        }
        let ledger = Ledger::in_dir(self.dir.clone());
        let read = spawn_blocking(move || ledger.needs(millis(now))).await;
        self.last = Some(Instant::now());
        let Ok(Ok(needs)) = read else { return (Vec::new(), Vec::new()) };
        let is_held = needs.iter().any(|need| matches!(need.why, NeedKind::Held { .. }));
        let waiting = if is_held { self.waiting().await } else { Some(BTreeMap::new()) };
        let Some(waiting) = waiting else { return (Vec::new(), Vec::new()) };
        let mut found = Vec::new();
        for need in needs {
            let ends = match need.why {
                NeedKind::PolicyEnding => self.policy_ending(&need.domain, now).await,
                NeedKind::CertificateEnding { .. }
                | NeedKind::Held { .. }
                | NeedKind::ProtectionFell { .. }
                | NeedKind::TlsaGone
                | NeedKind::Weakened { .. } => None,
            };
            let messages = waiting.get(&need.domain).copied().unwrap_or(0);
            found.extend(condition(need, Seen { now, lifetime: self.lifetime, messages, ends }));
        }
        (EVENTS.to_vec(), found)
    }

    /// How many messages wait for each domain; none where the queue cannot tell.
    async fn waiting(&self) -> Option<BTreeMap<String, u64>> {
        let stats = self.queue.store().stats().await.ok()?;
        let of = |depth: &queue::Depth| {
            (depth.destination.clone(), depth.entries.saturating_add(depth.on_hold))
        };
        Some(stats.destinations.iter().map(of).collect())
    }

    /// When a policy ends of whose time a fifth or less is left.
    async fn policy_ending(&self, domain: &str, now: SystemTime) -> Option<SystemTime> {
        let policy = self.policies.find(&PolicyDomain::parse(domain).ok()?).await.ok()??;
        let (ends, fifth) = (policy.valid_until(), policy.policy().max_age() / 5);
        (now + fifth >= ends).then_some(ends)
    }
}

/// What is known besides what the ledger says.
#[derive(Clone, Copy, Debug)]
struct Seen {
    now: SystemTime,
    /// How long mail is tried.
    lifetime: Duration,
    /// How many messages wait for the domain.
    messages: u64,
    /// When its policy ends, where that is soon.
    ends: Option<SystemTime>,
}

/// What is to be told of a need; none where it is not time yet.
fn condition(need: Need, seen: Seen) -> Option<Condition> {
    let Need { domain, since, why } = need;
    let (since, Seen { now, lifetime, messages, ends }) = (time(since), seen);
    let lasted = now.duration_since(since).unwrap_or_default();
    match why {
        NeedKind::CertificateEnding { host, not_after } => {
            let ends = time(not_after);
            let is_soon = ends <= now + CERTIFICATE_ENDING;
            is_soon.then_some(Condition::CertificateEnding { domain, host, ends })
        }
        NeedKind::Held { cause, error } => {
            let cause = cause.word().to_owned();
            let why = error.unwrap_or_else(|| cause.clone());
            let is_late = lasted.saturating_mul(2) >= lifetime;
            let left = if is_late { TimeLeft::LessThanHalf } else { TimeLeft::More };
            (messages > 0 && lasted >= HELD_FOR).then_some(Condition::Held {
                domain,
                cause,
                why,
                messages,
                since,
                left,
            })
        }
        NeedKind::PolicyEnding => ends.map(|ends| Condition::PolicyEnding { domain, ends }),
        NeedKind::ProtectionFell { from, to } => {
            let how = format!("protection fell from {} to {}", from.label(), to.label());
            Some(Condition::Weakened { domain, how, at: since })
        }
        NeedKind::TlsaGone => {
            let how = "its TLSA records are gone".to_owned();
            Some(Condition::Weakened { domain, how, at: since })
        }
        NeedKind::Weakened { from, to } => {
            let to = to.map_or("no policy", |to| to.word());
            let how = format!("its policy went from {} to {to}", from.word());
            Some(Condition::Weakened { domain, how, at: since })
        }
    }
}

#[cfg(test)]
mod tests {
    use mail::FailureCause;

    use super::*;

    const DAY: u64 = 86_400;

    fn seen(messages: u64, after: u64) -> Seen {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000 + after);
        Seen { now, lifetime: Duration::from_secs(5 * DAY), messages, ends: None }
    }

    fn need(why: NeedKind) -> Need {
        Need { domain: "a.example".to_owned(), since: 1_800_000_000_000, why }
    }

    #[test]
    fn held_mail_is_told_after_a_quarter_of_an_hour_while_any_waits_and_is_urgent_at_half_time() {
        let told = |seen| {
            let why =
                NeedKind::Held { cause: FailureCause::Tls, error: Some("expired".to_owned()) };
            let Condition::Held { left, .. } = condition(need(why), seen)? else { panic!() };
            Some(left)
        };
        assert_eq!(told(seen(1, 899)), None);
        assert_eq!(told(seen(1, 900)), Some(TimeLeft::More));
        assert_eq!(told(seen(0, 900)), None, "nothing waits");
        assert_eq!(told(seen(1, 5 * DAY / 2)), Some(TimeLeft::LessThanHalf));
    }

    #[test]
    fn certificates_are_told_of_five_days_before_their_ends_and_policies_where_they_end() {
        let not_after = (1_800_000_000 + 6 * DAY) * 1_000;
        let ending = || need(NeedKind::CertificateEnding { host: "mx".to_owned(), not_after });
        assert_eq!(condition(ending(), seen(0, DAY - 1)), None);
        assert!(condition(ending(), seen(0, DAY)).is_some());
        let policy = |ends| condition(need(NeedKind::PolicyEnding), Seen { ends, ..seen(0, 0) });
        assert_eq!(policy(None), None);
        assert!(policy(Some(SystemTime::UNIX_EPOCH)).is_some());
    }

    #[test]
    fn what_became_less_is_told_in_words() {
        let how = |why| {
            let told = condition(need(why), seen(0, 0)).unwrap();
            let Condition::Weakened { how, .. } = told else { panic!("{told:?}") };
            how
        };
        let gone = NeedKind::Weakened { from: mail::PolicyMode::Enforce, to: None };
        assert_eq!(how(gone), "its policy went from enforce to no policy");
        assert_eq!(how(NeedKind::TlsaGone), "its TLSA records are gone");
    }
}
