//! What the admin interface says: the JSON of `--json`, whose keys are a contract.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clock::{Clock, Timestamp};
use mta_sts::{CachedPolicy, PolicyDomain, RefreshTrouble};
use queue::{
    Depth, Details, EntryDetails, Findings, Problem, QueueId, Reason, State, StateKind, Stats,
    Summary,
};
use serde::{Deserialize, Serialize};
use smtp::ReversePath;

use crate::api::limit_stats::LimitStats;
use crate::api::state_word::state_word;

/// How the relay is, for `healthy`.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Health {
    /// Whether it takes mail in.
    pub healthy: bool,
    /// What the queue does, in words.
    pub queue: String,
    /// Whether mail leaves, in words.
    pub delivery: String,
}

/// What is said of a message wherever one is shown.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Headline {
    /// The queue id.
    pub id: String,
    /// The reverse-path; null for the null one.
    pub sender: Option<String>,
    /// `queued`, `on hold` or `quarantined`.
    pub state: String,
    /// What is wrong with the copy in the spool of one that is quarantined.
    pub damage: Option<String>,
    /// When it was accepted.
    pub received_at: Timestamp,
    /// Bytes of header and body.
    pub size: u64,
}

/// A message in `queue list`.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Message {
    /// What is said of every message.
    #[serde(flatten)]
    pub headline: Headline,
    /// How many recipients are left.
    pub recipients: u32,
    /// The first of them.
    pub first_recipient: Option<String>,
    /// How many attempts have failed.
    pub attempts: u32,
    /// When the next one is due.
    pub next_attempt: Option<Timestamp>,
    /// Why a recipient was deferred last: the first who waits for what was asked for.
    pub reason: Option<Why>,
}

/// A message in `queue show`.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct FullMessage {
    /// What is said of every message.
    #[serde(flatten)]
    pub headline: Headline,
    /// The file that holds it, within the queue's directory.
    pub file: String,
    /// The recipients that are left, by the domain they are at.
    pub destinations: Vec<Destination>,
}

/// Recipients that are tried together.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Destination {
    /// Their domain.
    pub destination: String,
    /// How many attempts have failed.
    pub attempts: u32,
    /// When the next one is due.
    pub next_attempt: Option<Timestamp>,
    /// The recipients.
    pub recipients: Vec<Addressee>,
}

/// A recipient that is left.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Addressee {
    /// The address.
    pub address: String,
    /// Why it was deferred last.
    pub reason: Option<Why>,
}

/// Why mail waits.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Why {
    /// RFC 3463's status.
    pub status: String,
    /// What the mail waits for: `connect`, `dns`, `other`, `policy`, `reply`, `tls` or `unknown`.
    pub class: String,
    /// The same in words.
    pub text: String,
    /// What failed at the host, in the fewest words.
    pub cause: Option<String>,
    /// The host that was tried.
    pub mx: Option<String>,
    /// At which address, with its port.
    pub addr: Option<String>,
    /// What it replied.
    pub reply: Option<String>,
    /// The policy that stood in the way.
    pub policy: Option<String>,
}

/// The answer to `queue stats`.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct QueueStats {
    /// What staging does, where it is on: mail does not reach those it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub staging: Option<String>,
    /// Messages.
    pub messages: u64,
    /// Recipients that are left.
    pub recipients: u64,
    /// Bytes.
    pub bytes: u64,
    /// By destination, the one with most first.
    pub destinations: Vec<DestinationStats>,
    /// The limits, and the destinations under none whose rate hosts have halved.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<LimitStats>,
    /// Files with bytes of the spool that should have been messages and are not.
    pub quarantine: Vec<QuarantinedBytes>,
}

/// Bytes of the spool that should have been messages and are not.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct QuarantinedBytes {
    /// The file they were copied to.
    pub file: String,
    /// How many they are.
    pub size: u64,
}

/// The answer to `queue hold` and `queue release`.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Changed {
    /// The queue id.
    pub id: String,
    /// The state it is in now.
    pub state: String,
    /// Whether that is another one than before.
    pub changed: bool,
}

/// The answer to `queue delete`.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Removed {
    /// The queue id.
    pub id: String,
    /// The queue id of the bounce, if one was sent.
    pub bounce: Option<String>,
}

/// The answer to `queue verify`.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Verified {
    /// How many messages the index has.
    pub messages: u64,
    /// How many whole records the spool has, of messages in the queue and of others.
    pub records: u64,
    /// What is wrong.
    pub problems: Vec<WhatIsWrong>,
}

/// Something that is wrong with the queue.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct WhatIsWrong {
    /// `damage`, `index`, `record` or `unknown`.
    pub kind: String,
    /// The queue id, where it is a message's.
    pub id: Option<String>,
    /// In words.
    pub text: String,
}

