//! Every copy of every message that came, and what made it come.
//!
//! The first copy needs no cause. Each further one has a cause of its own, or the test fails: the
//! host of the copy before it withheld its answer, or the relay was killed before it could tell of
//! that copy as delivered, and came to it again only after its next start.

use std::collections::{HashMap, HashSet};
use std::mem::take;

use testbed::Answer;

/// How a run of the relay ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// It was killed.
    Killed,
    /// It was asked to stop, and did.
    Stopped,
}

/// What the relay may know of the last copy of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    /// It was told that the message was taken, and has told so.
    Delivered,
    /// It was killed in this round before it could tell.
    InFlight { round: usize },
    /// It was not told that the message was taken.
    Unanswered,
}

/// A message that came, by its one name in the queue.
#[derive(Debug)]
struct Account {
    queue_id: String,
    /// What is known of its last copy, of those that came in rounds that are over.
    last: Option<Known>,
}

/// The messages of one kind that came, by token.
#[derive(Debug, Default)]
pub(super) struct Accounts {
    accounts: HashMap<String, Account>,
    /// The copies of the round that is not over yet, in order.
    copies: Vec<(String, Answer)>,
    /// How many copies came because an answer was withheld.
    pub(super) after_no_answer: usize,
    /// How many copies came because the relay was killed with the message in flight.
    pub(super) after_kill: usize,
}

impl Accounts {
    /// Notes a copy.
    pub(super) fn came(&mut self, token: String, queue_id: &str, answer: Answer) {
        let account = self
            .accounts
            .entry(token.clone())
            .or_insert_with(|| Account { queue_id: queue_id.to_owned(), last: None });
        assert_eq!(account.queue_id, queue_id, "{token} came as two messages");
        self.copies.push((token, answer));
    }

    /// The name in the queue that a message had when it came, if it did.
    pub(super) fn queue_id(&self, token: &str) -> Option<&str> {
        self.accounts.get(token).map(|account| account.queue_id.as_str())
    }

    /// The messages that came.
    pub(super) fn tokens(&self) -> impl Iterator<Item = &String> {
        self.accounts.keys()
    }

    /// Holds the copies of a round against their causes, and takes what the relay told of as
    /// `delivered` out of there; gives how many it was killed with before it could tell.
    ///
    /// # Errors
    /// A copy has no cause, or an end that it must not have; the error says which.
    pub(super) fn close(
        &mut self,
        round: usize,
        ending: Ending,
        delivered: &mut HashSet<String>,
    ) -> Result<usize, String> {
        let mut in_flight = 0;
        for (token, answer) in take(&mut self.copies) {
            let account = self.accounts.get_mut(&token).unwrap();
            match account.last {
                None => {}
                Some(Known::Unanswered) => self.after_no_answer += 1,
                Some(Known::InFlight { round: then }) if then < round => self.after_kill += 1,
                Some(Known::Delivered | Known::InFlight { .. }) => {
                    return Err(format!("{token} came again in round {round}: {account:?}"));
                }
            }
            let known = match (answer, ending) {
                (Answer::Withheld, _) => Known::Unanswered,
                (Answer::Given, _) if delivered.remove(&account.queue_id) => Known::Delivered,
                (Answer::Given | Answer::Unsent, Ending::Killed) => Known::InFlight { round },
                (Answer::Given | Answer::Unsent, Ending::Stopped) => {
                    return Err(format!("{token} was taken, and not told of: {account:?}"));
                }
            };
            if matches!(known, Known::InFlight { .. }) {
                in_flight += 1;
            }
            account.last = Some(known);
        }
        Ok(in_flight)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of copies of one message that come in these rounds, and whether it was told of
    /// as delivered there.
    fn closed(rounds: &[(&[Answer], bool, Ending)]) -> Result<(usize, usize), String> {
        let mut accounts = Accounts::default();
        for (round, (answers, told, ending)) in rounds.iter().enumerate() {
            for answer in *answers {
                accounts.came("token".to_owned(), "id", *answer);
            }
            let mut delivered = told.then(|| "id".to_owned()).into_iter().collect();
            accounts.close(round, *ending, &mut delivered)?;
            if !delivered.is_empty() {
                return Err("told of, and never taken".to_owned());
            }
        }
        Ok((accounts.after_no_answer, accounts.after_kill))
    }

    #[test]
    fn a_copy_after_a_cause_is_counted_by_it() {
        use Answer::{Given, Unsent, Withheld};
        use Ending::{Killed, Stopped};
        let once = closed(&[(&[Given], true, Stopped)]);
        assert_eq!(once, Ok((0, 0)));
        let unanswered = closed(&[(&[Withheld, Withheld, Given], true, Stopped)]);
        assert_eq!(unanswered, Ok((2, 0)));
        let later = closed(&[(&[Withheld], false, Stopped), (&[Given], true, Killed)]);
        assert_eq!(later, Ok((1, 0)));
        for answer in [Given, Unsent] {
            let killed = closed(&[(&[answer], false, Killed), (&[Given], true, Stopped)]);
            assert_eq!(killed, Ok((0, 1)));
        }
    }

    #[test]
    fn a_copy_without_a_cause_is_told_of() {
        use Answer::{Given, Unsent, Withheld};
        use Ending::{Killed, Stopped};
        for (rounds, why) in [
            (&[(&[Given, Given][..], true, Stopped)][..], "again after it was delivered"),
            (&[(&[Given], true, Killed), (&[Given], false, Killed)], "in the next round"),
            (&[(&[Given, Given], false, Killed)], "again before the kill"),
            (&[(&[Withheld, Given, Given], true, Killed)], "again after one cause"),
            (&[(&[Given], false, Stopped)], "delivered in silence"),
            (&[(&[Unsent], false, Stopped)], "left by a relay that stopped in order"),
            (&[(&[Withheld], true, Stopped)], "delivered without an answer"),
            (&[(&[], true, Stopped)], "delivered and never taken"),
        ] {
            assert!(closed(rounds).is_err(), "{why}: {:?}", closed(rounds));
        }
    }
}
