//! How a store is, and how much it holds.

use std::sync::atomic::{AtomicU8, Ordering};

use crate::error::BeginError;

/// Whether the queue takes and gives mail.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Health {
    /// It is closed.
    Closed,
    /// The store has failed and is being opened again.
    Failed,
    /// It takes no mail, for the file system is nearly full; it gives none either while it is being
    /// opened again because not even its own writes found room.
    LowOnSpace,
    /// All is well.
    Ready,
}

impl Health {
    /// Whether a message may be begun.
    ///
    /// # Errors
    ///
    /// [`BeginError`] that says why not.
    pub const fn admits(self, guard: SpaceGuard) -> Result<(), BeginError> {
        match (self, guard) {
            (Self::Closed, _) => Err(BeginError::Closed),
            (Self::Failed, _) => Err(BeginError::Failed),
            (Self::LowOnSpace, SpaceGuard::Applies) => Err(BeginError::LowOnSpace),
            (Self::LowOnSpace, SpaceGuard::Waived) | (Self::Ready, _) => Ok(()),
        }
    }

    const fn number(self) -> u8 {
        match self {
            Self::Closed => 0,
            Self::Failed => 1,
            Self::LowOnSpace => 2,
            Self::Ready => 3,
        }
    }

    const fn of_number(number: u8) -> Self {
        match number {
            0 => Self::Closed,
            1 => Self::Failed,
            2 => Self::LowOnSpace,
            _ => Self::Ready,
        }
    }
}

/// The health of a store for all its threads; once closed it stays so.
#[derive(Debug)]
pub struct HealthCell(AtomicU8);

impl HealthCell {
    /// A store that is so at first.
    #[must_use]
    pub const fn new(health: Health) -> Self {
        Self(AtomicU8::new(health.number()))
    }

    /// How the store is.
    pub fn get(&self) -> Health {
        Health::of_number(self.0.load(Ordering::Acquire))
    }

    /// Says how the store is; whether that changes anything.
    pub fn set(&self, health: Health) -> bool {
        let closed = Health::Closed.number();
        let change =
            |before| (before != closed && before != health.number()).then_some(health.number());
        self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, change).is_ok()
    }
}

/// Whether the guard against a full disk applies.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SpaceGuard {
    /// To mail from outside.
    Applies,
    /// Not to bounces: a settlement that waits for room would keep its message in the queue.
    Waived,
}

/// How much is in the queue.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Totals {
    /// Messages.
    pub messages: u64,
    /// Recipients that are not settled.
    pub recipients: u64,
    /// Bytes of records, with envelopes.
    pub bytes: u64,
}