/// What waits for one destination.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct DestinationStats {
    /// The domain.
    pub destination: String,
    /// How many messages have recipients there.
    pub messages: u64,
    /// How many of them are due.
    pub due: u64,
    /// How many more are held or quarantined.
    #[serde(default)]
    pub on_hold: u64,
    /// How long the oldest has waited.
    pub oldest_seconds: u64,
    /// For how many of them somebody waits because of a reason of each class.
    #[serde(default)]
    pub waiting: BTreeMap<String, u64>,
    /// A reason of the class that most wait for.
    #[serde(default)]
    pub reason: Option<Why>,
}

/// The answer to `queue retry`.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Retried {
    /// How many attempts will be made now, one for each message and destination.
    pub retried: u64,
    /// The state of the message, where one was named: on hold none is tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
}

/// How many messages meet a filter.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Matched {
    /// How many they are.
    pub messages: u64,
    /// The last of them.
    pub last: Option<String>,
}

/// What a change did to one part of the messages that meet a filter.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct PartChanged {
    /// How many messages met it.
    pub matched: u64,
    /// How many of them were changed; of attempts, how many will be made now.
    pub changed: u64,
    /// The last message of this part, if others may follow.
    pub after: Option<String>,
}

/// The answer to a change of many messages.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub struct ManyChanged {
    /// How many messages met the filter.
    pub matched: u64,
    /// How many of them were changed.
    pub changed: u64,
}

/// A cached policy.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Policy {
    /// The policy domain.
    pub domain: String,
    /// The id under which it was published.
    pub id: String,
    /// `enforce`, `testing` or `none`.
    pub mode: String,
    /// Seconds.
    pub max_age: u64,
    /// The patterns of its hosts.
    pub mx: Vec<String>,
    /// When it was fetched.
    pub fetched_at: Timestamp,
    /// Until when it applies.
    pub valid_until: Timestamp,
    /// When mail made use of it last, to the day.
    pub used_at: Timestamp,
    /// Whether it applies now.
    pub applies: bool,
    /// Why it could not be refreshed.
    pub trouble: Option<Trouble>,
}

/// A refresh that fails.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Trouble {
    /// When it failed first.
    pub since: Timestamp,
    /// When it failed last.
    pub last: Timestamp,
    /// How often in a row.
    pub failures: u32,
    /// What went wrong the last time.
    pub error: String,
}

/// An entry of `policy list`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(untagged)]
pub enum ListedPolicy {
    /// A policy.
    Cached(Policy),
    /// One that cannot be read; mail to its domain waits.
    Unreadable {
        /// The policy domain.
        domain: String,
        /// What is wrong.
        error: String,
    },
}

impl ListedPolicy {
    /// The policy domain.
    pub fn domain(&self) -> &str {
        match self {
            Self::Cached(policy) => &policy.domain,
            Self::Unreadable { domain, .. } => domain,
        }
    }
}

impl Headline {
    /// What is said of message `id`.
    fn of(id: QueueId, message: &queue::Message, state: State) -> Self {
        Self {
            id: id.to_string(),
            sender: sender(&message.reverse_path),
            state: state_word(StateKind::from(&state)).to_owned(),
            damage: damage(state),
            received_at: Timestamp::of(message.received_at),
            size: message.size,
        }
    }
}

impl From<Summary> for Message {
    fn from(summary: Summary) -> Self {
        Self {
            headline: Headline::of(summary.id, &summary.message, summary.state),
            recipients: summary.recipients,
            first_recipient: summary.first_recipient.map(|first| first.mailbox.to_string()),
            attempts: summary.attempts,
            next_attempt: summary.next_attempt.map(Timestamp::of),
            reason: summary.reason.map(Why::from),
        }
    }
}

impl From<Details> for Message {
    fn from(details: Details) -> Self {
        let headline = Headline::of(details.id, &details.message, details.state);
        let recipients = details.entries.iter().flat_map(|entry| &entry.recipients);
        let first = recipients.clone().next();
        Self {
            headline,
            recipients: u32::try_from(recipients.count()).unwrap_or(u32::MAX),
            first_recipient: first.map(|one| one.recipient.mailbox.to_string()),
            attempts: details.entries.iter().map(|entry| entry.attempts).max().unwrap_or(0),
            next_attempt: details
                .entries
                .iter()
                .filter_map(|entry| entry.next_attempt)
                .min()
                .map(Timestamp::of),
            reason: first.and_then(|one| one.reason.clone()).map(Why::from),
        }
    }
}

