//! Policy hosts: HTTPS servers that do as they are told (RFC 8461 §3.3).
//!
//! HTTP/1.1 is written here by hand, since most of what is wanted is what no HTTP library does.

mod behaviour;
mod host;
mod serve;
#[cfg(test)]
mod tests;
mod visit;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use self::behaviour::Paths;
use self::host::Host;
use crate::authority::Authority;
use crate::scripted_host::ScriptedHost;
use crate::tasks::Tasks;

pub use self::behaviour::PolicyBehaviour;
pub use self::visit::{Request, Visit};

/// A running policy host. Clones are the same host.
#[derive(Clone, Debug)]
pub struct PolicyHost {
    host: Arc<Host>,
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
        let scripted = ScriptedHost::new(name, address, behaviour, authority, tasks);
        let host = Arc::new(Host { scripted, visits: watch::Sender::default() });
        let policy_host = Self { host };
        policy_host.open().await?;
        Ok(policy_host)
    }

    /// The host's name, such as `mta-sts.example.test`.
    #[must_use]
    pub fn name(&self) -> &str {
        self.host.scripted.name()
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.host.scripted.address()
    }

    /// Changes what the host does, from the next connection on; not for which paths it answers.
    pub fn behave(&self, behaviour: impl Into<PolicyBehaviour>) {
        let behaviour = behaviour.into();
        let paths = self.host.scripted.with_script(|script| script.behaviour.paths());
        self.host.scripted.behave(match paths {
            Paths::Any => behaviour.at_any_path(),
            Paths::Policy => behaviour,
        });
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
        self.host.scripted.close().await;
    }

    /// Comes back after [`PolicyHost::close`].
    ///
    /// # Errors
    /// Its address is in use, by itself if it was not closed.
    pub async fn open(&self) -> io::Result<()> {
        let host = Arc::clone(&self.host);
        let serve = move |stream, peer| serve::serve(Arc::clone(&host), stream, peer);
        self.host.scripted.open(serve).await
    }
}
