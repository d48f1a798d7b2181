//! Who may submit from anywhere, by name and password.
//!
//! The file has a line for each user: name, Argon2id hash and sender addresses, with colons
//! between them. Nothing is implied: which addresses a user may send from is written down, even
//! where it is all of them.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use argon2::password_hash::{PasswordHash, PasswordHasher as _, PasswordVerifier as _, SaltString};
use argon2::{Algorithm, Argon2};
use rand::RngCore as _;
use smtp::{Credentials, Domain, Mailbox, MailboxDomain, ReversePath};

use crate::submitter::Submitter;

/// The users and what they may do.
#[derive(Clone, Debug, Default)]
pub struct Users {
    users: HashMap<String, User>,
    /// What an unknown name's password is held against, so that it takes as long as a known one's.
    nobody: Option<String>,
}

/// One user.
#[derive(Clone)]
struct User {
    name: Arc<str>,
    /// A PHC string.
    hash: String,
    senders: Arc<Senders>,
}

impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("User").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The addresses a user may send from.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Senders {
    /// All there are.
    All,
    /// These.
    Listed(Vec<Sender>),
}

/// An address, or all addresses of a domain.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Sender {
    Domain(Domain),
    Mailbox(Mailbox),
}

/// Proof that a client knows a user's password.
///
/// Only [`Users::authenticate`] makes one; nothing else can:
///
/// ```compile_fail,E0451
/// fn anybody(name: std::sync::Arc<str>) -> access::Authenticated {
///     access::Authenticated { name, ..todo!() }
/// }
/// ```
///
/// and who it is stays readable:
///
/// ```
/// fn who(user: &access::Authenticated) -> &str {
///     user.name()
/// }
/// ```
#[derive(Debug)]
pub struct Authenticated {
    name: Arc<str>,
    senders: Arc<Senders>,
}

/// The file of users cannot be used.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct UsersError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub problem: UserProblem,
}

/// What can be wrong with a user's line.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum UserProblem {
    /// Not three fields, or no name.
    #[error("not NAME:HASH:SENDERS, as `sts-relay user hash NAME` prints it")]
    Fields,
    /// The hash is none of Argon2id.
    #[error("the password's hash is not one of Argon2id")]
    Hash,
    /// No sender is listed, or something that is none.
    #[error("`{0}` is neither an address, nor a domain such as @example.org, nor * for all")]
    Sender(String),
    /// The name stands twice.
    #[error("the user {0} is listed twice")]
    Twice(String),
}

impl Users {
    /// Reads the file's text; empty lines and those that begin with `#` say nothing.
    ///
    /// # Errors
    ///
    /// [`UsersError`] for the first line that is wrong.
    pub fn parse(text: &str) -> Result<Self, UsersError> {
        let mut users = HashMap::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let user = User::parse(line).map_err(|problem| UsersError { line: number, problem })?;
            let name = user.name.to_string();
            if users.insert(name.clone(), user).is_some() {
                return Err(UsersError { line: number, problem: UserProblem::Twice(name) });
            }
        }
        let nobody = if users.is_empty() { None } else { hash_password("nobody's password").ok() };
        Ok(Self { users, nobody })
    }

    /// Whether there is a user of this name.
    #[must_use]
    pub fn knows(&self, name: &str) -> bool {
        self.users.contains_key(name)
    }

    /// Holds a password against its hash. It takes a while on purpose, so not where others wait.
    #[must_use]
    pub fn authenticate(&self, credentials: &Credentials) -> Option<Authenticated> {
        let password = credentials.password().as_bytes();
        let Some(user) = self.users.get(credentials.name()) else {
            let _never = self.nobody.as_deref().is_some_and(|hash| proves(password, hash));
            return None;
        };
        proves(password, &user.hash).then(|| Authenticated {
            name: Arc::clone(&user.name),
            senders: Arc::clone(&user.senders),
        })
    }
}