impl From<Details> for FullMessage {
    fn from(details: Details) -> Self {
        Self {
            headline: Headline::of(details.id, &details.message, details.state),
            file: details.file,
            destinations: details.entries.into_iter().map(Destination::from).collect(),
        }
    }
}

impl From<EntryDetails> for Destination {
    fn from(entry: EntryDetails) -> Self {
        let recipients = entry.recipients.into_iter().map(|one| Addressee {
            address: one.recipient.mailbox.to_string(),
            reason: one.reason.map(Why::from),
        });
        Self {
            destination: entry.destination.to_string(),
            attempts: entry.attempts,
            next_attempt: entry.next_attempt.map(Timestamp::of),
            recipients: recipients.collect(),
        }
    }
}

impl From<Reason> for Why {
    fn from(reason: Reason) -> Self {
        let Reason { enhanced, class, text, cause, mx, addr, reply, policy } = reason;
        let (status, class) = (enhanced.to_string(), class.word().to_owned());
        let addr = addr.map(|addr| addr.to_string());
        Self { status, class, text, cause, mx, addr, reply, policy }
    }
}

impl QueueStats {
    /// The queue's numbers, and what is in its quarantine.
    pub(crate) fn of(stats: Stats, quarantine: &[(PathBuf, u64)]) -> Self {
        let quarantine = quarantine
            .iter()
            .map(|(file, size)| QuarantinedBytes { file: file.display().to_string(), size: *size });
        Self {
            staging: None,
            messages: stats.totals.messages,
            recipients: stats.totals.recipients,
            bytes: stats.totals.bytes,
            limits: Vec::new(),
            destinations: stats.destinations.into_iter().map(DestinationStats::from).collect(),
            quarantine: quarantine.collect(),
        }
    }
}

impl From<&Findings> for Verified {
    fn from(findings: &Findings) -> Self {
        Self {
            messages: findings.messages,
            records: findings.records,
            problems: findings.problems.iter().map(WhatIsWrong::from).collect(),
        }
    }
}

impl From<&Problem> for WhatIsWrong {
    fn from(problem: &Problem) -> Self {
        let (kind, id) = match problem {
            Problem::Damage { .. } => ("damage", None),
            Problem::Index { .. } => ("index", None),
            Problem::Record { id, .. } => ("record", Some(id)),
            Problem::Unknown { id, .. } => ("unknown", Some(id)),
        };
        Self { kind: kind.to_owned(), id: id.map(ToString::to_string), text: problem.to_string() }
    }
}

impl From<Depth> for DestinationStats {
    fn from(depth: Depth) -> Self {
        let waiting = depth.waiting.into_iter();
        Self {
            destination: depth.destination,
            messages: depth.entries,
            due: depth.due,
            on_hold: depth.on_hold,
            oldest_seconds: depth.oldest.as_secs(),
            waiting: waiting.map(|(class, count)| (class.word().to_owned(), count)).collect(),
            reason: depth.reason.map(Why::from),
        }
    }
}

impl Policy {
    /// What is cached, as it is now by `clock`.
    pub(crate) fn of(cached: &CachedPolicy, clock: &dyn Clock) -> Self {
        let shown = |time| Timestamp::of(clock.on_wall(time));
        let trouble = |trouble: &RefreshTrouble| Trouble {
            since: shown(trouble.since),
            last: shown(trouble.last),
            failures: trouble.failures,
            error: trouble.error.clone(),
        };
        Self {
            domain: cached.domain().as_str().to_owned(),
            id: cached.id().to_string(),
            mode: cached.policy().mode().to_string(),
            max_age: cached.policy().max_age().as_secs(),
            mx: cached.policy().mx().iter().map(ToString::to_string).collect(),
            fetched_at: shown(cached.fetched_at()),
            valid_until: shown(cached.valid_until()),
            used_at: shown(cached.used_at()),
            applies: clock.doubt().is_some() || cached.applies_at(clock.now()),
            trouble: cached.trouble().map(trouble),
        }
    }
}

impl ListedPolicy {
    /// The entry of a policy that cannot be read.
    pub(crate) fn unreadable(domain: &PolicyDomain, error: String) -> Self {
        Self::Unreadable { domain: domain.as_str().to_owned(), error }
    }
}

/// The reverse-path without its brackets.
fn sender(path: &ReversePath) -> Option<String> {
    match path {
        ReversePath::Null => None,
        ReversePath::Mailbox(mailbox) => Some(mailbox.to_string()),
    }
}

/// What is wrong with a message's copy in the spool.
fn damage(state: State) -> Option<String> {
    match state {
        State::Quarantined { why } => Some(why),
        State::HeldByStaging | State::OnHold | State::Queued => None,
    }
}
