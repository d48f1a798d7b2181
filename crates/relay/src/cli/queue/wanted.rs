//! Which messages are meant, as it is typed: the same for all commands.

use std::time::Duration;

use admin::api::query::{reason_class, reverse_path};
use admin::api::state_word::state_kind;
use clap::Args;
use queue::{Filter, QueueId, ReasonClass, StateKind};
use settings::parse_duration;
use smtp::{MailboxDomain, ReversePath};

/// Which messages are meant: those that meet all of it.
#[derive(Args, Clone, Debug)]
pub(crate) struct Wanted {
    /// Only messages from this address; <> for the null one.
    #[arg(long, value_name = "ADDRESS", value_parser = read_sender)]
    sender: Option<ReversePath>,
    /// Only messages with a pending recipient at this domain.
    #[arg(long, value_name = "DOMAIN", value_parser = MailboxDomain::parse)]
    domain: Option<MailboxDomain>,
    /// Only messages in this state: queued, on-hold, held-by-staging or quarantined.
    #[arg(long, value_name = "STATE", value_parser = read_state)]
    state: Option<StateKind>,
    /// Only messages that wait for this reason: policy, dane, tls, dns, connect, reply or other.
    #[arg(long, value_name = "REASON", value_parser = read_reason)]
    reason: Option<ReasonClass>,
    /// Only messages whose copy on disk is damaged; the same as --state quarantined.
    #[arg(long, conflicts_with = "state")]
    quarantined: bool,
    /// Only messages that have waited at least this long, such as 90s, 2h or 3d.
    #[arg(long, value_name = "AGE", value_parser = read_age)]
    older_than: Option<Duration>,
}

impl Wanted {
    /// The same as the queue has it.
    pub(super) fn filter(&self) -> Filter {
        Filter {
            sender: self.sender.clone(),
            destination: self.domain.clone(),
            state: self.quarantined.then_some(StateKind::Quarantined).or(self.state),
            reason: self.reason,
            older_than: self.older_than,
        }
    }
}

/// The options of [`Wanted`], and the one that means all messages.
const MANY: [&str; 7] = ["sender", "domain", "state", "reason", "quarantined", "older_than", "all"];

/// Which messages are changed: one, those that meet all of it, or all.
#[derive(Args, Clone, Debug)]
pub(crate) struct Which {
    /// The message with this queue id.
    #[arg(required_unless_present_any = MANY, conflicts_with_all = MANY)]
    id: Option<QueueId>,
    #[command(flatten)]
    wanted: Wanted,
    /// All messages.
    #[arg(
        long,
        conflicts_with_all = ["sender", "domain", "state", "reason", "quarantined", "older_than"],
    )]
    all: bool,
}

/// What is meant.
#[derive(Clone, Debug)]
pub(super) enum Meant {
    /// A message.
    One(QueueId),
    /// All that meet a filter.
    Many(Filter),
}

impl Which {
    /// What is meant; with nothing named it is everything, and clap sees to it that something is.
    pub(super) fn meant(&self) -> Meant {
        self.id.map_or_else(|| Meant::Many(self.wanted.filter()), Meant::One)
    }
}

/// A sender as it is typed.
fn read_sender(text: &str) -> Result<ReversePath, String> {
    reverse_path(text).map_err(|refusal| refusal.error)
}

/// A state as it is typed.
fn read_state(text: &str) -> Result<StateKind, String> {
    state_kind(text).map_err(|refusal| refusal.error)
}

/// A class of reasons as it is typed.
fn read_reason(text: &str) -> Result<ReasonClass, String> {
    reason_class(text).map_err(|refusal| refusal.error)
}

/// An age as it is typed.
fn read_age(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| "write a number and a unit, as in 90s, 2h or 3d".to_owned())
}
