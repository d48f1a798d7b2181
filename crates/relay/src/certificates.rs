//! What clients are shown under TLS, and who may log in: loaded at the start, and again when the
//! files change or SIGHUP comes. What cannot be used leaves in place what was used before.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use access::Users;
use listener::{CertificateError, Listener, ServerTls, TlsMode};
use mail::in_full;
use rcgen::{CertificateParams, DnType, KeyPair, date_time_ymd};
use settings::Settings;
use smtp::Domain;
use thiserror::Error;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// How often the files are looked at.
const ROUND: Duration = Duration::from_secs(5);

/// A self-signed certificate could not be made or used.
#[derive(Debug, Error)]
pub enum SelfSignedError {
    /// It could not be made.
    #[error("the certificate cannot be signed")]
    Made(#[from] rcgen::Error),
    /// It could not be written.
    #[error("{}: cannot be written", path.display())]
    Written {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// What was made before can no longer be used.
    #[error("the existing self-signed certificate cannot be used")]
    Used(#[from] CertificateError),
}

/// The certificate for listeners with TLS: the one that was named, or a self-signed one.
pub(crate) fn of(
    settings: &Settings,
    now: SystemTime,
) -> Result<Option<ServerTls>, SelfSignedError> {
    let wanted = settings.listeners.iter().any(|one| one.service.tls != TlsMode::Off);
    match &settings.tls {
        _ if !wanted => Ok(None),
        Some(named) => Ok(Some(named.clone())),
        None => {
            let folder = settings.data_dir.join("tls");
            self_signed(&folder, &settings.listener.hostname, now).map(Some)
        }
    }
}

/// The self-signed certificate in `folder`, made when there is none yet.
fn self_signed(
    folder: &Path,
    name: &Domain,
    now: SystemTime,
) -> Result<ServerTls, SelfSignedError> {
    let (certificate, key) = (folder.join("self-signed.pem"), folder.join("self-signed.key"));
    if !(certificate.exists() && key.exists()) {
        let (signed, signer) = sign(name, now)?;
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(|source| SelfSignedError::Written { path: folder.to_owned(), source })?;
        // The key first: a certificate that is there has its key.
        write(&key, &signer)?;
        write(&certificate, &signed)?;
        info!(certificate = %certificate.display(), %name, "self-signed certificate created");
    }
    Ok(ServerTls::load(&certificate, &key)?)
}

/// A certificate for `name` and its key, both in PEM. It holds for as long as anyone will run this:
/// who does not check it does not look at dates, and who does will not believe it anyway.
fn sign(name: &Domain, now: SystemTime) -> Result<(String, String), rcgen::Error> {
    let mut params = CertificateParams::new([name.to_string()])?;
    params.distinguished_name.push(DnType::CommonName, name.as_str());
    let since_1970 = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let day = Duration::from_secs(86_400);
    params.not_before = date_time_ymd(1970, 1, 1) + since_1970.saturating_sub(day);
    params.not_after = params.not_before + day.saturating_mul(3_650);
    let key = KeyPair::generate()?;
    Ok((params.self_signed(&key)?.pem(), key.serialize_pem()))
}

/// Writes a file for the relay's own user alone, all of it or nothing.
fn write(path: &Path, text: &str) -> Result<(), SelfSignedError> {
    let failed = |source| SelfSignedError::Written { path: path.to_owned(), source };
    let part = path.with_extension("part");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(&part).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    file.sync_all().map_err(failed)?;
    fs::rename(&part, path).map_err(failed)
}

/// What is read again when it changes.
#[derive(Clone, Debug)]
pub(crate) struct Watched {
    /// The certificate.
    pub(crate) tls: Option<ServerTls>,
    /// Where the users are listed.
    pub(crate) users_file: Option<PathBuf>,
}

/// What tells one version of a file from another.
type Stamp = Option<(SystemTime, u64)>;

/// Reads again for `listener` what has changed, and everything when there is something else to
/// watch, until `stop`.
pub(crate) async fn keep_fresh(
    listener: Listener,
    mut watched: watch::Receiver<Watched>,
    stop: CancellationToken,
) {
    let mut now = watched.borrow_and_update().clone();
    let (mut certificate, mut users) = now.stamps();
    loop {
        let reloaded = tokio::select! {
            () = stop.cancelled() => return,
            reloaded = watched.changed() => reloaded.is_ok(),
            () = sleep(ROUND) => false,
        };
        now = watched.borrow_and_update().clone();
        // The stamps first: what changes while it is read is read once more.
        let (new_certificate, new_users) = now.stamps();
        if reloaded || new_certificate != certificate {
            now.read_certificate();
        }
        if reloaded || new_users != users {
            now.read_users(&listener);
        }
        (certificate, users) = (new_certificate, new_users);
    }
}

impl Watched {
    /// The stamps of the certificate's files and of the users'.
    fn stamps(&self) -> (Option<[Stamp; 2]>, Option<Stamp>) {
        let certificate = self.tls.as_ref().map(|tls| tls.files().map(stamp));
        (certificate, self.users_file.as_deref().map(stamp))
    }

    /// Reads the certificate and its key.
    fn read_certificate(&self) {
        let Some(tls) = &self.tls else { return };
        let [certificate, _] = tls.files().map(|path| path.display().to_string());
        match tls.reload() {
            Ok(()) => info!(certificate, "certificate reloaded"),
            Err(error) => {
                let error = in_full(&error);
                warn!(certificate, error, "certificate reload failed: previous certificate kept");
            }
        }
    }

    /// Reads the users.
    fn read_users(&self, listener: &Listener) {
        let Some(file) = &self.users_file else { return };
        let read = fs::read_to_string(file)
            .map_err(|error| in_full(&error))
            .and_then(|text| Users::parse(&text).map_err(|error| error.to_string()));
        let file = file.display();
        match read {
            Ok(users) => {
                listener.replace_users(users);
                info!(%file, "users reloaded");
            }
            Err(error) => warn!(%file, error, "users reload failed: previous users kept"),
        }
    }
}

/// The stamp of a file; none where there is no such file.
fn stamp(path: &Path) -> Stamp {
    let known = fs::metadata(path).ok()?;
    Some((known.modified().ok()?, known.len()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_self_signed_certificate_is_made_once_and_its_key_is_nobody_elses() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("tls");
        let name = Domain::parse("relay.example").unwrap();
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let made = self_signed(&folder, &name, now).unwrap();
        let [certificate, key] = made.files().map(|path| fs::read(path).unwrap());
        let mode = fs::metadata(folder.join("self-signed.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let again = self_signed(&folder, &name, now).unwrap();
        assert_eq!(again.files().map(|path| fs::read(path).unwrap()), [certificate, key]);
    }
}
