//! A way to a database server that breaks where a test says.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::tasks::Tasks;

/// What happens to the next COMMIT that comes along.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Cut {
    /// It is lost, and its connection with it.
    BeforeCommit,
    /// The client's connection breaks at once; the server gets it that much later.
    Delayed(Duration),
    /// It is done, and the connection breaks before the reply.
    BeforeReply,
}

/// Whether anything gets through.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Flow {
    /// All connections are broken, and none is taken.
    Broken,
    /// Everything.
    Open,
    /// Nothing, and no connection breaks.
    Stalled,
}

/// Stands between a program and its database. Its connections end with it.
#[derive(Debug)]
pub struct DatabaseProxy {
    address: SocketAddr,
    state: Arc<State>,
    tasks: Tasks,
}

#[derive(Debug)]
struct State {
    server: SocketAddr,
    /// What happens to the next COMMIT.
    cut: Mutex<Option<Cut>>,
    flow: watch::Sender<Flow>,
}

impl DatabaseProxy {
    /// In front of the server on this port of 127.0.0.1.
    pub async fn new(port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let flow = watch::Sender::new(Flow::Open);
        let state = Arc::new(State { server, cut: Mutex::default(), flow });
        let tasks = Tasks::default();
        tasks.spawn(serve(listener, Arc::clone(&state)));
        Self { address, state, tasks }
    }

    /// Where the program is to connect.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Does this to the next COMMIT.
    pub fn cut(&self, cut: Cut) {
        *self.state.cut.lock().unwrap_or_else(PoisonError::into_inner) = Some(cut);
    }

    /// Whether the COMMIT has come that was to be cut.
    #[must_use]
    pub fn has_cut(&self) -> bool {
        self.state.cut.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    /// Lets everything, or nothing, get through from now on.
    pub fn set_flow(&self, flow: Flow) {
        self.state.flow.send_replace(flow);
    }
}

impl Drop for DatabaseProxy {
    fn drop(&mut self) {
        self.tasks.stop();
    }
}

/// Takes connections.
async fn serve(listener: TcpListener, state: Arc<State>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let state = Arc::clone(&state);
        connections.spawn(async move { drop(relay(client, &state).await) });
    }
}

/// Carries one connection until either end closes it or it is broken.
async fn relay(client: TcpStream, state: &State) -> io::Result<()> {
    let mut flow = state.flow.subscribe();
    if *flow.borrow_and_update() == Flow::Broken {
        return Ok(());
    }
    let server = TcpStream::connect(state.server).await?;
    // Messages are carried one by one: none waits until the one before it is acknowledged.
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let last = AtomicBool::new(false);
    let delayed = tokio::select! {
        ended = requests(&mut from_client, &mut to_server, state, &last) => ended?,
        ended = replies(&mut from_server, &mut to_client, state, &last) => return ended,
        _ = flow.wait_for(|flow| *flow == Flow::Broken) => return Ok(()),
    };
    drop((from_client, to_client));
    if let Some((commit, delay)) = delayed {
        tokio::time::sleep(delay).await;
        to_server.write_all(&commit).await?;
        while !is_end(&frame(&mut from_server).await?) {}
    }
    Ok(())
}

/// Carries what the client asks; a COMMIT that comes late, and how late.
async fn requests(
    client: &mut OwnedReadHalf,
    server: &mut OwnedWriteHalf,
    state: &State,
    last: &AtomicBool,
) -> io::Result<Option<(Vec<u8>, Duration)>> {
    // The first message has no letter.
    server.write_all(&message(client, &[]).await?).await?;
    loop {
        let request = frame(client).await?;
        state.wait_until_open().await;
        let is_commit = request.first() == Some(&b'Q') && request.ends_with(b"COMMIT\0");
        match is_commit.then(|| state.take_cut()).flatten() {
            None => server.write_all(&request).await?,
            Some(Cut::BeforeCommit) => return Ok(None),
            Some(Cut::BeforeReply) => {
                last.store(true, Ordering::Release);
                server.write_all(&request).await?;
            }
            Some(Cut::Delayed(delay)) => return Ok(Some((request, delay))),
        }
    }
}

/// Carries what the server answers, up to the reply that is to be lost.
async fn replies(
    server: &mut OwnedReadHalf,
    client: &mut OwnedWriteHalf,
    state: &State,
    last: &AtomicBool,
) -> io::Result<()> {
    loop {
        let reply = frame(server).await?;
        state.wait_until_open().await;
        if !last.load(Ordering::Acquire) {
            client.write_all(&reply).await?;
        } else if is_end(&reply) {
            return Ok(());
        }
    }
}

/// Whether a transaction has ended.
fn is_end(reply: &[u8]) -> bool {
    let ends = reply.ends_with(b"COMMIT\0") || reply.ends_with(b"ROLLBACK\0");
    reply.first() == Some(&b'C') && ends
}

/// One message of the protocol: a letter, a length that counts itself, and the rest.
async fn frame(from: &mut OwnedReadHalf) -> io::Result<Vec<u8>> {
    let letter = from.read_u8().await?;
    message(from, &[letter]).await
}

/// A length that counts itself and what it counts, behind what was read before it.
async fn message(from: &mut OwnedReadHalf, before: &[u8]) -> io::Result<Vec<u8>> {
    let length = from.read_u32().await?;
    let mut whole = [before, &length.to_be_bytes()].concat();
    let rest = u64::from(length).saturating_sub(4);
    let read = from.take(rest).read_to_end(&mut whole).await?;
    if u64::try_from(read).is_ok_and(|read| read == rest) {
        Ok(whole)
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

impl State {
    fn take_cut(&self) -> Option<Cut> {
        self.cut.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    async fn wait_until_open(&self) {
        let mut flow = self.flow.subscribe();
        drop(flow.wait_for(|flow| *flow != Flow::Stalled).await);
    }
}
