//! How much there is, counted with each change.

use mail::ReasonClass;
use store::rows::count_recipients;
use store::{Totals, Waiting};

use crate::work::Prepared;

/// How many classes of reasons there are.
const CLASSES: usize = ReasonClass::ALL.len();

/// How much there is, or by how much it changes: what one node counts may be below zero, the sum over all
/// nodes never is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Tally {
    /// Messages.
    pub(crate) messages: i64,
    /// Recipients that are not settled.
    pub(crate) recipients: i64,
    /// Bytes, with envelopes.
    pub(crate) bytes: i64,
    /// Recipients that wait because of reasons of each class, in the order of [`ReasonClass::ALL`].
    pub(crate) waiting: [i64; CLASSES],
}

impl Tally {
    /// So many more messages of this size, or fewer.
    pub(crate) fn add_messages(&mut self, messages: i64, bytes: u64) {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX).saturating_mul(messages);
        self.messages = self.messages.saturating_add(messages);
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// A message more with all its recipients, or one fewer.
    pub(crate) fn add_whole(&mut self, message: &Prepared, by: i64) {
        let recipients = i64::try_from(count_recipients(&message.entries)).unwrap_or(i64::MAX);
        self.add_messages(by, message.bytes());
        self.add_recipients(recipients.saturating_mul(by));
    }

    /// So many more recipients, or fewer.
    pub(crate) fn add_recipients(&mut self, recipients: i64) {
        self.recipients = self.recipients.saturating_add(recipients);
    }

    /// So many more recipients wait because of a reason of this class, or fewer.
    pub(crate) fn add_waiting(&mut self, class: ReasonClass, by: i64) {
        let counted = ReasonClass::ALL.iter().zip(&mut self.waiting);
        for (_, count) in counted.filter(|(other, _)| **other == class) {
            *count = count.saturating_add(by);
        }
    }

    /// Both together.
    pub(crate) fn plus(mut self, other: &Self) -> Self {
        self.messages = self.messages.saturating_add(other.messages);
        self.recipients = self.recipients.saturating_add(other.recipients);
        self.bytes = self.bytes.saturating_add(other.bytes);
        for (count, more) in self.waiting.iter_mut().zip(other.waiting) {
            *count = count.saturating_add(more);
        }
        self
    }

    /// The totals of all nodes.
    pub(crate) fn totals(&self) -> Totals {
        let whole = |count: i64| u64::try_from(count).unwrap_or(0);
        Totals {
            messages: whole(self.messages),
            recipients: whole(self.recipients),
            bytes: whole(self.bytes),
        }
    }

    /// What the recipients of all nodes wait for.
    pub(crate) fn waiting(&self) -> Waiting {
        Waiting::of_counts(self.waiting.map(|count| u64::try_from(count).unwrap_or(0)))
    }
}
