//! What can be asked of a store by hand, and what it answers.

use std::time::{Duration, SystemTime};

use mail::{Message, QueueId, Reason, ReasonClass, Recipient, State};
use smtp::{MailboxDomain, ReversePath};

use crate::health::Totals;

/// Which messages are meant: those that meet every wish.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Filter {
    /// Only messages from this reverse-path.
    pub sender: Option<ReversePath>,
    /// Only messages with a recipient left at this destination.
    pub destination: Option<MailboxDomain>,
    /// Only messages in this state.
    pub state: Option<StateKind>,
    /// Only messages with a recipient who was deferred last for a reason of this class; for
    /// [`ReasonClass::Other`] those count whose class is not known.
    pub reason: Option<ReasonClass>,
    /// Only messages that have been queued for at least this long.
    pub older_than: Option<Duration>,
}

/// How many messages meet a filter.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Matching {
    /// How many they are.
    pub messages: u64,
    /// The last of them.
    pub last: Option<QueueId>,
}

/// A state without what belongs to it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StateKind {
    /// Staging keeps it from being sent.
    HeldByStaging,
    /// An operator keeps it from being sent.
    OnHold,
    /// Its record is damaged.
    Quarantined,
    /// It is on its way.
    Queued,
}

impl From<&State> for StateKind {
    fn from(state: &State) -> Self {
        match state {
            State::HeldByStaging => Self::HeldByStaging,
            State::OnHold => Self::OnHold,
            State::Quarantined { .. } => Self::Quarantined,
            State::Queued => Self::Queued,
        }
    }
}

impl Filter {
    /// Whether recipients at one destination meet the filter.
    #[must_use]
    pub fn admits_entry(&self, entry: &EntryDetails) -> bool {
        let class = |one: &RecipientDetails| one.reason.as_ref().map(|reason| reason.class);
        self.destination.as_ref().is_none_or(|destination| *destination == entry.destination)
            && entry.recipients.iter().any(|one| self.admits_reason(class(one)))
    }

    /// Whether nothing has to be known of recipients to tell whether a message is meant.
    #[must_use]
    pub const fn needs_no_recipient(&self) -> bool {
        self.destination.is_none() && self.reason.is_none()
    }

    /// Whether what is the same for all recipients meets the filter.
    #[must_use]
    pub fn admits_message(&self, message: &Message, state: &State, now: SystemTime) -> bool {
        let age = now.duration_since(message.received_at).unwrap_or_default();
        self.sender.as_ref().is_none_or(|sender| *sender == message.reverse_path)
            && self.state.is_none_or(|meant| meant == StateKind::from(state))
            && self.older_than.is_none_or(|least| age >= least)
    }

    /// Whether a recipient who was deferred last for a reason of this class waits for what is meant.
    #[must_use]
    pub fn admits_reason(&self, class: Option<ReasonClass>) -> bool {
        match self.reason {
            None => true,
            Some(ReasonClass::Other) => {
                matches!(class, Some(ReasonClass::Other | ReasonClass::Unknown))
            }
            Some(meant) => class == Some(meant),
        }
    }
}

/// A message in a list.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Summary {
    /// The message.
    pub id: QueueId,
    /// What is the same for all its recipients.
    pub message: Message,
    /// Whether it is on its way.
    pub state: State,
    /// How many recipients are left.
    pub recipients: u32,
    /// The first of them.
    pub first_recipient: Option<Recipient>,
    /// The most attempts that any of its entries has seen.
    pub attempts: u32,
    /// When its next entry is due.
    pub next_attempt: Option<SystemTime>,
    /// Why a recipient was deferred last: the first of the class that the filter names, and else
    /// the first who was.
    pub reason: Option<Reason>,
}

/// All about one message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Details {
    /// The message.
    pub id: QueueId,
    /// What is the same for all its recipients.
    pub message: Message,
    /// Whether it is on its way.
    pub state: State,
    /// The file that holds its record, within the queue's directory.
    pub file: String,
    /// The recipients that are left, by entry.
    pub entries: Vec<EntryDetails>,
}

/// Recipients that are tried together.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EntryDetails {
    /// Where they are.
    pub destination: MailboxDomain,
    /// How many attempts have failed.
    pub attempts: u32,
    /// When the next one is due.
    pub next_attempt: Option<SystemTime>,
    /// The recipients.
    pub recipients: Vec<RecipientDetails>,
}

/// A recipient that is left.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RecipientDetails {
    /// The recipient.
    pub recipient: Recipient,
    /// Why it was deferred last.
    pub reason: Option<Reason>,
}

/// Which messages are to be tried at once.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Selection {
    /// All.
    All,
    /// Those with recipients at this destination; only these recipients are tried.
    Destination(MailboxDomain),
    /// One.
    Message(QueueId),
}

/// Which entries a change is for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Which {
    /// All.
    All,
    /// Those at this destination.
    Destination(MailboxDomain),
    /// All of one message.
    Message(QueueId),
    /// Those of these messages that meet the filter, in one stroke: meant for a few hundred.
    Messages(Vec<QueueId>, Filter),
}

impl From<&Selection> for Which {
    fn from(selection: &Selection) -> Self {
        match selection {
            Selection::All => Self::All,
            Selection::Destination(domain) => Self::Destination(domain.clone()),
            Selection::Message(id) => Self::Message(*id),
        }
    }
}

/// What is done to them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Act {
    /// Their messages are kept from being sent until they are released, by an operator from now on.
    Hold,
    /// Messages that are held or quarantined are let go.
    Release,
    /// They are due now if they are due later. Each is tried once more, and when that fails, it is due
    /// when it would have been.
    Retry,
}

/// What is in the queue, by state.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    /// Kept from being sent by staging.
    pub held_by_staging: Counted,
    /// Kept from being sent by an operator.
    pub on_hold: Counted,
    /// With a damaged record.
    pub quarantined: Counted,
    /// On their way.
    pub queued: Counted,
}

/// The messages in one state.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counted {
    /// How many they are.
    pub messages: u64,
    /// How long the oldest has been in the queue; zero without one.
    pub oldest: Duration,
}

/// What is queued for one destination.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Depth {
    /// The destination.
    pub destination: String,
    /// How many entries wait for it: recipients of one message that are tried together.
    pub entries: u64,
    /// How many of them are due.
    pub due: u64,
    /// How many more wait for no attempt, because their message is held or quarantined.
    pub on_hold: u64,
    /// How long the oldest message has been queued.
    pub oldest: Duration,
    /// In how many entries somebody was deferred last for a reason of each class; only those that there
    /// are.
    pub waiting: Vec<(ReasonClass, u64)>,
    /// A reason of the class that most wait for.
    pub reason: Option<Reason>,
}

/// What is queued, by destination.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Stats {
    /// How much there is in all.
    pub totals: Totals,
    /// The destinations, the one with most entries first.
    pub destinations: Vec<Depth>,
}
