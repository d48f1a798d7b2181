//! The dialogue of AUTH: the mechanisms PLAIN and LOGIN (RFC 4954 §4, RFC 4616).
//!
//! Both send the password as it is, so a server offers them under TLS alone. LOGIN has no RFC; it
//! is what clients spoke before there was one, and many still do.

use std::fmt;

use crate::base64::from_base64;
use crate::command::InitialResponse;
use crate::enhanced::{Class, EnhancedCode};
use crate::reply::{Reply, ReplyCode};

/// How a client proves who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mechanism {
    /// Name and password, each asked for.
    Login,
    /// Name and password in one message (RFC 4616).
    Plain,
}

/// A name and a password that somebody claims to have.
///
/// The password is a secret; [`Debug`](fmt::Debug) does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    name: String,
    password: String,
}

/// An AUTH dialogue that waits for the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange(Waiting);

/// What is waited for.
#[derive(Clone, PartialEq, Eq)]
enum Waiting {
    LoginName,
    LoginPassword { name: String },
    Plain,
}

/// Where the dialogue stands after the client has spoken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The server speaks, and the client answers again.
    Challenge(Exchange),
    /// All is said.
    Complete(Credentials),
}

/// The dialogue failed; the password was not looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SaslError {
    /// The client broke it off with `*` (RFC 4954 §4).
    #[error("authentication cancelled")]
    Cancelled,
    /// The client wants to act for somebody else (RFC 4616 §2), which nobody may here.
    #[error("acting for another user is not possible here")]
    ForAnother,
    /// What it sent is not BASE64, or says no name and password.
    #[error("malformed authentication response")]
    Malformed,
}

impl Mechanism {
    /// All of them, in the order in which they are announced.
    pub const ALL: [Self; 2] = [Self::Plain, Self::Login];

    /// The registered name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Login => "LOGIN",
            Self::Plain => "PLAIN",
        }
    }

    /// Reads the name, in any case.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mechanism| text.eq_ignore_ascii_case(mechanism.as_str()))
    }
}

impl Credentials {
    /// The most octets of a name and of a password.
    pub const MAX_OCTETS: usize = 1024;

    /// A name and a password, if they can be such.
    fn new(name: &str, password: &str) -> Result<Self, SaslError> {
        let fits = |text: &str| (1..=Self::MAX_OCTETS).contains(&text.len());
        let plain = !name.chars().any(char::is_control) && !password.contains('\0');
        if fits(name) && fits(password) && plain {
            Ok(Self { name: name.to_owned(), password: password.to_owned() })
        } else {
            Err(SaslError::Malformed)
        }
    }

    /// Who the client says it is: no control characters, not empty.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it offers as proof.
    #[must_use]
    pub fn password(&self) -> &str {
        &self.password
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(..)")
    }
}

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LoginName => "LoginName",
            Self::LoginPassword { .. } => "LoginPassword",
            Self::Plain => "Plain",
        })
    }
}

impl Exchange {
    /// Begins a dialogue, with what the client sent along with AUTH.
    ///
    /// # Errors
    ///
    /// [`SaslError`]: the dialogue is over.
    pub fn begin(
        mechanism: Mechanism,
        initial: Option<&InitialResponse>,
    ) -> Result<Turn, SaslError> {
        let exchange = Self(match mechanism {
            Mechanism::Login => Waiting::LoginName,
            Mechanism::Plain => Waiting::Plain,
        });
        match initial.map(InitialResponse::as_base64) {
            None => Ok(Turn::Challenge(exchange)),
            // Who has nothing to say yet is asked, as without a response.
            Some("") if mechanism == Mechanism::Login => Ok(Turn::Challenge(exchange)),
            Some(initial) => exchange.take(initial),
        }
    }

    /// What the server says now: 334 and BASE64 text.
    #[must_use]
    pub fn challenge(&self) -> Reply {
        let text = match self.0 {
            Waiting::LoginName => "VXNlcm5hbWU6",
            Waiting::LoginPassword { .. } => "UGFzc3dvcmQ6",
            Waiting::Plain => "",
        };
        Reply::new(ReplyCode::CHALLENGE, None, text)
    }

    /// Takes the client's answer, a line without its CRLF.
    ///
    /// # Errors
    ///
    /// [`SaslError`]: the dialogue is over.
    pub fn answer(self, line: &[u8]) -> Result<Turn, SaslError> {
        match line.trim_ascii_end() {
            b"*" => Err(SaslError::Cancelled),
            line => {
                self.take(std::str::from_utf8(line).map_err(|_not_base64| SaslError::Malformed)?)
            }
        }
    }

