//! What all hosts that do as they are told have in common: a name, an address, a certificate for
//! the name, and a script that may be changed while they run.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use rcgen::KeyPair;
use tokio::net::TcpStream;

use crate::authority::{Authority, Identity, new_key};
use crate::certificate::Certificate;
use crate::listening::Listening;
use crate::tasks::Tasks;

/// What a host does at the moment.
pub(crate) trait Script {
    /// What a host is told to do.
    type Behaviour;

    /// The certificate that goes with a behaviour.
    fn certificate(behaviour: &Self::Behaviour) -> &Certificate;

    /// The script of a host that has this identity.
    fn new(behaviour: Self::Behaviour, identity: Identity) -> Self;
}

/// A host that listens and does what its script says.
pub(crate) struct ScriptedHost<S> {
    name: String,
    address: SocketAddr,
    authority: Arc<Authority>,
    key: KeyPair,
    script: Mutex<S>,
    listening: Listening,
}

impl<S: Script> ScriptedHost<S> {
    /// A host at `address` that does not listen yet.
    pub(crate) fn new(
        name: &str,
        address: SocketAddr,
        behaviour: S::Behaviour,
        authority: Arc<Authority>,
        tasks: Tasks,
    ) -> Self {
        let key = new_key();
        let script = Mutex::new(script(behaviour, name, &authority, &key));
        let listening = Listening::closed(address, tasks);
        Self { name: name.to_owned(), address, authority, key, script, listening }
    }

    /// Changes what the host does.
    pub(crate) fn behave(&self, behaviour: S::Behaviour) {
        let script = script(behaviour, &self.name, &self.authority, &self.key);
        self.with_script(|current| *current = script);
    }
}

impl<S> ScriptedHost<S> {
    /// The host's name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Where it listens.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Looks at the script.
    pub(crate) fn with_script<R>(&self, look: impl FnOnce(&mut S) -> R) -> R {
        look(&mut self.script.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Listens, and serves every connection in a task of its own.
    ///
    /// # Errors
    /// The address is in use.
    pub(crate) async fn open<F: Future<Output = ()> + Send + 'static>(
        &self,
        serve: impl Fn(TcpStream, SocketAddr) -> F + Send + 'static,
    ) -> io::Result<()> {
        self.listening.open(serve).await
    }

    /// Breaks every connection, and listens no more.
    pub(crate) async fn close(&self) {
        self.listening.close().await;
    }
}

/// The script for a host of this name.
fn script<S: Script>(
    behaviour: S::Behaviour,
    name: &str,
    authority: &Authority,
    key: &KeyPair,
) -> S {
    let identity = authority.issue(S::certificate(&behaviour), name, key);
    S::new(behaviour, identity)
}

impl<S> fmt::Debug for ScriptedHost<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScriptedHost")
            .field("name", &self.name)
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}
