//! Who submits from this machine: the user of the process at the other end of a unix socket.

use std::io;
use std::sync::Arc;

use smtp::{Domain, Mailbox, ReversePath};
use tokio::net::UnixStream;

use crate::peer::Peer;
use crate::senders::AllowedSenders;
use crate::submitter::Submitter;
use crate::system_user::{SystemUser, address_of};

/// Proof that the kernel named the user of a process that has connected to a unix socket.
///
/// Only [`LocalUser::of_peer`] makes one, which asks the kernel; nothing else can:
///
/// ```compile_fail,E0451
/// fn root(name: std::sync::Arc<str>) -> access::LocalUser {
///     access::LocalUser { uid: 0, name }
/// }
/// ```
///
/// and who it is stays readable:
///
/// ```
/// fn who(user: &access::LocalUser) -> &str {
///     user.name()
/// }
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LocalUser {
    uid: u32,
    name: Arc<str>,
}

impl LocalUser {
    /// The user whose process was at the other end of `socket` when it connected (`SO_PEERCRED`). A
    /// user without a name goes by the number.
    ///
    /// It reads a small file.
    ///
    /// # Errors
    ///
    /// Where the kernel does not say.
    pub fn of_peer(socket: &UnixStream) -> io::Result<Self> {
        // rustix' `socket_peercred` takes a process of another container, whose number is 0 here, for an error.
        let user = SystemUser::of(socket.peer_cred()?.uid());
        Ok(Self { uid: user.uid(), name: user.name_or_number().into() })
    }

    /// Where the user is.
    #[must_use]
    pub const fn peer(&self) -> Peer {
        Peer::Local(self.uid)
    }

    /// The user's name, or number.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The user's own address on a host of this name.
    #[must_use]
    pub fn address(&self, hostname: &Domain) -> Option<Mailbox> {
        address_of(&self.name, hostname)
    }

    /// The addresses that the user may send from, where all local users may from `allowed`: these, and
    /// the user's own.
    #[must_use]
    pub fn senders(&self, allowed: &AllowedSenders, hostname: &Domain) -> AllowedSenders {
        match self.address(hostname) {
            Some(own) => allowed.with(own),
            None => allowed.clone(),
        }
    }

    /// Licence to submit a message from `path`, if it is one of the `senders` that the user may send
    /// from.
    #[must_use]
    pub fn submit(&self, senders: &AllowedSenders, path: &ReversePath) -> Option<Submitter> {
        senders.allow(path).then(|| Submitter::admitted(self.peer(), Some(Arc::clone(&self.name))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(user: &LocalUser, list: &[&str], from: &str) -> bool {
        let hostname = Domain::parse("relay.example").unwrap();
        let senders = user.senders(&AllowedSenders::parse(list).unwrap(), &hostname);
        user.submit(&senders, &ReversePath::parse(from).unwrap()).is_some()
    }

    #[tokio::test]
    async fn the_kernel_names_the_user_at_the_other_end_of_a_unix_socket() {
        let (one, _other) = UnixStream::pair().unwrap();
        let user = LocalUser::of_peer(&one).unwrap();
        let uid = rustix::process::geteuid().as_raw();
        assert_eq!(user.peer(), Peer::Local(uid));
        assert_eq!(user.peer().to_string(), format!("uid:{uid}"));
    }

    #[test]
    fn a_local_user_sends_from_the_listed_addresses_and_from_the_own_one() {
        let ann = LocalUser { uid: 1000, name: "ann".into() };
        for (list, from, allowed) in [
            (&["@example.org"][..], "<any@example.org>", true),
            (&["@example.org"], "<ann@relay.example>", true),
            (&["@example.org"], "<bob@relay.example>", false),
            (&["@example.org"], "<>", true),
            (&[], "<ann@relay.example>", true),
            (&[], "<ann@example.org>", false),
            (&["*"], "<anybody@anywhere.example>", true),
        ] {
            assert_eq!(allows(&ann, list, from), allowed, "{list:?} {from}");
        }
        let submitter = ann.submit(&AllowedSenders::all(), &ReversePath::parse("<>").unwrap());
        let submitter = submitter.unwrap();
        assert_eq!((submitter.peer(), submitter.user()), (Peer::Local(1000), Some("ann")));
    }

    #[test]
    fn a_name_that_is_too_long_for_an_address_has_none() {
        let hostname = Domain::parse("relay.example").unwrap();
        for (name, address) in
            [("1000".to_owned(), Some("1000@relay.example")), ("a".repeat(300), None)]
        {
            let user = LocalUser { uid: 1000, name: name.into() };
            assert_eq!(user.address(&hostname).map(|own| own.to_string()).as_deref(), address);
        }
    }
}
