//! Which entries this process has claimed or lets rest: of those that it owns.

use std::collections::HashMap;

use store::EntryId;

/// What is claimed, and what rests, by destination.
#[derive(Debug, Default)]
pub(crate) struct Held(HashMap<String, EntriesAt>);

/// The entries of one destination that nobody may claim now, and until when each rests: none for one that
/// is claimed.
type EntriesAt = HashMap<EntryId, Option<u64>>;

impl Held {
    /// Those of `destination` that may not be claimed at `now`.
    pub(crate) fn closed(&mut self, destination: &str, now: u64) -> Vec<EntryId> {
        let Some(entries) = self.0.get_mut(destination) else { return Vec::new() };
        entries.retain(|_, rest| rest.is_none_or(|until| until > now));
        entries.keys().copied().collect()
    }

    /// When the first one of `destination` has rested that does.
    pub(crate) fn next(&self, destination: &str) -> Option<u64> {
        self.0.get(destination)?.values().copied().flatten().min()
    }

    /// An entry is claimed.
    pub(crate) fn claim(&mut self, destination: &str, entry: EntryId) {
        self.set(destination, entry, None);
    }

    /// A claim has ended of which nothing has come; whether there was one.
    pub(crate) fn rest(&mut self, destination: &str, entry: EntryId, until: u64) -> bool {
        let is_claimed = self.0.get(destination).is_some_and(|all| all.get(&entry) == Some(&None));
        if is_claimed {
            self.set(destination, entry, Some(until));
        }
        is_claimed
    }

    /// A claim has ended with a settlement.
    pub(crate) fn release(&mut self, destination: &str, entry: EntryId) {
        let Some(entries) = self.0.get_mut(destination) else { return };
        entries.remove(&entry);
        if entries.is_empty() {
            self.0.remove(destination);
        }
    }

    /// Ends every rest of `destination`, or of all.
    pub(crate) fn end_rests(&mut self, destination: Option<&str>) {
        let end = |entries: &mut EntriesAt| entries.retain(|_, rest| rest.is_none());
        match destination {
            Some(name) => self.0.get_mut(name).into_iter().for_each(end),
            None => self.0.values_mut().for_each(end),
        }
        self.0.retain(|_, entries| !entries.is_empty());
    }

    fn set(&mut self, destination: &str, entry: EntryId, rest: Option<u64>) {
        if let Some(entries) = self.0.get_mut(destination) {
            entries.insert(entry, rest);
        } else {
            self.0.insert(destination.to_owned(), EntriesAt::from([(entry, rest)]));
        }
    }
}

#[cfg(test)]
mod tests {
    use mail::QueueId;

    use super::*;

    #[test]
    fn what_is_claimed_is_closed_and_what_rests_until_it_has_rested() {
        let entry = |number| EntryId { id: QueueId::from_number(1), number };
        let mut held = Held::default();
        held.claim("one.example", entry(0));
        held.claim("one.example", entry(1));
        assert!(held.rest("one.example", entry(1), 7));
        assert!(!held.rest("one.example", entry(2), 7), "it is not claimed");
        assert_eq!(held.next("one.example"), Some(7));
        assert_eq!(held.closed("one.example", 6).len(), 2);
        assert_eq!(held.closed("one.example", 7), [entry(0)]);
        held.release("one.example", entry(0));
        assert_eq!(held.closed("one.example", 7), []);
        assert!(held.0.is_empty());
    }
}
