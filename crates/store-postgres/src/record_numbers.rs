//! Numbers for the records of this node: they rise in the order in which records can be seen.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use store::RecordNumber;
use tokio::sync::watch;

/// Gives numbers to groups, and says up to which one all are decided. Two groups are under way at a time, and
/// the later may be committed first: its records are not shown before the other's fate is known.
#[derive(Debug)]
pub(crate) struct RecordNumbers {
    state: Mutex<Numbers>,
    seen: watch::Sender<RecordNumber>,
}

#[derive(Debug)]
struct Numbers {
    next: RecordNumber,
    /// The first numbers of the groups that are under way.
    open: BTreeSet<RecordNumber>,
    /// The last one that is durable.
    durable: RecordNumber,
}

impl RecordNumbers {
    /// Numbers after `last`, which was given before.
    pub(crate) fn after(last: RecordNumber) -> Self {
        let numbers =
            Numbers { next: last.saturating_add(1), open: BTreeSet::new(), durable: last };
        Self { state: Mutex::new(numbers), seen: watch::Sender::new(last) }
    }

    /// The first number of a group that has this many records at most.
    pub(crate) fn begin(&self, records: usize) -> RecordNumber {
        let mut numbers = self.numbers();
        let first = numbers.next;
        if records > 0 {
            numbers.open.insert(first);
            let records = u64::try_from(records).unwrap_or(u64::MAX);
            numbers.next = first.saturating_add(records);
        }
        first
    }

    /// The group whose numbers begin here is decided; the last record that it keeps, if it does.
    pub(crate) fn end(&self, first: RecordNumber, last: Option<RecordNumber>) {
        let mut numbers = self.numbers();
        numbers.open.remove(&first);
        numbers.durable = numbers.durable.max(last.unwrap_or(0));
        let before_open = numbers.open.first().map_or(u64::MAX, |open| open.saturating_sub(1));
        let shown = numbers.durable.min(before_open);
        self.seen.send_if_modified(|seen| {
            let is_news = shown > *seen;
            *seen = shown.max(*seen);
            is_news
        });
    }

    /// The last number up to which all records can be seen.
    pub(crate) fn seen(&self) -> RecordNumber {
        *self.seen.borrow()
    }

    /// The same, as it changes.
    pub(crate) fn watch(&self) -> watch::Receiver<RecordNumber> {
        self.seen.subscribe()
    }

    fn numbers(&self) -> MutexGuard<'_, Numbers> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_committed_first_is_not_seen_before_what_has_smaller_numbers() {
        let numbers = RecordNumbers::after(7);
        let (first, second) = (numbers.begin(2), numbers.begin(3));
        assert_eq!((first, second), (8, 10));
        numbers.end(second, Some(12));
        assert_eq!(numbers.seen(), 7);
        numbers.end(first, Some(9));
        assert_eq!(numbers.seen(), 12);
        let third = numbers.begin(1);
        numbers.end(third, None);
        assert_eq!((third, numbers.seen()), (13, 12), "a group that was refused");
    }
}
