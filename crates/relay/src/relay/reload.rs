//! Other settings for a relay that runs: all of them, or none.
//!
//! Whatever can fail is done first and changes nothing; what then takes the new in the place of the
//! old cannot fail. Connections and attempts under way end under the settings they began with.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use clock::{Clock, SteadyClock};
use delivery::{Delivery, Reloaded};
use dns::{Resolver, ResolverError};
use listener::ServerTls;
use mta_sts::Fetcher;
use pkix::SetupError;
use reporting::ReadyReporting;
use settings::{Listening, Settings};
use thiserror::Error;

use super::parts::fetcher;
use super::reports::Reports;
use crate::certificates::{self, SelfSignedError};

/// What needs a restart, by key; `config/sts-relay.toml` says so too.
const DATA_DIR: &str = "data_dir";
const ADMIN_ADDRESS: &str = "admin.address";
const ADMIN_PAGE: &str = "admin.page";
const ADMIN_CERTIFICATE: &str = "admin.certificate";
const ADMIN_SOCKET: &str = "admin.socket";
const SUBMIT_SOCKET: &str = "submission.socket";
const HISTORY: &str = "[history]";
const STORE: &str = "[store]";
const ADDRESSES: &str = "the addresses of [[listener]]";

/// The new settings are not used, and nothing has changed.
#[derive(Debug, Error)]
pub enum ReloadError {
    /// No certificate was named, and none can be made.
    #[error("a self-signed certificate cannot be created")]
    Certificate(#[from] SelfSignedError),
    /// There is nobody to ask for names.
    #[error("DNS resolution cannot be set up")]
    Dns(#[from] ResolverError),
    /// TLS cannot be set up.
    #[error("TLS cannot be set up")]
    Tls(#[from] SetupError),
    /// TLS to policy hosts cannot be set up.
    #[error("TLS to policy hosts cannot be set up")]
    TlsToPolicyHosts(#[source] rustls::Error),
}

/// All that is new, ready to be used.
pub(super) struct Ready {
    pub(super) tls: Option<ServerTls>,
    pub(super) resolver: Resolver,
    pub(super) fetcher: Fetcher,
    pub(super) delivery: Reloaded,
    pub(super) reports: ReadyReporting,
}

impl Ready {
    /// Does all that can fail.
    pub(super) fn prepare(
        settings: &Settings,
        clock: &Arc<SteadyClock>,
        delivery: &Delivery,
        reports: &Reports,
    ) -> Result<Self, ReloadError> {
        let any: Arc<dyn Clock> = Arc::<SteadyClock>::clone(clock);
        Ok(Self {
            tls: certificates::of(settings, clock.wall())?,
            resolver: Resolver::new(settings.dns.clone())?,
            fetcher: fetcher(settings, &any).map_err(ReloadError::TlsToPolicyHosts)?,
            reports: reports.prepare(settings)?,
            delivery: delivery.reloaded(settings.delivery.clone(), settings.roots.clone())?,
        })
    }
}

/// What is offered at each address that is listened at.
pub(super) fn services<'a>(
    addresses: &'a [SocketAddr],
    listeners: &'a [Listening],
) -> impl Iterator<Item = (SocketAddr, listener::Service)> + 'a {
    addresses.iter().copied().zip(listeners.iter().map(|one| one.service))
}

/// The files of the certificate at the admin address.
fn files_of(settings: &Settings) -> Option<[&Path; 2]> {
    Some(settings.page.as_ref()?.tls.as_ref()?.files())
}

/// Takes over into `new` what cannot change while the relay runs, and names what differs.
pub(super) fn keep_what_needs_a_restart(old: &Settings, new: &mut Settings) -> Vec<&'static str> {
    let mut kept = Vec::new();
    let usual_socket = |settings: &Settings| settings.data_dir.join("admin.sock");
    let both_usual = old.admin_socket == usual_socket(old) && new.admin_socket == usual_socket(new);
    if old.admin_socket != new.admin_socket && !both_usual {
        kept.push(ADMIN_SOCKET);
    }
    if old.page.is_some() != new.page.is_some() {
        kept.push(ADMIN_PAGE);
    }
    if files_of(old) != files_of(new) {
        kept.push(ADMIN_CERTIFICATE);
    }
    if old.admin_address != new.admin_address {
        kept.push(ADMIN_ADDRESS);
    }
    if old.submit_socket != new.submit_socket {
        kept.push(SUBMIT_SOCKET);
    }
    if old.data_dir != new.data_dir {
        kept.push(DATA_DIR);
    }
    let addresses =
        |listeners: &[Listening]| -> Vec<_> { listeners.iter().map(|one| one.address).collect() };
    if addresses(&old.listeners) != addresses(&new.listeners) {
        kept.push(ADDRESSES);
        new.listeners.clone_from(&old.listeners);
    }
    new.history.dir.clone_from(&old.history.dir);
    if old.history != new.history {
        kept.push(HISTORY);
        new.history.clone_from(&old.history);
    }
    new.admin_address = old.admin_address;
    new.admin_socket.clone_from(&old.admin_socket);
    new.submit_socket.clone_from(&old.submit_socket);
    new.data_dir.clone_from(&old.data_dir);
    if new.store.keep(&old.store) {
        kept.push(STORE);
    }
    kept
}
