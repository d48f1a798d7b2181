//! Accepts connections, as many as there are permits for, and ends them at a shutdown.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use access::{AllowedRecipients, AllowedSenders, Networks, Users};
use clock::Clock;
use queue::Queue;
use tokio::net::{TcpListener, UnixListener};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, debug, error, info, warn};

use crate::arrival::{Arrival, Rooms};
use crate::caller::{Caller, Socket};
use crate::connections::Connections;
use crate::host::Host;
use crate::observer::{Observer, Open, Unobserved};
use crate::rules::Rules;
use crate::service::Service;
use crate::settings::{Limits, ListenerSettings};
use crate::tls::ServerTls;

/// How long to rest when the system gives no more connections, mostly for want of descriptors.
const REST: Duration = Duration::from_millis(100);

/// How many clients at once get the reply that there is no room for them; more are cut off without it.
const MAX_TURNED_AWAY: usize = 64;

/// How many of them may be connections of one client.
const MAX_TURNED_AWAY_PER_CLIENT: usize = 8;

/// Of so many connections one may be of a proxy that has not said yet for whom, and how many may be
/// at least: a proxy says so in its first packet.
const SILENT_PROXIES: usize = 4;
const LEAST_SILENT_PROXIES: usize = 16;

/// Who may hand in mail, and how it is known who they are.
#[derive(Clone, Debug)]
pub struct Access {
    /// Whose hosts may submit.
    pub networks: Networks,
    /// What the users of this machine may send from, each besides the own address: those of
    /// [`Listener::serve_local`].
    pub local_senders: AllowedSenders,
    /// Whose hosts may say for whom they connect, on sockets with [`ProxyMode::Required`].
    ///
    /// [`ProxyMode::Required`]: crate::ProxyMode::Required
    pub proxies: Networks,
    /// Whom mail may be sent to.
    pub recipients: AllowedRecipients,
    /// Who may submit from anywhere.
    pub users: Users,
    /// What clients are shown under TLS; without it no socket offers TLS.
    pub tls: Option<ServerTls>,
}

/// Nobody may, but for users of this machine where there is a socket for them.
impl Default for Access {
    fn default() -> Self {
        Self {
            networks: Networks::default(),
            local_senders: AllowedSenders::all(),
            proxies: Networks::default(),
            recipients: AllowedRecipients::default(),
            users: Users::default(),
            tls: None,
        }
    }
}

/// Takes in mail by SMTP and puts it into the queue.
///
/// One listener may serve many sockets; its limits hold for all of them together.
#[derive(Clone, Debug)]
pub struct Listener {
    /// What connections begin with; those that are there keep what they began with.
    host: Arc<RwLock<Arc<Host>>>,
    /// What is offered at an address other than it was served with at first.
    services: Arc<RwLock<HashMap<SocketAddr, Service>>>,
    rooms: Rooms,
}

impl Listener {
    /// A listener for clients in `networks`.
    #[must_use]
    pub fn new(
        settings: ListenerSettings,
        networks: Networks,
        queue: Queue,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let access = Access { networks, ..Access::default() };
        Self::with(settings, access, queue, clock, Arc::new(Unobserved))
    }

    /// A listener for everyone whom `access` lets in, that reports to `observer` what happens.
    #[must_use]
    pub fn with(
        settings: ListenerSettings,
        access: Access,
        queue: Queue,
        clock: Arc<dyn Clock>,
        observer: Arc<dyn Observer>,
    ) -> Self {
        let rooms = Rooms {
            connections: Connections::new(1, 1),
            proxies: Connections::new(1, 1),
            turned_away: Connections::new(MAX_TURNED_AWAY, MAX_TURNED_AWAY_PER_CLIENT),
        };
        make_room(&rooms, settings.limits);
        let host = Host::new(rules(settings, access), queue, clock, observer);
        Self { host: Arc::new(RwLock::new(Arc::new(host))), services: Arc::default(), rooms }
    }

    /// Puts other users in the place of those that were; who has logged in stays logged in.
    pub fn replace_users(&self, users: Users) {
        *self.host().rules.users.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(users);
    }

    /// Takes in mail by other settings from now on; who is connected stays under those before.
    ///
    /// What clients did before still counts, and so does how many there are.
    pub fn reload(&self, settings: ListenerSettings, access: Access) {
        let before = self.host();
        let (limits, rates) = (settings.limits, settings.rates);
        let mut rules = rules(settings, access);
        rules.meters = Arc::clone(&before.rules.meters);
        rules.guesses = Arc::clone(&before.rules.guesses);
        rules.meters.pace(rates);
        make_room(&self.rooms, limits);
        let (queue, clock) = (before.queue.clone(), Arc::clone(&before.clock));
        let host = Host::new(rules, queue, clock, Arc::clone(&before.observer));
        *self.host.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(host);
    }

