//! Who we say we are to a smart host, and how it is proved (RFC 4954).
//!
//! A secret is read where it is needed, and nowhere kept longer than a session takes, but for a
//! token that a command has printed. No secret is shown by [`Debug`](fmt::Debug), written to a log
//! or put into a reason.

mod secret;

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

pub(crate) use self::secret::Age;
pub use self::secret::{Secret, SecretError};

/// An account with a smart host. Clones are the same account.
#[derive(Clone)]
pub struct Login(Arc<Account>);

/// What an account is.
struct Account {
    mechanism: Option<LoginMechanism>,
    name: String,
    secret: Secret,
}

/// How we prove who we are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LoginMechanism {
    /// Name and password, each asked for; older than the RFCs.
    Login,
    /// Name and password in one message (RFC 4616).
    Plain,
    /// An OAuth 2.0 access token, in the form that Google and Microsoft ask for.
    Xoauth2,
}

impl Login {
    /// An account of this name; without a mechanism the best one that the host offers is taken.
    #[must_use]
    pub fn new(mechanism: Option<LoginMechanism>, name: String, secret: Secret) -> Self {
        Self(Arc::new(Account { mechanism, name, secret }))
    }

    /// The account's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// What proves that it is ours.
    pub(crate) fn secret(&self) -> &Secret {
        &self.0.secret
    }

    /// The mechanism to use with a host that offers these.
    pub(crate) fn mechanism(&self, offers: impl Fn(&str) -> bool) -> Option<LoginMechanism> {
        let usual = [LoginMechanism::Plain, LoginMechanism::Login];
        let wanted = match self.0.mechanism {
            Some(mechanism) => vec![mechanism],
            None => usual.to_vec(),
        };
        wanted.into_iter().find(|mechanism| offers(mechanism.as_str()))
    }
}

impl LoginMechanism {
    /// The mechanism's name, as AUTH has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Login => "LOGIN",
            Self::Plain => "PLAIN",
            Self::Xoauth2 => "XOAUTH2",
        }
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("name", &self.0.name).finish_non_exhaustive()
    }
}

/// Two logins are the same if they are of one account in the settings, and read at one time.
impl PartialEq for Login {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Login {}

impl Hash for Login {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_a_login_nor_its_secret_shows_what_is_secret() {
        let login = Login::new(None, "ann".to_owned(), Secret::password("s3cret".to_owned()));
        let shown = format!("{login:?} {:?}", login.secret());
        assert!(!shown.contains("s3cret"), "{shown}");
    }

    #[test]
    fn the_best_mechanism_that_is_offered_is_taken() {
        let secret = || Secret::password("x".to_owned());
        let any = Login::new(None, "ann".to_owned(), secret());
        let login = Login::new(Some(LoginMechanism::Login), "ann".to_owned(), secret());
        let offer = |names: &'static [&str]| move |name: &str| names.contains(&name);
        assert_eq!(any.mechanism(offer(&["LOGIN", "PLAIN"])), Some(LoginMechanism::Plain));
        assert_eq!(any.mechanism(offer(&["LOGIN"])), Some(LoginMechanism::Login));
        assert_eq!(any.mechanism(offer(&["CRAM-MD5", "XOAUTH2"])), None);
        assert_eq!(login.mechanism(offer(&["LOGIN", "PLAIN"])), Some(LoginMechanism::Login));
        assert_eq!(login.mechanism(offer(&["PLAIN"])), None);
    }
}
