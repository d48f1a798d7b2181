//! The policy hosts of a world, one for each domain.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::authority::Authority;
use crate::loopback::Loopback;
use crate::names::Names;
use crate::policy_host::{PolicyBehaviour, PolicyHost};
use crate::tasks::Tasks;

/// The policy hosts there are, and what it takes to start one.
#[derive(Debug)]
pub(crate) struct PolicyHosts {
    loopback: Arc<Loopback>,
    authority: Arc<Authority>,
    names: Names,
    tasks: Tasks,
    /// By the name of the host.
    started: Mutex<HashMap<String, PolicyHost>>,
}

impl PolicyHosts {
    /// None yet.
    pub(crate) fn new(
        loopback: &Arc<Loopback>,
        authority: &Arc<Authority>,
        names: &Names,
        tasks: &Tasks,
    ) -> Self {
        Self {
            loopback: Arc::clone(loopback),
            authority: Arc::clone(authority),
            names: names.clone(),
            tasks: tasks.clone(),
            started: Mutex::default(),
        }
    }

    /// Starts the host of `domain` at an address of its own, to which `mta-sts.` and the domain
    /// lead; if there is one already, only what it does is changed.
    ///
    /// # Panics
    /// Somebody listens on the world's HTTPS port at all addresses.
    pub(crate) async fn host(&self, domain: &str, behaviour: PolicyBehaviour) -> PolicyHost {
        self.named(&format!("mta-sts.{domain}"), behaviour).await
    }

    /// Starts the host of this name at an address of its own, to which the name leads; if there is
    /// one already, only what it does is changed.
    ///
    /// # Panics
    /// Somebody listens on the world's HTTPS port at all addresses.
    pub(crate) async fn named(&self, name: &str, behaviour: PolicyBehaviour) -> PolicyHost {
        let known = self.started().get(name).cloned();
        if let Some(host) = known {
            host.behave(behaviour);
            return host;
        }
        let address = SocketAddr::new(self.loopback.address(), self.loopback.https_port());
        let (authority, tasks) = (Arc::clone(&self.authority), self.tasks.clone());
        let host = PolicyHost::start(name, address, behaviour, authority, tasks)
            .await
            .expect("the HTTPS port is free at a fresh address");
        self.names.add_address(name, address.ip());
        self.started().insert(name.to_owned(), host.clone());
        host
    }

    fn started(&self) -> std::sync::MutexGuard<'_, HashMap<String, PolicyHost>> {
        self.started.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
