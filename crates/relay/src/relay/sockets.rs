//! The addresses and unix sockets that a relay listens at.

use std::net::SocketAddr;

use settings::{Listening, Settings, SubmitSocket};
use tokio::net::{TcpListener, UnixListener};

use super::start_error::StartError;
use crate::unix_socket::{SocketAccess, SocketFile, listen};

/// Binds the listeners' addresses; a port 0 becomes the real one.
pub(super) async fn bind(
    listeners: &[Listening],
) -> Result<Vec<(Listening, TcpListener)>, StartError> {
    let mut sockets = Vec::new();
    for &Listening { address, service } in listeners {
        let failed = |source| StartError::Address { address, source };
        let socket = TcpListener::bind(address).await.map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        sockets.push((Listening { address, service }, socket));
    }
    Ok(sockets)
}

/// Binds the address for monitors, where there is one; a port 0 becomes the real one.
pub(super) async fn bind_monitors(
    address: Option<SocketAddr>,
) -> Result<Option<(SocketAddr, TcpListener)>, StartError> {
    let Some(address) = address else { return Ok(None) };
    let failed = |source| StartError::AdminAddress { address, source };
    let socket = TcpListener::bind(address).await.map_err(failed)?;
    Ok(Some((socket.local_addr().map_err(failed)?, socket)))
}

/// The unix sockets of a relay.
#[derive(Debug)]
pub(super) struct UnixSockets {
    /// For operators.
    pub(super) admin: (UnixListener, SocketFile),
    /// For programs of this machine, where they may send.
    pub(super) submit: Option<(UnixListener, SocketFile)>,
}

impl UnixSockets {
    /// Listens at the sockets that the settings name.
    pub(super) async fn listen(settings: &Settings) -> Result<Self, StartError> {
        let admin = listen(&settings.admin_socket, SocketAccess::OWN).await;
        let admin = admin.map_err(StartError::Admin)?;
        let submit = match &settings.submit_socket {
            Some(SubmitSocket { path, mode, group }) => {
                let access = SocketAccess { mode: mode.bits(), group: *group };
                Some(listen(path, access).await.map_err(StartError::SubmitSocket)?)
            }
            None => None,
        };
        Ok(Self { admin, submit })
    }
}
