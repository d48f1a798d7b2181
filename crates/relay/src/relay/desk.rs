//! What answers commands about a queue in a database where no relay runs on this machine: a node that takes
//! nothing in, sends nothing, and ends with the command.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use admin::server::{self, actions::Actions};
use clock::{Clock, SteadyClock, SystemClock};
use delivery::{Delivery, Unobserved, Unrecorded};
use dns::{Dns, Resolver};
use queue::Queue;
use settings::{ChosenStore, Settings};
use store_postgres::{Migrate, Standby};
use tempfile::TempDir;
use tokio::net::UnixListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::data_dir::open_queue;
use super::parts::{actions, install_crypto_provider, policies};
use super::start_error::StartError;

/// How its node is marked among those that share the store.
const MARK: &str = "(command)";

/// The longest name of a node, without the mark.
const NAME_MOST: usize = 63 - MARK.len();

/// An admin interface at a socket that nobody else knows.
#[derive(Debug)]
pub(crate) struct Desk {
    queue: Queue,
    socket: PathBuf,
    stop: CancellationToken,
    serving: JoinSet<()>,
    _dir: TempDir,
}

impl Desk {
    /// Opens the database of these settings; it has to be a store already.
    ///
    /// # Errors
    ///
    /// [`StartError`].
    pub(crate) async fn open(mut settings: Settings) -> Result<Self, StartError> {
        install_crypto_provider();
        let dir = TempDir::with_prefix("sts-relay")
            .map_err(|source| StartError::DataDir { path: std::env::temp_dir(), source })?;
        if let ChosenStore::Postgres(shared) = &mut settings.store {
            let own = &mut shared.settings;
            own.dir = dir.path().join("node");
            own.node = own.node.chars().take(NAME_MOST).chain(MARK.chars()).collect();
            own.migrate = Migrate::Manual;
            own.standby = Standby::Any;
        }
        let clock = Arc::new(SteadyClock::new(Arc::new(SystemClock)));
        let queue = open_queue(&settings, &clock).await?;
        let socket = dir.path().join("admin.sock");
        match Box::pin(at_work(&settings, &queue, clock, &socket)).await {
            Ok((listener, actions)) => {
                let (stop, mut serving) = (CancellationToken::new(), JoinSet::new());
                let stopped = stop.clone();
                let _handle = serving.spawn(server::serve_actions(listener, actions, stopped));
                Ok(Self { queue, socket, stop, serving, _dir: dir })
            }
            Err(error) => {
                queue.close().await;
                Err(error)
            }
        }
    }

    /// Where it answers.
    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    /// Leaves the store in order.
    pub(crate) async fn close(mut self) {
        self.stop.cancel();
        self.serving.shutdown().await;
        self.queue.close().await;
    }
}

/// What it answers, and where.
async fn at_work(
    settings: &Settings,
    queue: &Queue,
    clock: Arc<SteadyClock>,
    socket: &Path,
) -> Result<(UnixListener, Actions), StartError> {
    let clock: Arc<dyn Clock> = clock;
    let dns: Arc<dyn Dns> = Arc::new(Resolver::new(settings.dns.clone())?);
    let policies = policies(settings, queue, &dns, &clock).map_err(StartError::TlsToPolicyHosts)?;
    let policies = Arc::new(policies);
    let delivery = Delivery::new(
        settings.delivery.clone(),
        queue.clone(),
        dns,
        Arc::clone(&policies),
        settings.roots.clone(),
        Arc::clone(&clock),
        Arc::new(Unobserved),
        Arc::new(Unrecorded),
    )?;
    let actions = actions(settings, queue, &policies, &delivery, &clock).await;
    let listener = UnixListener::bind(socket)
        .map_err(|source| StartError::DataDir { path: socket.to_owned(), source })?;
    Ok((listener, actions))
}
