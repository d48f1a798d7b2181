//! Tells operators whether a resolver validates DNSSEC, without which there is no DANE.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use admin::metrics::{DaneActivity, ValidationMetrics};
use dns::ServerState;
use tls_policy::DaneMode;
use tracing::{info, warn};

/// What to do about it.
pub(crate) const REMEDY: &str = "run a validating resolver on this machine: `apt-get install unbound`, and \
                      servers = [\"127.0.0.1\"] under [dns]; or, where the network to a validating \
                      resolver cannot be tampered with, dnssec = \"trust-ad\" under [dns]";

/// Tells of changes, in the log and as metrics.
#[derive(Debug)]
pub(crate) struct ValidationNews {
    metrics: Arc<ValidationMetrics>,
    told: Mutex<Told>,
}

#[derive(Debug)]
struct Told {
    mode: DaneMode,
    last: Option<DaneActivity>,
}

impl ValidationNews {
    /// Nothing has been told yet.
    pub(crate) const fn new(metrics: Arc<ValidationMetrics>, mode: DaneMode) -> Self {
        Self { metrics, told: Mutex::new(Told { mode, last: None }) }
    }

    /// Goes by another mode from the next change on.
    pub(crate) fn reload(&self, mode: DaneMode) {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).mode = mode;
    }

    /// Tells how things are now, if they are not as they were.
    pub(crate) fn tell(&self, states: &[(SocketAddr, ServerState)]) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let validates = |(_, state): &(SocketAddr, ServerState)| state.validates();
        let is_active = looks(told.mode) && states.iter().any(validates);
        let now = if is_active { DaneActivity::Active } else { DaneActivity::Inactive };
        self.metrics.set(now, states.iter().map(validates));
        let (mode, before) = (told.mode, told.last.replace(now));
        drop(told);
        match (mode, now) {
            _ if before == Some(now) => {}
            (DaneMode::Off, _) => {}
            (DaneMode::Auto | DaneMode::Required, DaneActivity::Active) => info!("DANE active"),
            (DaneMode::Auto, DaneActivity::Inactive) => {
                warn!(why = why_inactive(states), remedy = REMEDY, "DANE inactive");
            }
            (DaneMode::Required, DaneActivity::Inactive) => {
                let why = why_inactive(states);
                warn!(why, remedy = REMEDY, "DANE inactive: mail waits that it could protect");
            }
        }
    }
}

/// Whether TLSA records are looked for in this mode, if any resolver validates.
const fn looks(mode: DaneMode) -> bool {
    match mode {
        DaneMode::Auto | DaneMode::Required => true,
        DaneMode::Off => false,
    }
}

/// Why no resolver's word on DNSSEC counts, and what to do about it; none where one does.
pub(crate) fn inactive(states: &[(SocketAddr, ServerState)]) -> Option<String> {
    let is_active = states.iter().any(|(_, state)| state.validates());
    (!is_active)
        .then(|| format!("DANE is inactive: {}; to change that, {REMEDY}", why_inactive(states)))
}

/// Why no resolver's word on DNSSEC counts, server by server.
pub(crate) fn why_inactive(states: &[(SocketAddr, ServerState)]) -> String {
    let each = states.iter().map(|(server, state)| match state {
        ServerState::Distrusted => {
            format!("{server} is not trusted to validate DNSSEC (dns.dnssec)")
        }
        ServerState::Fails(why) => format!("{server} does not validate DNSSEC: {why}"),
        ServerState::Untested => format!("{server} has not been tested yet"),
        ServerState::Validates => format!("{server} validates DNSSEC"),
    });
    each.collect::<Vec<_>>().join("; ")
}
