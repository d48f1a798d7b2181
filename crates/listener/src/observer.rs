//! What is reported of the listener: to metrics, to tests.

use std::fmt::Debug;
use std::sync::Arc;

/// Receives what happens; must not block.
pub trait Observer: Debug + Send + Sync {
    /// A client has connected.
    fn opened(&self);

    /// A client's connection has ended, whoever ended it.
    fn closed(&self);

    /// A message was taken; it is in the queue.
    fn accepted(&self, message: Taken);

    /// Something was refused, for the reason that the log has, too.
    fn refused(&self, what: Refused, reason: &'static str);

    /// A user has tried to log in.
    fn login(&self, login: Login);
}

/// Receives everything and does nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unobserved;

impl Observer for Unobserved {
    fn opened(&self) {}

    fn closed(&self) {}

    fn accepted(&self, _message: Taken) {}

    fn refused(&self, _what: Refused, _reason: &'static str) {}

    fn login(&self, _login: Login) {}
}

/// A message that was taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Taken {
    /// How many recipients it has.
    pub recipients: usize,
    /// Bytes of header and body, without our own fields.
    pub size: u64,
    /// Whether it came under TLS.
    pub channel: Channel,
}

/// How a client is connected.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Channel {
    /// In clear.
    Plaintext,
    /// Under TLS.
    Tls,
}

/// What is refused.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Refused {
    /// One command.
    Command,
    /// The client itself, or that it goes on.
    Connection,
    /// A message whose bytes have come.
    Message,
}

/// What came of a password.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Login {
    /// It is wrong, or the user is.
    Failed,
    /// It is right.
    Succeeded,
}

/// Reports that a client has connected, and when dropped that it has gone.
#[derive(Debug)]
pub(crate) struct Open(Arc<dyn Observer>);

impl Open {
    /// The client has connected.
    pub(crate) fn report(observer: &Arc<dyn Observer>) -> Self {
        observer.opened();
        Self(Arc::clone(observer))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.closed();
    }
}
