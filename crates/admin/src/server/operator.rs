//! Who asked the running relay for something: the user at the other end of the admin socket, or somebody
//! who has logged in to its pages.

use std::fmt;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;

use access::SystemUser;
use axum::extract::connect_info::Connected;
use axum::serve::IncomingStream;
use tokio::net::UnixListener;

/// A user, for the log; none where the system did not say.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Operator(Who);

#[derive(Clone, Debug, Eq, PartialEq)]
enum Who {
    /// Who has this name in the file of operators.
    Account(Arc<str>),
    /// A user of this machine.
    System(SystemUser),
    /// The system did not say.
    Unknown,
}

impl Operator {
    /// The user that a file belongs to.
    pub fn of_owner(file: &Path) -> Option<Self> {
        Some(Self::of(Some(std::fs::metadata(file).ok()?.uid())))
    }

    /// The user with this number; none where the system did not say.
    pub fn of(uid: Option<u32>) -> Self {
        Self(uid.map_or(Who::Unknown, |uid| Who::System(SystemUser::of(uid))))
    }

    /// Who has logged in by this name.
    pub(crate) fn account(name: &str) -> Self {
        Self(Who::Account(name.into()))
    }

    /// The name that somebody has logged in by.
    pub(crate) fn account_name(&self) -> Option<&str> {
        match &self.0 {
            Who::Account(name) => Some(name),
            Who::System(_) | Who::Unknown => None,
        }
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Who::Account(name) => write!(f, "{name} (page)"),
            Who::System(user) => user.fmt(f),
            Who::Unknown => f.write_str("unknown"),
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
    fn an_operator_is_shown_by_name_and_number() {
        assert_eq!(Operator::of(Some(0)).to_string(), "root (uid 0)");
        assert_eq!(Operator::of(None).to_string(), "unknown");
        assert_eq!(Operator::account("ann").to_string(), "ann (page)");
    }
}
