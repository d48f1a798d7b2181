//! Who asked the running relay for something: the user at the other end of the admin socket.

use std::fmt;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use axum::extract::connect_info::Connected;
use axum::serve::IncomingStream;
use tokio::net::UnixListener;

/// Where the names of users are.
const USERS: &str = "/etc/passwd";

/// As much of that file is read.
const USERS_MOST: u64 = 1 << 20;

/// A user, for the log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Operator {
    uid: Option<u32>,
    name: Option<String>,
}

impl Operator {
    /// The user that a file belongs to.
    pub fn of_owner(file: &Path) -> Option<Self> {
        Some(Self::of(Some(std::fs::metadata(file).ok()?.uid())))
    }

    /// The user with this number; none where the system did not say.
    pub fn of(uid: Option<u32>) -> Self {
        let name = uid.and_then(|uid| {
            let users = BufReader::new(File::open(USERS).ok()?.take(USERS_MOST));
            users.lines().map_while(Result::ok).find_map(|line| name_of(&line, uid))
        });
        Self { uid, name }
    }
}

/// The name that a line of the file gives to a user, if it is this user's.
fn name_of(line: &str, uid: u32) -> Option<String> {
    let mut fields = line.split(':');
    let (name, _password, number) = (fields.next()?, fields.next()?, fields.next()?);
    (number.parse() == Ok(uid)).then(|| name.to_owned())
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.name, self.uid) {
            (Some(name), Some(uid)) => write!(f, "{name} (uid {uid})"),
            (None, Some(uid)) => write!(f, "uid {uid}"),
            (_, None) => f.write_str("unknown"),
        }
    }
}

impl Connected<IncomingStream<'_, UnixListener>> for Operator {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        Self::of(stream.io().peer_cred().ok().map(|peer| peer.uid()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_shown_by_name_and_number() {
        assert_eq!(Operator::of(Some(0)).to_string(), "root (uid 0)");
        assert_eq!(Operator::of(Some(u32::MAX - 7)).to_string(), "uid 4294967288");
        assert_eq!(Operator::of(None).to_string(), "unknown");
    }

    #[test]
    fn a_line_names_its_own_user_alone() {
        assert_eq!(name_of("ann:x:1000:1000:Ann:/home/ann:/bin/sh", 1000).as_deref(), Some("ann"));
        for line in ["ann:x:10000:1000::", "ann:x", "", "ann:x:-1:0", "ann:1000:x:1000"] {
            assert_eq!(name_of(line, 1000), None, "{line}");
        }
    }
}