impl User {
    /// Reads one line.
    fn parse(line: &str) -> Result<Self, UserProblem> {
        let mut fields = line.splitn(3, ':').map(str::trim);
        let (Some(name), Some(hash), Some(senders)) = (fields.next(), fields.next(), fields.next())
        else {
            return Err(UserProblem::Fields);
        };
        if name.is_empty() || name.chars().any(char::is_control) {
            return Err(UserProblem::Fields);
        }
        let parsed = PasswordHash::new(hash).map_err(|_cause| UserProblem::Hash)?;
        if parsed.algorithm != Algorithm::Argon2id.ident() || parsed.hash.is_none() {
            return Err(UserProblem::Hash);
        }
        Ok(Self {
            name: name.into(),
            hash: hash.to_owned(),
            senders: Arc::new(Senders::parse(senders)?),
        })
    }
}

impl Senders {
    /// Reads `*`, or addresses and domains with commas between them.
    fn parse(text: &str) -> Result<Self, UserProblem> {
        if text == "*" {
            return Ok(Self::All);
        }
        let senders = text.split(',').map(|sender| Sender::parse(sender.trim()));
        senders.collect::<Result<_, _>>().map(Self::Listed)
    }

    /// Whether mail may be from `path`. The null one is everybody's: it is how one answers without
    /// being answered (RFC 5321 §4.5.5).
    fn allow(&self, path: &ReversePath) -> bool {
        path.mailbox().is_none_or(|mailbox| self.hold(mailbox))
    }

    /// Whether `mailbox` is one of them.
    fn hold(&self, mailbox: &Mailbox) -> bool {
        match self {
            Self::All => true,
            Self::Listed(senders) => senders.iter().any(|sender| sender.covers(mailbox)),
        }
    }
}

impl Senders {
    /// The address, where one is listed and nothing else.
    fn only(&self) -> Option<&Mailbox> {
        match self {
            Self::Listed(senders) => match senders.as_slice() {
                [Sender::Mailbox(mailbox)] => Some(mailbox),
                [] | [Sender::Domain(_)] | [_, _, ..] => None,
            },
            Self::All => None,
        }
    }
}

impl Sender {
    /// Reads an address, or `@` and a domain.
    fn parse(text: &str) -> Result<Self, UserProblem> {
        let problem = |_| UserProblem::Sender(text.to_owned());
        match text.strip_prefix('@') {
            Some(domain) => Domain::parse(domain).map(Self::Domain).map_err(|e| problem(e.into())),
            None => Mailbox::parse(text).map(Self::Mailbox).map_err(problem),
        }
    }

    /// Whether it is, or holds, `mailbox`. Local parts are told apart by their case on no system
    /// where two users' addresses differ by it alone.
    fn covers(&self, mailbox: &Mailbox) -> bool {
        match self {
            Self::Domain(domain) => *mailbox.domain() == MailboxDomain::Domain(domain.clone()),
            Self::Mailbox(own) => {
                own.domain() == mailbox.domain()
                    && own.to_string().eq_ignore_ascii_case(&mailbox.to_string())
            }
        }
    }
}

impl Authenticated {
    /// The user.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The addresses that the user may send from.
    #[must_use]
    pub fn senders(&self) -> AllowedSenders {
        AllowedSenders(Arc::clone(&self.senders))
    }

    /// The user's own address: the name, or else the only address that the user may send from.
    #[must_use]
    pub fn address(&self) -> Option<Mailbox> {
        let name = Mailbox::parse(&self.name).ok().filter(|name| self.senders.hold(name));
        name.or_else(|| self.senders.only().cloned())
    }

    /// Licence to submit a message from `path`, if the user may send from there.
    #[must_use]
    pub fn submit(&self, peer: IpAddr, path: &ReversePath) -> Option<Submitter> {
        let allowed = self.senders.allow(path);
        allowed.then(|| Submitter::admitted(peer.to_canonical(), Some(Arc::clone(&self.name))))
    }
}

/// The addresses that a user may send from, for what is looked at after the envelope.
#[derive(Clone, Debug)]
pub struct AllowedSenders(Arc<Senders>);

