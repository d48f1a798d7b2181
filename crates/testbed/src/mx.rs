//! MX hosts: SMTP servers that do as they are told, well or badly.

mod behaviour;
mod dialogue;
mod host;
mod login;
mod message_commands;
mod proxy;
mod session;
#[cfg(test)]
mod tests;
mod transaction;
mod wire;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use self::host::Host;
use crate::authority::Authority;
use crate::message::{Mailbox, Message, NotYet};
use crate::scripted_host::ScriptedHost;
use crate::tap::{Connection, Tap};
use crate::tasks::Tasks;

pub use self::behaviour::{Act, MxBehaviour, Rule, Step, Strip};

/// A running MX host. Clones are the same host.
#[derive(Clone, Debug)]
pub struct MxHost {
    host: Arc<Host>,
}

impl MxHost {
    /// Starts a host at `address`.
    pub(crate) async fn start(
        name: &str,
        address: SocketAddr,
        behaviour: MxBehaviour,
        authority: Arc<Authority>,
        (tap, mailbox, tasks): (Tap, Mailbox, Tasks),
    ) -> io::Result<Self> {
        let scripted = ScriptedHost::new(name, address, behaviour, authority, tasks);
        let mx = Self { host: Arc::new(Host { scripted, mailbox, tap }) };
        mx.open().await?;
        Ok(mx)
    }

    /// The host's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.host.scripted.name()
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.host.scripted.address()
    }

    /// Changes what the host does: from the next step on for open connections, and for what a
    /// handshake shows from the next handshake on. What was counted for [`Rule::times`] and for
    /// greylisting begins from zero.
    pub fn behave(&self, behaviour: MxBehaviour) {
        self.host.scripted.behave(behaviour);
    }

    /// The certificates it presents, leaf first, in DER.
    #[must_use]
    pub fn certificate_chain(&self) -> Vec<Vec<u8>> {
        self.host.certificate_chain()
    }

    /// The messages it has taken, in order.
    #[must_use]
    pub fn messages(&self) -> Vec<Arc<Message>> {
        self.host.mailbox.messages()
    }

    /// Forgets the messages it has taken, and gives them.
    pub fn forget_messages(&self) -> Vec<Arc<Message>> {
        self.host.mailbox.forget()
    }

    /// Waits until it has taken at least `count` messages.
    ///
    /// # Errors
    /// The time was up; the error tells what happened on the wire.
    pub async fn wait_for_messages(
        &self,
        count: usize,
        within: Duration,
    ) -> Result<Vec<Arc<Message>>, NotYet> {
        self.host.mailbox.wait_for(count, within).await
    }

    /// The connections made to it, open ones included.
    #[must_use]
    pub fn connections(&self) -> Vec<Connection> {
        let all = self.host.tap.connections();
        all.into_iter().filter(|connection| connection.address == self.address()).collect()
    }

    /// Goes away: connections break, and new ones are refused.
    pub async fn close(&self) {
        self.host.scripted.close().await;
    }

    /// Comes back after [`MxHost::close`].
    ///
    /// # Errors
    /// Its address is in use, by itself if it was not closed.
    pub async fn open(&self) -> io::Result<()> {
        let host = Arc::clone(&self.host);
        let serve = move |stream, peer| session::serve(Arc::clone(&host), stream, peer);
        self.host.scripted.open(serve).await
    }
}
