//! Passwords and what is kept of them: Argon2id (RFC 9106), and bcrypt, which `htpasswd -B` writes.

use std::fmt;

use argon2::password_hash::{PasswordHash, PasswordHasher as _, PasswordVerifier as _, SaltString};
use argon2::{Algorithm, Argon2};
use rand::RngCore as _;

/// The highest cost of a bcrypt hash that is checked: each step doubles the time, and this one takes
/// about a second. `htpasswd -B` has 5 by default.
const MOST_BCRYPT_COST: u32 = 14;

/// What is kept of a password: enough to recognise it, and not to tell it.
#[derive(Clone)]
pub(crate) struct KeptPassword {
    text: String,
    scheme: PasswordScheme,
}

impl fmt::Debug for KeptPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeptPassword").field("scheme", &self.scheme).finish_non_exhaustive()
    }
}

/// How a password's hash is computed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PasswordScheme {
    /// Argon2id (RFC 9106).
    Argon2id,
    /// bcrypt, of this cost.
    Bcrypt {
        /// The logarithm of the number of rounds.
        cost: u32,
    },
}

/// Why a text is no hash of a password.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum HashProblem {
    /// Checking it would take too long.
    Cost(u32),
    /// It is of none of the two schemes.
    Scheme,
}

impl KeptPassword {
    /// Reads a PHC string of Argon2id, or a bcrypt hash that begins with `$2y$`, `$2b$` or `$2a$`.
    pub(crate) fn parse(text: &str) -> Result<Self, HashProblem> {
        let scheme = match text.strip_prefix("$2") {
            Some(rest) => bcrypt_scheme(text, rest)?,
            None => argon2id_scheme(text)?,
        };
        Ok(Self { text: text.to_owned(), scheme })
    }

    /// How it was computed.
    pub(crate) const fn scheme(&self) -> PasswordScheme {
        self.scheme
    }

    /// Whether `password` is the one. It takes a while on purpose.
    pub(crate) fn is(&self, password: &str) -> bool {
        match self.scheme {
            PasswordScheme::Argon2id => PasswordHash::new(&self.text).is_ok_and(|hash| {
                Argon2::default().verify_password(password.as_bytes(), &hash).is_ok()
            }),
            PasswordScheme::Bcrypt { .. } => bcrypt::verify(password, &self.text).unwrap_or(false),
        }
    }
}

/// The scheme of a hash that begins like one of Argon2id.
fn argon2id_scheme(text: &str) -> Result<PasswordScheme, HashProblem> {
    let parsed = PasswordHash::new(text).map_err(|_cause| HashProblem::Scheme)?;
    if parsed.algorithm != Algorithm::Argon2id.ident() || parsed.hash.is_none() {
        return Err(HashProblem::Scheme);
    }
    Ok(PasswordScheme::Argon2id)
}

/// The scheme of a hash that begins like one of bcrypt, as in `$2y$05$` and 53 characters.
fn bcrypt_scheme(text: &str, rest: &str) -> Result<PasswordScheme, HashProblem> {
    if !["y$", "b$", "a$"].iter().any(|version| rest.starts_with(version)) {
        return Err(HashProblem::Scheme);
    }
    let parts: bcrypt::HashParts = text.parse().map_err(|_cause| HashProblem::Scheme)?;
    match parts.get_cost() {
        cost if cost > MOST_BCRYPT_COST => Err(HashProblem::Cost(cost)),
        cost => Ok(PasswordScheme::Bcrypt { cost }),
    }
}

impl fmt::Display for PasswordScheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Argon2id => f.write_str("argon2id"),
            Self::Bcrypt { cost } => write!(f, "bcrypt, cost {cost}"),
        }
    }
}

/// A password cannot be hashed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the password cannot be hashed")]
pub struct HashError;

/// The Argon2id hash of a password, with a salt of its own (RFC 9106).
///
/// # Errors
///
/// [`HashError`]: it is too long.
pub fn hash_password(password: &str) -> Result<String, HashError> {
    let mut salt = [0; 16];
    rand::rng().fill_bytes(&mut salt);
    let salt = SaltString::encode_b64(&salt).map_err(|_cause| HashError)?;
    let hash = Argon2::default().hash_password(password.as_bytes(), &salt);
    hash.map(|hash| hash.to_string()).map_err(|_cause| HashError)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `htpasswd -nbB ann secret` of Apache 2.4 printed.
    const HTPASSWD: &str = "$2y$05$Wl2ZsB8aZTdEtN6cNWGxeOcFP9ZDqf1gSXn43v7mdNX9S1Yx8LFmC";

    #[test]
    fn a_password_is_proved_by_its_own_hash() {
        let hash = hash_password("secret").unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        for hash in [hash.as_str(), HTPASSWD] {
            let kept = KeptPassword::parse(hash).unwrap();
            assert!(kept.is("secret") && !kept.is("secre") && !kept.is(""), "{hash}");
        }
        let bcrypt = KeptPassword::parse(HTPASSWD).unwrap().scheme();
        assert_eq!(bcrypt.to_string(), "bcrypt, cost 5");
    }

    #[test]
    fn a_hash_of_another_scheme_or_of_too_high_a_cost_is_refused() {
        let costly = HTPASSWD.replace("$05$", "$15$");
        assert_eq!(KeptPassword::parse(&costly).err(), Some(HashProblem::Cost(15)));
        for text in [
            "",
            "secret",
            "{SHA}x",
            "$apr1$a$b",
            "$2y$05$short",
            "$2x$05$a",
            "$2",
            "$argon2i$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$c2FsdHNhbHQ",
        ] {
            assert_eq!(KeptPassword::parse(text).err(), Some(HashProblem::Scheme), "{text}");
        }
    }
}
