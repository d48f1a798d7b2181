//! Who is still to get a message on a session, in transactions that the host has room for.

use std::collections::VecDeque;

/// Recipients that wait for their transaction.
#[derive(Debug)]
pub(crate) struct RecipientBatches<R> {
    recipients: VecDeque<R>,
    /// How many fit one transaction.
    most: usize,
}

impl<R> RecipientBatches<R> {
    /// All of these wait; so many of them share a transaction, one at least.
    pub(crate) fn new(recipients: impl IntoIterator<Item = R>, most: usize) -> Self {
        Self { recipients: recipients.into_iter().collect(), most: most.max(1) }
    }

    /// Those of the next transaction; none when nobody waits.
    pub(crate) fn next(&mut self) -> Option<Vec<R>> {
        let count = self.most.min(self.recipients.len());
        let next: Vec<R> = self.recipients.drain(..count).collect();
        (!next.is_empty()).then_some(next)
    }

    /// Lets those of a transaction of `size` wait again for whom it had no room, and makes the next
    /// ones as small as it has turned out that they must be (RFC 5321 §4.5.3.1.10).
    ///
    /// Where it had room for nobody there is no use in another for the same ones: they are given back,
    /// to wait for the next attempt.
    pub(crate) fn again(&mut self, size: usize, crowded: Vec<R>) -> Vec<R> {
        let room = size.saturating_sub(crowded.len());
        if room == 0 || crowded.is_empty() {
            return crowded;
        }
        self.most = room;
        self.recipients.extend(crowded);
        Vec::new()
    }

    /// Those who still wait.
    pub(crate) fn rest(self) -> impl Iterator<Item = R> {
        self.recipients.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The transactions that come of it with a host that has room for so many.
    fn transactions(recipients: usize, most: usize, room: usize) -> Vec<Vec<usize>> {
        let mut batches = RecipientBatches::new(0..recipients, most);
        let mut all = Vec::new();
        while let Some(places) = batches.next() {
            let crowded = places.iter().copied().skip(room).collect();
            batches.again(places.len(), crowded);
            all.push(places);
        }
        all
    }

    #[test]
    fn who_found_no_room_goes_in_a_further_transaction_of_a_size_that_fits() {
        assert_eq!(transactions(5, 2, 9), [vec![0, 1], vec![2, 3], vec![4]]);
        assert_eq!(transactions(5, 9, 2), [vec![0, 1, 2, 3, 4], vec![2, 3], vec![4]]);
        assert_eq!(transactions(2, 0, 1), [[0], [1]]);
    }

    #[test]
    fn a_host_that_has_room_for_nobody_is_asked_once_for_each() {
        assert_eq!(transactions(5, 2, 0), [vec![0, 1], vec![2, 3], vec![4]]);
    }

    #[test]
    fn everyone_has_a_transaction_and_there_is_an_end() {
        for (recipients, most, room) in [(100, 100, 7), (100, 3, 1), (1, 1, 1), (0, 5, 5)] {
            let all = transactions(recipients, most, room);
            let mut places: Vec<usize> = all.concat();
            places.sort_unstable();
            places.dedup();
            assert_eq!(places.len(), recipients);
            assert!(all.len() <= recipients);
        }
    }
}
