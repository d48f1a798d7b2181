//! MX hosts: SMTP servers that do as they are told, well or badly.

mod behaviour;
mod proxy;
mod session;
#[cfg(test)]
mod tests;
mod wire;

use std::collections::HashSet;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rcgen::KeyPair;
use rustls::ServerConfig;

use crate::authority::{Authority, new_key};
use crate::listening::Listening;
use crate::message::{Mailbox, Message, NotYet};
use crate::tap::{Channel, Connection, Tap};
use crate::tasks::Tasks;
use crate::tls::server_config;

pub use self::behaviour::{Act, MxBehaviour, Rule, Step, Strip};

/// A running MX host. Clones are the same host.
#[derive(Clone, Debug)]
pub struct MxHost {
    host: Arc<Host>,
    listening: Arc<Listening>,
}

/// What the sessions of a host share.
pub(crate) struct Host {
    name: String,
    address: SocketAddr,
    authority: Arc<Authority>,
    key: KeyPair,
    script: Mutex<Script>,
    mailbox: Mailbox,
    tap: Tap,
}

/// What a host does at the moment.
struct Script {
    behaviour: MxBehaviour,
    tls: Arc<ServerConfig>,
    chain: Vec<Vec<u8>>,
    /// Sender and recipient pairs that have been turned away once.
    greylisted: HashSet<(String, String)>,
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
        let key = new_key();
        let script = Mutex::new(Script::new(behaviour, name, &authority, &key));
        let name = name.to_owned();
        let host = Host { name, address, authority, key, script, mailbox, tap };
        let listening = Arc::new(Listening::closed(address, tasks));
        let mx = Self { host: Arc::new(host), listening };
        mx.open().await?;
        Ok(mx)
    }

    /// The host's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.host.name
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.host.address
    }

    /// Changes what the host does: from the next step on for open connections, and for what a
    /// handshake shows from the next handshake on. What was counted for [`Rule::times`] and for
    /// greylisting begins anew.
    pub fn behave(&self, behaviour: MxBehaviour) {
        let host = &self.host;
        let script = Script::new(behaviour, &host.name, &host.authority, &host.key);
        host.with_script(|current| *current = script);
    }

    /// The certificates it presents, leaf first, in DER.
    #[must_use]
    pub fn certificate_chain(&self) -> Vec<Vec<u8>> {
        self.host.with_script(|script| script.chain.clone())
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
        self.listening.close().await;
    }

    /// Comes back after [`MxHost::close`].
    ///
    /// # Errors
    /// Its address is in use, by itself if it was not closed.
    pub async fn open(&self) -> io::Result<()> {
        let host = Arc::clone(&self.host);
        let serve = move |stream, peer| session::serve(Arc::clone(&host), stream, peer);
        self.listening.open(serve).await
    }
}

impl Host {
    /// What the host does at `step`, if it is not the usual.
    fn act(&self, step: Step, channel: Channel, recipient: Option<&str>) -> Option<Act> {
        self.with_script(|script| script.behaviour.act(step, channel, recipient))
    }

    /// Looks at what the host is told to do at the moment.
    fn behaviour<R>(&self, look: impl FnOnce(&MxBehaviour) -> R) -> R {
        self.with_script(|script| look(&script.behaviour))
    }

    fn tls(&self) -> Arc<ServerConfig> {
        self.with_script(|script| Arc::clone(&script.tls))
    }

    /// Whether greylisting turns this pair away, which it does once.
    fn greylists(&self, sender: &str, recipient: &str) -> bool {
        self.with_script(|script| {
            let pair = (sender.to_owned(), recipient.to_owned());
            script.behaviour.is_greylisting() && script.greylisted.insert(pair)
        })
    }

    fn with_script<R>(&self, look: impl FnOnce(&mut Script) -> R) -> R {
        look(&mut self.script.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Script {
    fn new(behaviour: MxBehaviour, name: &str, authority: &Authority, key: &KeyPair) -> Self {
        let identity = authority.issue(behaviour.certificate(), name, key);
        let chain = identity.chain.iter().map(|certificate| certificate.to_vec()).collect();
        let tls = Arc::new(server_config(identity, behaviour.versions()));
        Self { behaviour, tls, chain, greylisted: HashSet::new() }
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host")
            .field("name", &self.name)
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}
