//! Further resolvers for the names of a world, which may stop and start.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::watch;

use super::resolver_behaviour::ResolverBehaviour;
use super::server::{self, Answerer};
use super::zone::Zone;
use crate::tasks::Tasks;

/// A resolver for the names of a world.
#[derive(Debug)]
pub struct Resolver {
    zone: Arc<watch::Sender<Zone>>,
    address: SocketAddr,
    behaviour: watch::Sender<ResolverBehaviour>,
    questions: Arc<AtomicUsize>,
    world: Tasks,
    /// Its tasks since it was last started.
    running: Mutex<Tasks>,
}

impl Resolver {
    pub(super) async fn start(
        zone: Arc<watch::Sender<Zone>>,
        ip: IpAddr,
        behaviour: ResolverBehaviour,
        world: &Tasks,
    ) -> io::Result<Self> {
        let sockets = server::sockets(ip).await?;
        let resolver = Self {
            zone,
            address: sockets.0.local_addr()?,
            behaviour: watch::Sender::new(behaviour),
            questions: Arc::default(),
            world: world.clone(),
            running: Mutex::default(),
        };
        resolver.run(sockets);
        Ok(resolver)
    }

    fn run(&self, sockets: (UdpSocket, TcpListener)) {
        let answerer = Answerer {
            zone: Arc::clone(&self.zone),
            behaviour: self.behaviour.subscribe(),
            questions: Arc::clone(&self.questions),
        };
        let tasks = self.world.child();
        server::start(answerer, sockets, &tasks);
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = tasks;
    }

    /// Where it listens, over UDP and TCP.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Makes something else of DNSSEC from now on.
    pub fn behave(&self, behaviour: ResolverBehaviour) {
        self.behaviour.send_replace(behaviour);
    }

    /// How many questions it was asked.
    #[must_use]
    pub fn questions(&self) -> usize {
        self.questions.load(Ordering::Relaxed)
    }

    /// Closes its sockets: whoever asks is refused.
    pub async fn stop(&self) {
        let tasks = self.running.lock().unwrap_or_else(PoisonError::into_inner).clone();
        tasks.stop();
        tasks.ended().await;
    }

    /// Listens again where it has listened before it was stopped.
    ///
    /// # Errors
    /// Somebody else listens there.
    pub async fn restart(&self) -> io::Result<()> {
        self.run(server::sockets_again(self.address).await?);
        Ok(())
    }
}
