//! Who may see the operators' pages, by name and password.
//!
//! The file has a line for each: name, hash of the password (Argon2id), and role, with colons between
//! them.

use std::collections::HashMap;
use std::sync::Arc;

use crate::passwords::{KeptPassword, PasswordScheme};
use crate::role::{Role, RoleError};

/// The operators and what they may do.
#[derive(Clone, Debug, Default)]
pub struct Operators {
    accounts: HashMap<Arc<str>, Account>,
    /// The first one's hash: what an unknown name's password is held against, so that it takes as long
    /// as a known one's.
    first: Option<KeptPassword>,
}

#[derive(Clone, Debug)]
struct Account {
    password: KeptPassword,
    role: Role,
}

/// The file of operators cannot be used.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct OperatorsError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub problem: OperatorProblem,
}

/// What can be wrong with an operator's line.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum OperatorProblem {
    /// Not three fields, or no name.
    #[error("not NAME:HASH:ROLE, as `sts-relay user hash NAME --admin ROLE` prints it")]
    Fields,
    /// The hash is not one of Argon2id.
    #[error("the password's hash is not one of Argon2id")]
    Hash,
    /// The third field is no role.
    #[error(transparent)]
    Role(#[from] RoleError),
    /// The name stands twice.
    #[error("the operator {0} is listed twice")]
    Twice(String),
}

impl Operators {
    /// Reads the file's text; empty lines and those that begin with `#` say nothing.
    ///
    /// # Errors
    ///
    /// [`OperatorsError`] for the first line that is wrong.
    pub fn parse(text: &str) -> Result<Self, OperatorsError> {
        let mut operators = Self::default();
        for (line, text) in (1..).zip(text.lines()) {
            let text = text.trim();
            if !text.is_empty() && !text.starts_with('#') {
                operators.add(text).map_err(|problem| OperatorsError { line, problem })?;
            }
        }
        Ok(operators)
    }

    fn add(&mut self, line: &str) -> Result<(), OperatorProblem> {
        let fields: Vec<_> = line.split(':').map(str::trim).collect();
        let [name, hash, role] = *fields else { return Err(OperatorProblem::Fields) };
        if name.is_empty() || name.chars().any(char::is_control) {
            return Err(OperatorProblem::Fields);
        }
        let password = KeptPassword::parse(hash).map_err(|_problem| OperatorProblem::Hash)?;
        match password.scheme() {
            PasswordScheme::Argon2id => {}
            PasswordScheme::Bcrypt { .. } => return Err(OperatorProblem::Hash),
        }
        self.first.get_or_insert_with(|| password.clone());
        let account = Account { password, role: role.parse()? };
        match self.accounts.insert(name.into(), account) {
            None => Ok(()),
            Some(_) => Err(OperatorProblem::Twice(name.to_owned())),
        }
    }

    /// Whether there is nobody.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.accounts.is_empty()
    }

    /// What somebody of this name may do.
    #[must_use]
    pub fn role(&self, name: &str) -> Option<Role> {
        self.accounts.get(name).map(|account| account.role)
    }

    /// What somebody may do who knows the password. It takes a while on purpose, and as long for a
    /// name that is not known.
    #[must_use]
    pub fn prove(&self, name: &str, password: &str) -> Option<Role> {
        let Some(account) = self.accounts.get(name) else {
            let _never = self.first.as_ref().is_some_and(|first| first.is(password));
            return None;
        };
        account.password.is(password).then_some(account.role)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A hash of `secret` that costs little.
    fn hash() -> String {
        use argon2::password_hash::{PasswordHasher as _, SaltString};
        let params = argon2::Params::new(8, 1, 1, None).unwrap();
        let cheap =
            argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params);
        let salt = SaltString::encode_b64(b"saltsalt").unwrap();
        cheap.hash_password(b"secret", &salt).unwrap().to_string()
    }

    #[test]
    fn who_knows_the_password_has_the_role_of_the_line() {
        let text = format!("# pages\n\nann:{0}:operator\nbob:{0}:viewer\n", hash());
        let operators = Operators::parse(&text).unwrap();
        assert_eq!(operators.prove("ann", "secret"), Some(Role::Operator));
        assert_eq!(operators.prove("bob", "secret"), Some(Role::Viewer));
        assert_eq!(operators.prove("ann", "Secret"), None);
        assert_eq!(operators.prove("carl", "secret"), None);
        assert_eq!((operators.role("bob"), operators.role("carl")), (Some(Role::Viewer), None));
        assert!(!operators.is_empty() && Operators::default().is_empty());
    }

    #[test]
    fn a_line_that_does_not_say_everything_is_refused() {
        let good = hash();
        let role = |word: &str| OperatorProblem::Role(word.parse::<Role>().unwrap_err());
        for (line, problem) in [
            ("ann".to_owned(), OperatorProblem::Fields),
            (format!("ann:{good}"), OperatorProblem::Fields),
            (format!("ann:{good}:viewer:x"), OperatorProblem::Fields),
            (format!(":{good}:viewer"), OperatorProblem::Fields),
            ("ann:secret:viewer".to_owned(), OperatorProblem::Hash),
            (
                "ann:$2y$05$Wl2ZsB8aZTdEtN6cNWGxeOcFP9ZDqf1gSXn43v7mdNX9S1Yx8LFmC:viewer"
                    .to_owned(),
                OperatorProblem::Hash,
            ),
            (format!("ann:{good}:root"), role("root")),
            (format!("ann:{good}:"), role("")),
            (
                format!("ann:{good}:viewer\nann:{good}:viewer"),
                OperatorProblem::Twice("ann".to_owned()),
            ),
        ] {
            let refused = Operators::parse(&line).unwrap_err();
            assert_eq!(refused.problem, problem, "{line}");
        }
    }
}
