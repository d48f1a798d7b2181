//! The addresses that a relay listens at.

use std::net::SocketAddr;

use settings::Listening;
use tokio::net::TcpListener;

use super::start_error::StartError;

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
