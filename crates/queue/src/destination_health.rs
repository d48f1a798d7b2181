//! How a destination stands: whether attempts for it have come to anything of late.
//!
//! Destinations that fail may have many more entries due than all others together, and an attempt for
//! each costs a turn. So each health has a line of its own, and whoever leases may leave lines out.

use mail::Outcome;

/// After so many attempts in a row that settled nobody a destination is failing. One or two are
/// nothing: a host that is busy or delays what it does not know turns single messages away.
const FAILURES: u8 = 3;

/// How the attempts for a destination have ended of late, best first.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum DestinationHealth {
    /// One of the last few has settled somebody.
    Answering,
    /// There were none, or too few to tell.
    #[default]
    Untried,
    /// The last few have settled nobody.
    Failing,
}

impl DestinationHealth {
    /// The lines in the order of their turns, from this one's on.
    pub(crate) const fn turns(self) -> [Self; 3] {
        match self {
            Self::Answering => [self, Self::Untried, Self::Failing],
            Self::Untried => [self, Self::Failing, Self::Answering],
            Self::Failing => [self, Self::Answering, Self::Untried],
        }
    }

    /// Whose turn is next.
    pub(crate) const fn next(self) -> Self {
        self.turns()[1]
    }
}

/// What is known of the attempts for a destination.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Attempts {
    /// What that means.
    pub(crate) health: DestinationHealth,
    /// How many have settled nobody since one has settled somebody.
    failures: u8,
}

impl Attempts {
    /// Of a destination that has answered before.
    pub(crate) const ANSWERING: Self = Self { health: DestinationHealth::Answering, failures: 0 };

    /// An attempt hears nothing: until one settles somebody, its destination fails.
    pub(crate) const STALLED: Self =
        Self { health: DestinationHealth::Failing, failures: FAILURES };

    /// One more attempt has ended like this.
    pub(crate) fn after(self, outcomes: &[Outcome]) -> Self {
        if outcomes.iter().any(is_answer) {
            return Self::ANSWERING;
        }
        let failures = self.failures.saturating_add(1);
        let health = if failures < FAILURES { self.health } else { DestinationHealth::Failing };
        Self { health, failures }
    }
}

/// Whether a host has settled a recipient, one way or the other; the end of a message's lifetime is
/// no answer of anybody's.
const fn is_answer(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Bounced(reason) => reason.reply.is_some(),
        Outcome::Deferred(_) => false,
        Outcome::Delivered { .. } => true,
    }
}

#[cfg(test)]
mod tests {
    use smtp::{Class, EnhancedCode};

    use super::*;
    use mail::{Reason, ReasonClass};

    fn reason(reply: Option<&str>) -> Reason {
        let code = EnhancedCode::new(Class::PersistentTransient, 4, 1);
        Reason { reply: reply.map(str::to_owned), ..Reason::new(ReasonClass::Reply, code, "x") }
    }

    fn after(attempts: &[Outcome]) -> DestinationHealth {
        let each = attempts.iter().map(std::slice::from_ref);
        each.fold(Attempts::default(), Attempts::after).health
    }

    #[test]
    fn a_destination_stands_as_its_last_attempts_have_ended() {
        let delivered =
            || Outcome::Delivered { mx: "mx".to_owned(), addr: None, reply: "250 ok".to_owned() };
        let later = || Outcome::Deferred(reason(Some("451 later")));
        let refused = || Outcome::Bounced(reason(Some("550 no")));
        let expired = || Outcome::Bounced(reason(None));
        for (attempts, health) in [
            (vec![], DestinationHealth::Untried),
            (vec![delivered()], DestinationHealth::Answering),
            (vec![refused()], DestinationHealth::Answering),
            (vec![later(), later()], DestinationHealth::Untried),
            (vec![later(), later(), later()], DestinationHealth::Failing),
            (vec![delivered(), later(), later()], DestinationHealth::Answering),
            (vec![later(), later(), delivered(), later()], DestinationHealth::Answering),
            (vec![later(), later(), later(), delivered()], DestinationHealth::Answering),
            (vec![expired(), expired(), expired()], DestinationHealth::Failing),
        ] {
            assert_eq!(after(&attempts), health, "{attempts:?}");
        }
    }

    #[test]
    fn one_recipient_who_is_settled_is_an_answer() {
        let outcomes = [
            Outcome::Deferred(reason(None)),
            Outcome::Delivered { mx: "mx".to_owned(), addr: None, reply: "250 ok".to_owned() },
        ];
        assert_eq!(Attempts::default().after(&outcomes).health, DestinationHealth::Answering);
    }

    #[test]
    fn every_line_has_its_turn() {
        for first in
            [DestinationHealth::Answering, DestinationHealth::Untried, DestinationHealth::Failing]
        {
            let mut turns = first.turns();
            assert_eq!(turns[0], first);
            assert_eq!([turns[0].next(), turns[1].next()], [turns[1], turns[2]]);
            turns.sort_unstable();
            assert_eq!(
                turns,
                [
                    DestinationHealth::Answering,
                    DestinationHealth::Untried,
                    DestinationHealth::Failing
                ]
            );
        }
    }
}
