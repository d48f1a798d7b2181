//! What the connections of a policy host share.

use std::sync::Arc;

use rustls::ServerConfig;
use tokio::sync::watch;

use super::behaviour::PolicyBehaviour;
use super::visit::Visit;
use crate::authority::Identity;
use crate::certificate::Certificate;
use crate::scripted_host::{Script, ScriptedHost};
use crate::tls::server_config;

/// What the connections of a host share.
#[derive(Debug)]
pub(super) struct Host {
    /// Its name is the one by which it is asked for, such as `mta-sts.example.test`.
    pub(super) scripted: ScriptedHost<PolicyScript>,
    pub(super) visits: watch::Sender<Vec<Visit>>,
}

/// What a host does at the moment.
#[derive(Clone)]
pub(super) struct PolicyScript {
    pub(super) behaviour: PolicyBehaviour,
    pub(super) tls: Arc<ServerConfig>,
}

impl Script for PolicyScript {
    type Behaviour = PolicyBehaviour;

    fn certificate(behaviour: &PolicyBehaviour) -> &Certificate {
        behaviour.certificate()
    }

    fn new(behaviour: PolicyBehaviour, identity: Identity) -> Self {
        let mut tls = server_config(identity, behaviour.versions());
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Self { behaviour, tls: Arc::new(tls) }
    }
}
