//! A TCP port that may be left and taken again.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

use crate::tasks::Tasks;

/// How long no connection is taken after taking one failed, as it does without free descriptors.
const RECOVERY: Duration = Duration::from_millis(10);

/// Where a server listens, or does not at the moment.
#[derive(Debug)]
pub(crate) struct Listening {
    address: SocketAddr,
    world: Tasks,
    /// The server's tasks since it was last opened.
    open: Mutex<Option<Tasks>>,
}

impl Listening {
    /// A server at `address` that does not listen yet.
    pub(crate) fn closed(address: SocketAddr, world: Tasks) -> Self {
        Self { address, world, open: Mutex::default() }
    }

    /// Listens, and serves every connection in a task of its own.
    ///
    /// # Errors
    /// The address is in use.
    pub(crate) async fn open<F, S>(&self, serve: S) -> io::Result<()>
    where
        F: Future<Output = ()> + Send + 'static,
        S: Fn(TcpStream, SocketAddr) -> F + Send + 'static,
    {
        let listener = TcpListener::bind(self.address).await?;
        let tasks = self.world.child();
        let connections = tasks.clone();
        tasks.spawn(async move {
            loop {
                match listener.accept().await {
                    Ok((stream, peer)) => connections.spawn(serve(stream, peer)),
                    Err(_) => sleep(RECOVERY).await,
                }
            }
        });
        self.swap(Some(tasks));
        Ok(())
    }

    /// Breaks every connection, and listens no more.
    pub(crate) async fn close(&self) {
        if let Some(tasks) = self.swap(None) {
            tasks.stop();
            tasks.ended().await;
        }
    }

    fn swap(&self, tasks: Option<Tasks>) -> Option<Tasks> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *open, tasks)
    }
}