    /// Offers something else to those who connect to `address` from now on.
    pub fn offer(&self, address: SocketAddr, service: Service) {
        let mut services = self.services.write().unwrap_or_else(PoisonError::into_inner);
        services.insert(address, service);
    }

    /// What a connection begins with now.
    fn host(&self) -> Arc<Host> {
        Arc::clone(&self.host.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// What is offered at `address`, unless that has changed: `service`.
    fn service(&self, address: Option<SocketAddr>, service: Service) -> Service {
        let services = self.services.read().unwrap_or_else(PoisonError::into_inner);
        address.and_then(|address| services.get(&address).copied()).unwrap_or(service)
    }

    /// Serves the clients of one socket until `stop`.
    ///
    /// Then nobody is accepted any more, messages under way are taken to their end, and everybody
    /// else gets 421. Dropping the future breaks off what is left.
    pub async fn serve(&self, socket: TcpListener, service: Service, stop: CancellationToken) {
        self.take_in(Socket::Network(socket), service, stop).await;
    }

    /// Serves programs of this machine until `stop`, as [`Listener::serve`] does clients.
    ///
    /// They speak SMTP too, and every limit holds for each user as for an address. Nobody logs in: the
    /// kernel names the user.
    pub async fn serve_local(&self, socket: UnixListener, stop: CancellationToken) {
        self.take_in(Socket::Local(socket), Service::default(), stop).await;
    }

    /// Serves those who come to `socket` until `stop`.
    async fn take_in(&self, socket: Socket, service: Service, stop: CancellationToken) {
        let (address, listener) = (socket.address(), socket.in_words());
        info!(%listener, "listening");
        let mut sessions = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(ended) = sessions.join_next() => log_panic(ended),
                accepted = socket.accept() => match accepted {
                    Ok(caller) => {
                        let span = caller.span(&listener);
                        let session = self.session(caller, self.service(address, service), &stop);
                        sessions.spawn(session.instrument(span));
                    }
                    Err(error) => rest(&error).await,
                },
            }
        }
        drop(socket);
        debug!(%listener, open = sessions.len(), "stopped listening");
        while let Some(ended) = sessions.join_next().await {
            log_panic(ended);
        }
    }

    /// Serves one client to its end. It is counted from here on, not from when it is first served.
    fn session(
        &self,
        caller: Caller,
        service: Service,
        stop: &CancellationToken,
    ) -> impl Future<Output = ()> + Send + use<> {
        let (host, stop, rooms) = (self.host(), stop.clone(), self.rooms.clone());
        let open = Open::report(&host.observer);
        async move {
            match caller {
                Caller::Network(stream, peer) => {
                    let arrival = Arrival { stream, service, host, stop, open };
                    arrival.serve_network(peer.ip().to_canonical(), rooms).await;
                }
                Caller::Local(stream) => {
                    let arrival = Arrival { stream, service, host, stop, open };
                    arrival.serve_local(rooms).await;
                }
            }
        }
    }
}

/// Makes room for so many connections.
fn make_room(rooms: &Rooms, limits: Limits) {
    let Limits { connections, connections_per_client, .. } = limits;
    rooms.connections.limit(connections, connections_per_client);
    let proxies = connections.div_euclid(SILENT_PROXIES).max(LEAST_SILENT_PROXIES);
    rooms.proxies.limit(proxies, proxies);
}

/// What sessions are judged by.
fn rules(settings: ListenerSettings, access: Access) -> Rules {
    let Access { networks, local_senders, proxies, recipients, users, tls } = access;
    let mut rules = Rules::new(settings, networks);
    rules.local_senders = local_senders;
    rules.proxies = proxies;
    rules.recipients = recipients;
    rules.users = RwLock::new(Arc::new(users));
    rules.tls = tls;
    rules
}

/// Waits until the system may have recovered. A connection that its client broke off before it was
/// accepted is no trouble of the system's, and nobody waits for it.
async fn rest(error: &io::Error) {
    if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) {
        debug!(%error, "connection lost before it was accepted");
        return;
    }
    warn!(%error, "connection could not be accepted");
    tokio::time::sleep(REST).await;
}

/// Logs a connection task that panicked; it ends no other.
fn log_panic(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        error!(%error, "connection task panicked");
    }
}
