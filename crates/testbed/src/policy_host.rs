//! Policy hosts: HTTPS servers that do as they are told (RFC 8461 §3.3).
//!
//! HTTP/1.1 is written here by hand, since most of what is wanted is what no HTTP library does.

mod behaviour;
mod serve;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rcgen::KeyPair;
use rustls::ServerConfig;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::authority::{Authority, new_key};
use crate::listening::Listening;
use crate::tasks::Tasks;
use crate::tls::{Handshake, server_config};

pub use self::behaviour::PolicyBehaviour;

/// A running policy host. Clones are the same host.
#[derive(Clone, Debug)]
pub struct PolicyHost {
    host: Arc<Host>,
    listening: Arc<Listening>,
}

/// A connection to a policy host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visit {
    /// The client's address.
    pub peer: SocketAddr,
    /// What became of TLS.
    pub handshake: Handshake,
    /// The request, if one was made.
    pub request: Option<Request>,
}

/// An HTTP request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The first line, such as `GET /.well-known/mta-sts.txt HTTP/1.1`.
    pub line: String,
    /// The header fields, in order.
    pub headers: Vec<(String, String)>,
}

/// What the connections of a host share.
struct Host {
    /// The name by which it is asked for, such as `mta-sts.example.test`.
    name: String,
    address: SocketAddr,
    authority: Arc<Authority>,
    key: KeyPair,
    script: Mutex<Script>,
    visits: watch::Sender<Vec<Visit>>,
}

/// What a host does at the moment.
#[derive(Clone)]
struct Script {
    behaviour: PolicyBehaviour,
    tls: Arc<ServerConfig>,
}

impl PolicyHost {
    /// Starts a host at `address`.
    pub(crate) async fn start(
        name: &str,
        address: SocketAddr,
        behaviour: PolicyBehaviour,
        authority: Arc<Authority>,
        tasks: Tasks,
    ) -> io::Result<Self> {
        let key = new_key();
        let script = Mutex::new(Script::new(behaviour, name, &authority, &key));
        let (name, visits) = (name.to_owned(), watch::Sender::default());
        let host = Arc::new(Host { name, address, authority, key, script, visits });
        let listening = Arc::new(Listening::closed(address, tasks));
        let policy_host = Self { host, listening };
        policy_host.open().await?;
        Ok(policy_host)
    }

    /// The host's name, such as `mta-sts.example.test`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.host.name
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.host.address
    }

    /// Changes what the host does, from the next connection on.
    pub fn behave(&self, behaviour: impl Into<PolicyBehaviour>) {
        let host = &self.host;
        let script = Script::new(behaviour.into(), &host.name, &host.authority, &host.key);
        *host.script.lock().unwrap_or_else(PoisonError::into_inner) = script;
    }

    /// Every connection so far, in order.
    #[must_use]
    pub fn visits(&self) -> Vec<Visit> {
        self.host.visits.borrow().clone()
    }

    /// Every request so far, in order.
    #[must_use]
    pub fn fetches(&self) -> Vec<Request> {
        self.visits().into_iter().filter_map(|visit| visit.request).collect()
    }

    /// Forgets every connection so far.
    pub fn forget(&self) {
        self.host.visits.send_modify(Vec::clear);
    }

    /// Waits until at least `count` requests were made.
    ///
    /// # Errors
    /// The time was up; the error is every connection so far.
    pub async fn wait_for_fetches(&self, count: usize, within: Duration) -> Result<(), Vec<Visit>> {
        let enough =
            |visits: &Vec<Visit>| visits.iter().filter(|v| v.request.is_some()).count() >= count;
        self.wait_until(within, enough).await
    }

    /// Waits until at least `count` connections have come and gone.
    ///
    /// # Errors
    /// The time was up; the error is every connection so far.
    pub async fn wait_for_visits(&self, count: usize, within: Duration) -> Result<(), Vec<Visit>> {
        self.wait_until(within, |visits| visits.len() >= count).await
    }

    async fn wait_until(
        &self,
        within: Duration,
        condition: impl FnMut(&Vec<Visit>) -> bool,
    ) -> Result<(), Vec<Visit>> {
        let mut changes = self.host.visits.subscribe();
        let in_time = timeout(within, changes.wait_for(condition)).await.is_ok();
        if in_time { Ok(()) } else { Err(self.visits()) }
    }

    /// Goes away: connections break, and new ones are refused.
    pub async fn close(&self) {
        self.listening.close().await;
    }

    /// Comes back after [`PolicyHost::close`].
    ///
    /// # Errors
    /// Its address is in use, by itself if it was not closed.
    pub async fn open(&self) -> io::Result<()> {
        let host = Arc::clone(&self.host);
        let serve = move |stream, peer| serve::serve(Arc::clone(&host), stream, peer);
        self.listening.open(serve).await
    }
}

impl Request {
    /// The path that was asked for.
    #[must_use]
    pub fn path(&self) -> &str {
        self.line.split_ascii_whitespace().nth(1).unwrap_or_default()
    }

    /// The value of the first header field of this name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let field = self.headers.iter().find(|(field, _)| field.eq_ignore_ascii_case(name));
        field.map(|(_, value)| value.as_str())
    }
}

impl Host {
    fn script(&self) -> Script {
        self.script.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Script {
    fn new(behaviour: PolicyBehaviour, name: &str, authority: &Authority, key: &KeyPair) -> Self {
        let identity = authority.issue(behaviour.certificate(), name, key);
        let mut tls = server_config(identity, behaviour.versions());
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Self { behaviour, tls: Arc::new(tls) }
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
