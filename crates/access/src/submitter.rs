//! The proof that a client was admitted.

use std::sync::Arc;

use crate::peer::Peer;

/// Licence to put mail into the queue.
///
/// Only admission makes one; nothing else can:
///
/// ```compile_fail,E0451
/// fn open_relay(peer: access::Peer) -> access::Submitter {
///     access::Submitter { peer, user: None }
/// }
/// ```
///
/// and who was admitted stays readable:
///
/// ```
/// fn who(submitter: &access::Submitter) -> access::Peer {
///     submitter.peer()
/// }
/// ```
///
/// It is spent by the draft it makes, so one admission is one transaction:
///
/// ```compile_fail,E0599
/// fn twice(submitter: &access::Submitter) -> access::Submitter {
///     submitter.clone()
/// }
/// ```
#[derive(Debug)]
pub struct Submitter {
    peer: Peer,
    user: Option<Arc<str>>,
}

impl Submitter {
    /// Who was admitted.
    #[must_use]
    pub const fn peer(&self) -> Peer {
        self.peer
    }

    /// The user who proved to be one, by a password or to the kernel; none for a host that was admitted by
    /// its network.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// The client at `peer`; a list of networks holds it, or it proved to be `user`.
    pub(crate) const fn admitted(peer: Peer, user: Option<Arc<str>>) -> Self {
        Self { peer, user }
    }
}
