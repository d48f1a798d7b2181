//! What an operator may do.

use std::fmt;

/// What an operator of the relay may do.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Role {
    /// Read, but no address of mail that waits, and no body.
    Viewer,
    /// Read everything, and act.
    Operator,
}

/// A word that names no role.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{0}` is no role: viewer or operator")]
pub struct RoleError(String);

impl Role {
    /// The word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
        }
    }

    /// Whether this one may do what `needed` may.
    #[must_use]
    pub fn may(self, needed: Self) -> bool {
        self >= needed
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl std::str::FromStr for Role {
    type Err = RoleError;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        let found = [Self::Viewer, Self::Operator].into_iter().find(|role| role.word() == word);
        found.ok_or_else(|| RoleError(word.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operator_may_what_a_viewer_may_and_not_the_other_way_round() {
        assert!(Role::Operator.may(Role::Viewer) && Role::Operator.may(Role::Operator));
        assert!(Role::Viewer.may(Role::Viewer) && !Role::Viewer.may(Role::Operator));
        assert_eq!("viewer".parse(), Ok(Role::Viewer));
        assert_eq!("operator".parse(), Ok(Role::Operator));
        assert_eq!("Operator".parse::<Role>(), Err(RoleError("Operator".to_owned())));
    }
}
