//! What a clock shows.

use std::fmt::{self, Debug, Display, Formatter};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

/// Tells the time.
pub trait Clock: Debug + Send + Sync {
    /// The time by which everything ages: every time that is stored is a time of this kind.
    fn now(&self) -> SystemTime;

    /// What the wall clock shows: for certificates, and for dates that other hosts read.
    fn wall(&self) -> SystemTime {
        self.now()
    }

    /// How long the machine has run, the time that it was suspended included (`CLOCK_BOOTTIME`).
    fn since_boot(&self) -> Duration;

    /// Which start of the machine [`since_boot`](Self::since_boot) counts from.
    fn boot(&self) -> Boot;

    /// Why the wall clock is not to be believed; `None` where it is.
    fn doubt(&self) -> Option<Doubt> {
        None
    }

    /// Whether nothing but time speaks for a wall clock that leapt: it is believed, and no certificate
    /// has been found in date by it.
    fn is_unproved(&self) -> bool {
        false
    }

    /// What the wall clock shows, showed or will show at `time`, for people.
    fn on_wall(&self, time: SystemTime) -> SystemTime {
        time
    }
}

/// One start of the machine, by the number that its kernel gave it.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Boot(String);

impl Boot {
    /// The start with this number; an empty one is no start that is known.
    #[must_use]
    pub fn new(number: impl Into<String>) -> Self {
        Self(number.into())
    }

    /// Whether both are the same start. Two that are not known may be different ones.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        !self.0.is_empty() && self == other
    }
}

/// How the wall clock differs from the time that has passed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Doubt {
    /// It shows so much more.
    Ahead(Duration),
    /// It shows so much less.
    Behind(Duration),
}

impl Doubt {
    /// The difference.
    #[must_use]
    pub const fn by(self) -> Duration {
        match self {
            Self::Ahead(by) | Self::Behind(by) => by,
        }
    }
}

/// For a log and for people: `2 h ahead of the time that has passed`.
impl Display for Doubt {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let seconds = self.by().as_secs();
        let (count, unit) = match seconds {
            0..7_200 => (seconds / 60, "min"),
            7_200..172_800 => (seconds / 3_600, "h"),
            172_800.. => (seconds / 86_400, "days"),
        };
        let side = match self {
            Self::Ahead(_) => "ahead of",
            Self::Behind(_) => "behind",
        };
        write!(f, "{count} {unit} {side} the time that has passed")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_doubt_names_its_size_and_side() {
        for (doubt, text) in [
            (Doubt::Ahead(Duration::from_secs(420)), "7 min ahead of the time that has passed"),
            (Doubt::Behind(Duration::from_secs(7_200)), "2 h behind the time that has passed"),
            (
                Doubt::Ahead(Duration::from_secs(63_072_000)),
                "730 days ahead of the time that has passed",
            ),
        ] {
            assert_eq!(doubt.to_string(), text);
        }
    }

    #[test]
    fn starts_that_are_not_known_are_not_the_same() {
        assert!(!Boot::default().is_same(&Boot::default()));
        assert!(Boot::new("a").is_same(&Boot::new("a")));
        assert!(!Boot::new("a").is_same(&Boot::new("b")));
    }
}
