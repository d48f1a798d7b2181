//! The unix socket of the running relay: made so that only its user can open it.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use thiserror::Error;
use tokio::net::{UnixListener, UnixSocket, UnixStream};

/// Only the relay's own user may connect.
const MODE: u32 = 0o600;

/// How many clients may wait to be let in.
const BACKLOG: u32 = 64;

/// The admin socket cannot be had.
#[derive(Debug, Error)]
pub enum SocketError {
    /// Another relay answers there.
    #[error("{}: another relay answers there", path.display())]
    InUse {
        /// The socket.
        path: PathBuf,
    },
    /// Something else is there, and is not ours to remove.
    #[error("{}: is not a socket", path.display())]
    NotASocket {
        /// The path.
        path: PathBuf,
    },
    /// The system refuses.
    #[error("{}: the admin socket cannot be created", path.display())]
    Io {
        /// The socket.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Listens at `path`; what a dead relay left there is removed.
pub(crate) async fn listen(path: &Path) -> Result<UnixListener, SocketError> {
    remove_left_over(path).await?;
    bind(path).map_err(|source| SocketError::Io { path: path.to_owned(), source })
}

/// Takes the socket away when the relay stops.
pub(crate) fn remove(path: &Path) {
    if let Err(error) = fs::remove_file(path) {
        tracing::debug!(%error, path = %path.display(), "admin socket could not be removed");
    }
}

/// Nobody can connect before `listen`, and then the mode is set already.
fn bind(path: &Path) -> io::Result<UnixListener> {
    let socket = UnixSocket::new_stream()?;
    socket.bind(path)?;
    fs::set_permissions(path, Permissions::from_mode(MODE))?;
    socket.listen(BACKLOG)
}

/// Removes a socket that nobody answers at.
async fn remove_left_over(path: &Path) -> Result<(), SocketError> {
    let io = |source| SocketError::Io { path: path.to_owned(), source };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(io(error)),
        Ok(found) if !found.file_type().is_socket() => {
            Err(SocketError::NotASocket { path: path.to_owned() })
        }
        Ok(_) if UnixStream::connect(path).await.is_ok() => {
            Err(SocketError::InUse { path: path.to_owned() })
        }
        Ok(_) => fs::remove_file(path).map_err(io),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_owner_may_open_the_socket() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.sock");
        let _listener = listen(&path).await.unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[tokio::test]
    async fn a_dead_relays_socket_is_replaced_and_a_live_ones_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.sock");
        drop(listen(&path).await.unwrap());
        assert!(path.exists());
        let _alive = listen(&path).await.unwrap();
        assert!(matches!(listen(&path).await, Err(SocketError::InUse { .. })));
    }

    #[tokio::test]
    async fn a_file_that_is_no_socket_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.sock");
        fs::write(&path, "mine").unwrap();
        assert!(matches!(listen(&path).await, Err(SocketError::NotASocket { .. })));
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
    }
}
