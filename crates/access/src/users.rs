//! Who may submit from anywhere, by name and password.
//!
//! The file has a line for each user: name, hash of the password (Argon2id or bcrypt) and sender
//! addresses, with colons between them. A line that `htpasswd -B` wrote has no addresses: its user
//! sends from the name alone, which has to be an address then.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use smtp::{Credentials, Mailbox, ReversePath};

use crate::passwords::{HashProblem, KeptPassword, PasswordScheme};
use crate::senders::{AllowedSenders, SenderError};
use crate::submitter::Submitter;

/// The users and what they may do.
#[derive(Clone, Debug, Default)]
pub struct Users {
    users: HashMap<String, User>,
    /// The first user's hash: what an unknown name's password is held against, so that it takes as
    /// long as a known one's.
    first: Option<KeptPassword>,
}

/// One user.
#[derive(Clone)]
struct User {
    name: Arc<str>,
    password: KeptPassword,
    senders: AllowedSenders,
}

impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("User").field("name", &self.name).finish_non_exhaustive()
    }
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
    senders: AllowedSenders,
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
    /// Checking the password would take too long.
    #[error("the password's hash has a cost of {0}: 14 is the most")]
    Cost(u32),
    /// Not three fields, or no name.
    #[error("not NAME:HASH:SENDERS, as `sts-relay user hash NAME` prints it")]
    Fields,
    /// The hash is neither of Argon2id nor of bcrypt.
    #[error("the password's hash is neither of Argon2id nor of bcrypt")]
    Hash,
    /// No sender is listed, or something that is none.
    #[error(transparent)]
    Sender(#[from] SenderError),
    /// No sender is listed, and the name is no address.
    #[error(
        "`{0}` is not an address: write behind the hash what the user may send from, as in :@example.org"
    )]
    Senders(String),
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
        let (mut users, mut first) = (HashMap::<String, User>::new(), None);
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let user = User::parse(line).map_err(|problem| UsersError { line: number, problem })?;
            let name = user.name.to_string();
            first.get_or_insert_with(|| user.password.clone());
            if users.insert(name.clone(), user).is_some() {
                return Err(UsersError { line: number, problem: UserProblem::Twice(name) });
            }
        }
        Ok(Self { users, first })
    }

    /// Whether there is a user of this name.
    #[must_use]
    pub fn knows(&self, name: &str) -> bool {
        self.users.contains_key(name)
    }

    /// Every user in the order of their names: the name, how the password is hashed, and the senders.
    pub fn list(&self) -> impl Iterator<Item = (&str, PasswordScheme, &AllowedSenders)> {
        let mut users: Vec<_> = self.users.values().collect();
        users.sort_by(|one, other| one.name.cmp(&other.name));
        users.into_iter().map(|user| (&*user.name, user.password.scheme(), &user.senders))
    }

    /// Holds a password against its hash. It takes a while on purpose, so not where others wait.
    #[must_use]
    pub fn authenticate(&self, credentials: &Credentials) -> Option<Authenticated> {
        self.prove(credentials.name(), credentials.password())
    }

    /// The same, for a name and a password that somebody typed.
    #[must_use]
    pub fn prove(&self, name: &str, password: &str) -> Option<Authenticated> {
        let Some(user) = self.users.get(name) else {
            let _never = self.first.as_ref().is_some_and(|first| first.is(password));
            return None;
        };
        user.password
            .is(password)
            .then(|| Authenticated { name: Arc::clone(&user.name), senders: user.senders.clone() })
    }
}

impl User {
    /// Reads one line.
    fn parse(line: &str) -> Result<Self, UserProblem> {
        let mut fields = line.splitn(3, ':').map(str::trim);
        let (Some(name), Some(hash)) = (fields.next(), fields.next()) else {
            return Err(UserProblem::Fields);
        };
        if name.is_empty() || name.chars().any(char::is_control) {
            return Err(UserProblem::Fields);
        }
        let password = KeptPassword::parse(hash).map_err(|problem| match problem {
            HashProblem::Cost(cost) => UserProblem::Cost(cost),
            HashProblem::Scheme => UserProblem::Hash,
        })?;
        let senders = match fields.next() {
            Some(senders) => AllowedSenders::parse(senders.split(','))?,
            None => Mailbox::parse(name)
                .map(AllowedSenders::one)
                .map_err(|_cause| UserProblem::Senders(name.to_owned()))?,
        };
        Ok(Self { name: name.into(), password, senders })
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
        self.senders.clone()
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
        let peer = peer.to_canonical().into();
        allowed.then(|| Submitter::admitted(peer, Some(Arc::clone(&self.name))))
    }
}