    /// Takes BASE64 text.
    fn take(self, text: &str) -> Result<Turn, SaslError> {
        let octets = from_base64(text).ok_or(SaslError::Malformed)?;
        let said = String::from_utf8(octets).map_err(|_not_text| SaslError::Malformed)?;
        match self.0 {
            Waiting::LoginName => Ok(Turn::Challenge(Self(Waiting::LoginPassword { name: said }))),
            Waiting::LoginPassword { name } => Credentials::new(&name, &said).map(Turn::Complete),
            Waiting::Plain => plain(&said).map(Turn::Complete),
        }
    }
}

/// `[authzid] NUL authcid NUL passwd` (RFC 4616 §2).
fn plain(said: &str) -> Result<Credentials, SaslError> {
    let mut parts = said.split('\0');
    let (Some(acting), Some(name), Some(password), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(SaslError::Malformed);
    };
    if !acting.is_empty() && acting != name {
        return Err(SaslError::ForAnother);
    }
    Credentials::new(name, password)
}

impl SaslError {
    /// The refusal (RFC 4954 §4, §6).
    #[must_use]
    pub fn reply(&self) -> Reply {
        let (code, subject, detail) = match self {
            Self::Cancelled => (ReplyCode::BAD_ARGUMENTS, 7, 0),
            Self::ForAnother => (ReplyCode::AUTHENTICATION_FAILED, 7, 8),
            Self::Malformed => (ReplyCode::BAD_ARGUMENTS, 5, 2),
        };
        let enhanced = EnhancedCode::new(Class::Permanent, subject, detail);
        Reply::new(code, Some(enhanced), &self.to_string())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn begun(mechanism: Mechanism) -> Exchange {
        match Exchange::begin(mechanism, None) {
            Ok(Turn::Challenge(exchange)) => exchange,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn plain_says_name_and_password_in_one_message() {
        let exchange = begun(Mechanism::Plain);
        assert_eq!(exchange.challenge().to_string(), "334 \r\n");
        // RFC 4616 §4: tim, tanstaaftanstaaf.
        let turn = exchange.answer(b"AHRpbQB0YW5zdGFhZnRhbnN0YWFm").unwrap();
        let Turn::Complete(credentials) = turn else { panic!("{turn:?}") };
        assert_eq!((credentials.name(), credentials.password()), ("tim", "tanstaaftanstaaf"));
    }

    #[test]
    fn login_is_asked_for_name_and_password() {
        let exchange = begun(Mechanism::Login);
        assert_eq!(exchange.challenge().to_string(), "334 VXNlcm5hbWU6\r\n");
        let Ok(Turn::Challenge(exchange)) = exchange.answer(b"dGlt") else { panic!("no more") };
        assert_eq!(exchange.challenge().to_string(), "334 UGFzc3dvcmQ6\r\n");
        let Ok(Turn::Complete(credentials)) = exchange.answer(b"c2VjcmV0") else { panic!("more") };
        assert_eq!((credentials.name(), credentials.password()), ("tim", "secret"));
    }

    #[test]
    fn what_is_no_proof_is_refused() {
        for (line, error) in [
            (&b"*"[..], SaslError::Cancelled),
            (b"", SaslError::Malformed),
            (b"=", SaslError::Malformed),
            (b"AHRpbQB0YW5zdGFhZnRhbnN0YWF", SaslError::Malformed),
            (b"AHRpbQBzZWNyZXR=", SaslError::Malformed),
            (b"AHRp bQBz", SaslError::Malformed),
            (b"dGlt", SaslError::Malformed),
            (b"AAB4", SaslError::Malformed),
            (b"AHgA", SaslError::Malformed),
            (b"AHgAeAB4", SaslError::Malformed),
            (b"AAp4AHgA", SaslError::Malformed),
            (b"\xff\xff\xff\xff", SaslError::Malformed),
            (b"/////w==", SaslError::Malformed),
            (b"YgBhAHNlY3JldA==", SaslError::ForAnother),
        ] {
            let refused = begun(Mechanism::Plain).answer(line);
            assert_eq!(refused, Err(error), "{:?}", String::from_utf8_lossy(line));
        }
    }

    #[test]
    fn the_password_is_not_shown() {
        let Ok(Turn::Complete(credentials)) = begun(Mechanism::Plain).answer(b"YQBhAHNlY3JldA==")
        else {
            panic!("it is not refused")
        };
        assert_eq!(format!("{credentials:?}"), "Credentials(..)");
    }

    proptest! {
        #[test]
        fn any_answers_are_read_without_a_panic(lines: Vec<Vec<u8>>) {
            for mechanism in Mechanism::ALL {
                let mut exchange = begun(mechanism);
                for line in &lines {
                    match exchange.answer(line) {
                        Ok(Turn::Challenge(next)) => exchange = next,
                        Ok(Turn::Complete(_)) | Err(_) => break,
                    }
                }
            }
        }
    }
}