impl AllowedSenders {
    /// Whether `mailbox` is one of them.
    #[must_use]
    pub fn hold(&self, mailbox: &Mailbox) -> bool {
        self.0.hold(mailbox)
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

/// Whether the password is the one that was hashed.
fn proves(password: &[u8], hash: &str) -> bool {
    PasswordHash::new(hash)
        .is_ok_and(|hash| Argon2::default().verify_password(password, &hash).is_ok())
}

#[cfg(test)]
mod tests {
    use smtp::{Exchange, InitialResponse, Mechanism, Turn};

    use super::*;

    /// A hash of `secret` that costs little.
    const HASH: &str = "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$";

    fn hash(password: &str) -> String {
        let cheap = Argon2::new(
            Algorithm::Argon2id,
            argon2::Version::V0x13,
            argon2::Params::new(8, 1, 1, None).unwrap(),
        );
        let salt = SaltString::encode_b64(b"saltsalt").unwrap();
        let hash = cheap.hash_password(password.as_bytes(), &salt).unwrap().to_string();
        assert!(hash.starts_with(HASH), "{hash}");
        hash
    }

    fn credentials(base64: &str) -> Credentials {
        let line = format!("AUTH PLAIN {base64}");
        let Ok(smtp::Command::Auth { initial, .. }) = smtp::Command::parse(line.as_bytes()) else {
            panic!("{line}")
        };
        let initial: Option<InitialResponse> = initial;
        match Exchange::begin(Mechanism::Plain, initial.as_ref()) {
            Ok(Turn::Complete(credentials)) => credentials,
            other => panic!("{other:?}"),
        }
    }

    fn path(text: &str) -> ReversePath {
        ReversePath::parse(text).unwrap()
    }

    #[test]
    fn who_knows_the_password_may_send_from_listed_addresses_alone() {
        let line = format!("ann:{}:ann@example.org, @example.com", hash("secret"));
        let users = Users::parse(&format!("# users\n\n{line}\n")).unwrap();
        // ann / secret
        let ann = users.authenticate(&credentials("AGFubgBzZWNyZXQ=")).unwrap();
        assert_eq!(ann.name(), "ann");
        let peer = "192.0.2.7".parse().unwrap();
        for (from, allowed) in [
            ("<ann@example.org>", true),
            ("<Ann@Example.org>", true),
            ("<bob@example.org>", false),
            ("<any@example.com>", true),
            ("<any@sub.example.com>", false),
            ("<>", true),
        ] {
            assert_eq!(ann.submit(peer, &path(from)).is_some(), allowed, "{from}");
        }
        let submitter = ann.submit(peer, &path("<>")).unwrap();
        assert_eq!((submitter.peer(), submitter.user()), (peer, Some("ann")));
        // ann / Secret, bob / secret
        assert!(users.authenticate(&credentials("AGFubgBTZWNyZXQ=")).is_none());
        assert!(users.authenticate(&credentials("AGJvYgBzZWNyZXQ=")).is_none());
        assert!(users.knows("ann") && !users.knows("bob"));
    }

    #[test]
    fn a_password_is_proved_by_its_own_hash() {
        let hash = hash_password("secret").unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(proves(b"secret", &hash) && !proves(b"secre", &hash));
    }

    #[test]
    fn a_line_that_does_not_say_everything_is_refused() {
        let good = hash("secret");
        for (line, problem) in [
            ("ann".to_owned(), UserProblem::Fields),
            (format!("ann:{good}"), UserProblem::Fields),
            (format!(":{good}:*"), UserProblem::Fields),
            ("ann:secret:*".to_owned(), UserProblem::Hash),
            ("ann:$2b$12$abcdefghijklmnopqrstuv:*".to_owned(), UserProblem::Hash),
            (format!("ann:{}:*", good.replace("argon2id", "argon2i")), UserProblem::Hash),
            (format!("ann:{good}:"), UserProblem::Sender(String::new())),
            (format!("ann:{good}:ann"), UserProblem::Sender("ann".to_owned())),
            (format!("ann:{good}:*,@a.example"), UserProblem::Sender("*".to_owned())),
        ] {
            let refused = Users::parse(&format!("# x\n{line}\n")).unwrap_err();
            assert_eq!(refused, UsersError { line: 2, problem }, "{line}");
        }
        let twice = Users::parse(&format!("a:{good}:*\na:{good}:*")).unwrap_err();
        assert_eq!(twice.problem, UserProblem::Twice("a".to_owned()));
        assert_eq!(twice.line, 2);
    }
}
