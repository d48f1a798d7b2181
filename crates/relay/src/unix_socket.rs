//! The unix sockets of the running relay, made so that nobody but those who may can open them.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use thiserror::Error;
use tokio::net::{UnixListener, UnixSocket, UnixStream};

/// Who may connect.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct SocketAccess {
    /// The mode of the file.
    pub(crate) mode: u32,
    /// The number of its group; none: the group that the relay runs with.
    pub(crate) group: Option<u32>,
}

impl SocketAccess {
    /// Only the relay's own user.
    pub(crate) const OWN: Self = Self { mode: 0o600, group: None };
}

/// A socket at a path, which goes with it.
#[derive(Debug)]
pub(crate) struct SocketFile(PathBuf);

/// How many clients may wait to be let in.
const BACKLOG: u32 = 64;

/// A unix socket cannot be had.
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
    /// The group is none that the relay's user may give files to.
    #[error(
        "{}: the socket cannot be given to group {group}; the relay's user has to be a member",
        path.display()
    )]
    Group {
        /// The socket.
        path: PathBuf,
        /// The group's number.
        group: u32,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The system refuses.
    #[error("{}: the socket cannot be created", path.display())]
    Io {
        /// The socket.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Listens at `path`; what a dead relay left there is removed.
pub(crate) async fn listen(
    path: &Path,
    access: SocketAccess,
) -> Result<(UnixListener, SocketFile), SocketError> {
    remove_left_over(path).await?;
    let io = |source| SocketError::Io { path: path.to_owned(), source };
    let socket = UnixSocket::new_stream().map_err(io)?;
    socket.bind(path).map_err(io)?;
    let file = SocketFile(path.to_owned());
    // Nobody can connect before `listen`, and then group and mode are set already.
    if let Some(group) = access.group {
        let failed = |source| SocketError::Group { path: path.to_owned(), group, source };
        chown(path, None, Some(group)).map_err(failed)?;
    }
    fs::set_permissions(path, Permissions::from_mode(access.mode)).map_err(io)?;
    Ok((socket.listen(BACKLOG).map_err(io)?, file))
}

/// Takes the socket away when the relay stops, or cannot start.
impl Drop for SocketFile {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.0) {
            tracing::debug!(%error, path = %self.0.display(), "socket could not be removed");
        }
    }
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
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[tokio::test]
    async fn those_alone_may_open_a_socket_who_are_to() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.sock");
        let group = fs::metadata(folder.path()).unwrap().gid();
        for (access, mode) in [
            (SocketAccess::OWN, 0o600),
            (SocketAccess { mode: 0o660, group: Some(group) }, 0o660),
            (SocketAccess { mode: 0o666, group: None }, 0o666),
        ] {
            let _listening = listen(&path, access).await.unwrap();
            let made = fs::metadata(&path).unwrap();
            assert_eq!((made.permissions().mode() & 0o777, made.gid()), (mode, group));
        }
        assert!(!path.exists(), "the socket goes with the relay");
    }

    #[tokio::test]
    async fn a_dead_relays_socket_is_replaced_and_a_live_ones_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let _alive = listen(&path, SocketAccess::OWN).await.unwrap();
        let second = listen(&path, SocketAccess::OWN).await;
        assert!(matches!(second, Err(SocketError::InUse { .. })));
        assert!(path.exists());
    }

    #[tokio::test]
    async fn a_file_that_is_no_socket_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.sock");
        fs::write(&path, "mine").unwrap();
        let refused = listen(&path, SocketAccess::OWN).await;
        assert!(matches!(refused, Err(SocketError::NotASocket { .. })));
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
    }
}