#[cfg(test)]
mod tests {
    use argon2::password_hash::{PasswordHasher as _, SaltString};
    use argon2::{Algorithm, Argon2};
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
        assert_eq!((submitter.peer(), submitter.user()), (peer.into(), Some("ann")));
        // ann / Secret, bob / secret
        assert!(users.authenticate(&credentials("AGFubgBTZWNyZXQ=")).is_none());
        assert!(users.authenticate(&credentials("AGJvYgBzZWNyZXQ=")).is_none());
        assert!(users.knows("ann") && !users.knows("bob"));
    }

    #[test]
    fn a_line_of_htpasswd_is_a_user_who_sends_from_the_name() {
        let hash = "$2y$05$Wl2ZsB8aZTdEtN6cNWGxeOcFP9ZDqf1gSXn43v7mdNX9S1Yx8LFmC";
        let text = format!("ann@example.org:{hash}\nbob:{hash}:@example.net\n");
        let users = Users::parse(&text).unwrap();
        let ann = users.prove("ann@example.org", "secret").unwrap();
        let peer = "192.0.2.7".parse().unwrap();
        assert!(ann.submit(peer, &path("<ann@example.org>")).is_some());
        assert!(ann.submit(peer, &path("<bob@example.org>")).is_none());
        assert_eq!(ann.address(), Some(Mailbox::parse("ann@example.org").unwrap()));
        assert!(users.prove("ann@example.org", "Secret").is_none());
        let bob = users.prove("bob", "secret").unwrap();
        assert!(bob.submit(peer, &path("<any@example.net>")).is_some() && bob.address().is_none());
        let listed: Vec<_> = users
            .list()
            .map(|(name, scheme, senders)| format!("{name} {scheme} {senders}"))
            .collect();
        let expected =
            ["ann@example.org bcrypt, cost 5 ann@example.org", "bob bcrypt, cost 5 @example.net"];
        assert_eq!(listed, expected);
        let refused = Users::parse(&format!("carl:{hash}")).unwrap_err();
        assert_eq!(refused.problem, UserProblem::Senders("carl".to_owned()));
        let refused = Users::parse(&format!("ann:{}:*", hash.replace("$05$", "$17$"))).unwrap_err();
        assert_eq!(refused.problem, UserProblem::Cost(17));
    }

    #[test]
    fn a_line_that_does_not_say_everything_is_refused() {
        let good = hash("secret");
        let sender = |text: &str| UserProblem::Sender(SenderError(text.to_owned()));
        for (line, problem) in [
            ("ann".to_owned(), UserProblem::Fields),
            (format!("ann:{good}"), UserProblem::Senders("ann".to_owned())),
            (format!(":{good}:*"), UserProblem::Fields),
            ("ann:secret:*".to_owned(), UserProblem::Hash),
            ("ann:$2b$12$abcdefghijklmnopqrstuv:*".to_owned(), UserProblem::Hash),
            (format!("ann:{}:*", good.replace("argon2id", "argon2i")), UserProblem::Hash),
            (format!("ann:{good}:"), sender("")),
            (format!("ann:{good}:ann"), sender("ann")),
            (format!("ann:{good}:*,@a.example"), sender("*")),
        ] {
            let refused = Users::parse(&format!("# x\n{line}\n")).unwrap_err();
            assert_eq!(refused, UsersError { line: 2, problem }, "{line}");
        }
        let twice = Users::parse(&format!("a:{good}:*\na:{good}:*")).unwrap_err();
        assert_eq!(twice.problem, UserProblem::Twice("a".to_owned()));
        assert_eq!(twice.line, 2);
    }
}
