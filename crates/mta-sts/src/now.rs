//! The time at which a policy is judged, and whether the clock that says so is to be believed.
//!
//! Who can set a sender's clock could make its policies expire and its fetches fail, for certificates
//! are judged by the same clock, and so have mail sent as if there were no policy. Therefore policies
//! age by a time that a leap of the wall clock does not move, where the program has one; and while the
//! wall clock is in doubt, what is known goes on to apply until a fetch succeeds, nothing is
//! forgotten, and what is not known is undecided.

use std::time::SystemTime;

/// The time at which a policy is judged.
///
/// A [`SystemTime`] alone is one of a clock that is believed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Now {
    time: SystemTime,
    wall: SystemTime,
    trust: Trust,
}

/// Whether the wall clock is to be believed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Trust {
    /// It is.
    Believed,
    /// It is, for it has not leapt for long; but no certificate was found in date by it since.
    Unproved,
    /// It leapt, or is behind what was seen before.
    Doubted,
}

impl Now {
    /// `time` is what policies age by, `wall` what the wall clock shows.
    #[must_use]
    pub const fn new(time: SystemTime, wall: SystemTime, trust: Trust) -> Self {
        Self { time, wall, trust }
    }

    /// The time by which policies age.
    #[must_use]
    pub const fn time(self) -> SystemTime {
        self.time
    }

    /// The later of both times: what an operator allows until a day ends on the first clock that
    /// shows it.
    #[must_use]
    pub fn latest(self) -> SystemTime {
        self.time.max(self.wall)
    }

    /// Whether the wall clock is to be believed.
    #[must_use]
    pub const fn trust(self) -> Trust {
        self.trust
    }

    pub(crate) const fn is_doubted(self) -> bool {
        match self.trust {
            Trust::Believed | Trust::Unproved => false,
            Trust::Doubted => true,
        }
    }
}

impl From<SystemTime> for Now {
    fn from(time: SystemTime) -> Self {
        Self::new(time, time, Trust::Believed)
    }
}
