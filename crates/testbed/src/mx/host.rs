//! What the sessions of an MX host share.

use std::collections::HashSet;
use std::sync::Arc;

use rustls::ServerConfig;

use super::behaviour::{Act, MxBehaviour, Step};
use crate::authority::Identity;
use crate::certificate::Certificate;
use crate::message::Mailbox;
use crate::scripted_host::{Script, ScriptedHost};
use crate::tap::{Channel, Tap};
use crate::tls::server_config;

/// What the sessions of a host share.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) scripted: ScriptedHost<MxScript>,
    pub(super) mailbox: Mailbox,
    pub(super) tap: Tap,
}

/// What a host does at the moment.
pub(super) struct MxScript {
    behaviour: MxBehaviour,
    tls: Arc<ServerConfig>,
    chain: Vec<Vec<u8>>,
    /// Sender and recipient pairs that have been turned away once.
    greylisted: HashSet<(String, String)>,
}

impl Host {
    /// What the host does at `step`, if it is not the usual.
    pub(super) fn act(&self, step: Step, channel: Channel, recipient: Option<&str>) -> Option<Act> {
        self.scripted.with_script(|script| script.behaviour.act(step, channel, recipient))
    }

    /// Looks at what the host is told to do at the moment.
    pub(super) fn behaviour<R>(&self, look: impl FnOnce(&MxBehaviour) -> R) -> R {
        self.scripted.with_script(|script| look(&script.behaviour))
    }

    /// What it shakes hands with.
    pub(super) fn tls(&self) -> Arc<ServerConfig> {
        self.scripted.with_script(|script| Arc::clone(&script.tls))
    }

    /// Whether greylisting turns this pair away, which it does once.
    pub(super) fn greylists(&self, sender: &str, recipient: &str) -> bool {
        self.scripted.with_script(|script| {
            let pair = (sender.to_owned(), recipient.to_owned());
            script.behaviour.is_greylisting() && script.greylisted.insert(pair)
        })
    }

    /// The certificates it presents, leaf first, in DER.
    pub(super) fn certificate_chain(&self) -> Vec<Vec<u8>> {
        self.scripted.with_script(|script| script.chain.clone())
    }
}

impl Script for MxScript {
    type Behaviour = MxBehaviour;

    fn certificate(behaviour: &MxBehaviour) -> &Certificate {
        behaviour.certificate()
    }

    fn new(behaviour: MxBehaviour, identity: Identity) -> Self {
        let chain = identity.chain.iter().map(|certificate| certificate.to_vec()).collect();
        let tls = Arc::new(server_config(identity, behaviour.versions()));
        Self { behaviour, tls, chain, greylisted: HashSet::new() }
    }
}
