//! Where mail is kept: in the data directory, or in a database that several relays share.

use std::net::{IpAddr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use mail::in_full;
use pkix::{Roots, SystemRoots, TrustSettings};
use queue::QueueSettings;
use rustls::ClientConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use smtp::Domain;
use store_embedded::StoreSettings;
use store_postgres::{Password, Schema, Server};

use crate::check::Check;
use crate::raw_store::{RawPostgres, RawPostgresTls, RawStoreKind};

/// Where PostgreSQL listens unless something else is said.
const PORT: u16 = 5432;

/// The shortest lease: it is renewed six times while it lasts, and looked after once a second.
const SHORTEST_LEASE: Duration = Duration::from_secs(6);

/// The longest name of a node: PostgreSQL shows so much of the name of a program that is connected.
const NODE_MOST: usize = 63;

/// Where mail is kept.
#[derive(Clone, Debug)]
pub enum ChosenStore {
    /// In the data directory, which one relay has.
    Embedded(StoreSettings),
    /// In a database that several relays share.
    Postgres(Box<SharedStore>),
}

/// The database that several relays share.
#[derive(Clone, Debug)]
pub struct SharedStore {
    /// What is written about it, to be compared with what is written later.
    pub(crate) written: RawPostgres,
    /// What it is opened with.
    pub settings: store_postgres::StoreSettings,
    /// Where a relay that kept its mail in the data directory had it.
    pub embedded: PathBuf,
}

impl ChosenStore {
    /// Which it is.
    pub(crate) const fn kind(&self) -> RawStoreKind {
        match self {
            Self::Embedded(_) => RawStoreKind::Embedded,
            Self::Postgres(_) => RawStoreKind::Postgres,
        }
    }

    /// What of it may change while the store is open.
    #[must_use]
    pub fn tuning(&self) -> store::StoreTuning {
        match self {
            Self::Embedded(settings) => settings.tuning(),
            Self::Postgres(shared) => shared.settings.tuning(),
        }
    }

    /// Takes over what cannot change while the store is open; whether `self` wanted something else.
    #[must_use]
    pub fn keep(&mut self, old: &Self) -> bool {
        match (&mut *self, old) {
            (Self::Embedded(new), Self::Embedded(old)) => {
                new.dir.clone_from(&old.dir);
                false
            }
            (Self::Postgres(new), Self::Postgres(old)) => {
                let longest_wait = new.settings.longest_wait;
                let differs = new.written != old.written;
                new.clone_from(old);
                new.settings.longest_wait = longest_wait;
                differs
            }
            (Self::Embedded(_), Self::Postgres(_)) | (Self::Postgres(_), Self::Embedded(_)) => {
                self.clone_from(old);
                true
            }
        }
    }
}

impl Check<'_> {
    /// Where the mail of the relay with this name is kept, which is tried like this.
    pub(crate) fn store(
        &mut self,
        queue: &QueueSettings,
        hostname: &Domain,
        roots: Option<&Roots>,
    ) -> ChosenStore {
        let longest_wait = queue.retry.longest();
        match self.raw.store.kind {
            RawStoreKind::Embedded => {
                let mut settings = StoreSettings::new(self.raw.queue_dir());
                settings.min_free = self.raw.limits.free_space.bytes();
                settings.longest_wait = longest_wait;
                ChosenStore::Embedded(settings)
            }
            RawStoreKind::Postgres => {
                let settings = store_postgres::StoreSettings {
                    longest_wait,
                    ..self.postgres(hostname, roots)
                };
                ChosenStore::Postgres(Box::new(SharedStore {
                    written: self.raw.store.postgres.clone(),
                    settings,
                    embedded: self.raw.queue_dir(),
                }))
            }
        }
    }

    /// The database.
    fn postgres(
        &mut self,
        hostname: &Domain,
        roots: Option<&Roots>,
    ) -> store_postgres::StoreSettings {
        let raw = &self.raw.store.postgres;
        let servers = self.servers(raw);
        for (key, text) in [("database", &raw.database), ("user", &raw.user)] {
            if text.is_empty() {
                self.wrong(&key_of(key), "must not be empty");
            }
        }
        let nowhere = Server::Unix(PathBuf::new(), PORT);
        let dir = self.raw.data_dir.join("node");
        store_postgres::StoreSettings {
            tls: self.database_tls(raw, &servers, roots),
            servers,
            password: self.database_password(raw),
            schema: self.or_wrong(&key_of("schema"), Schema::parse(&raw.schema)),
            node: self.node(raw, hostname),
            standby: raw.standby.into(),
            lease: self.lease(raw.lease),
            patience: self.at_least_one(&key_of("patience"), raw.patience),
            migrate: raw.migrate.into(),
            ..store_postgres::StoreSettings::new(nowhere, &raw.database, &raw.user, dir)
        }
    }

    /// Where it is.
    fn servers(&mut self, raw: &RawPostgres) -> Vec<Server> {
        let key = key_of("hosts");
        if raw.hosts.is_empty() {
            let example = "name the servers, such as [\"db1.example.net\", \"db2.example.net\"], or the \
                           directory of a socket, [\"/run/postgresql\"]";
            self.wrong_with(&key, "store.kind", example);
        }
        let servers = self.each(&key, &raw.hosts, server);
        let sockets = servers.iter().filter(|server| is_socket(server)).count();
        if sockets != 0 && sockets != servers.len() {
            self.wrong(&key, "either sockets of this machine or servers on the network, not both");
        }
        servers
    }

    /// What this relay is called among those that share the store.
    fn node(&mut self, raw: &RawPostgres, hostname: &Domain) -> String {
        let name = if raw.node.is_empty() { hostname.to_string() } else { raw.node.clone() };
        let is_fine = |c: char| c.is_ascii_graphic();
        if raw.node.is_empty() {
            return name.chars().take(NODE_MOST).collect();
        }
        if name.len() > NODE_MOST || !name.chars().all(is_fine) {
            let problem = "1 to 63 letters, digits and signs of ASCII, without spaces";
            self.wrong(&key_of("node"), problem);
        }
        name
    }

    /// How long the others wait for a sign of life.
    fn lease(&mut self, lease: Duration) -> Duration {
        if lease < SHORTEST_LEASE {
            self.wrong(&key_of("lease"), "must be 6s or longer");
        }
        lease
    }

    /// The role's password, if it has one.
    fn database_password(&mut self, raw: &RawPostgres) -> Option<Password> {
        let file = &raw.password_file;
        if file.as_os_str().is_empty() {
            return raw.password.text().map(Password::new);
        }
        let key = key_of("password_file");
        if raw.password.text().is_some() {
            self.wrong_with(&key, &key_of("password"), "only one of password, password_file");
        }
        if !self.can_read(&key, file) {
            return None;
        }
        match std::fs::read_to_string(file) {
            Ok(text) => Some(Password::new(text.trim_end_matches(['\r', '\n']))),
            Err(_unreadable) => {
                self.wrong(&key, "is not a file with a password in UTF-8");
                None
            }
        }
    }

    /// The TLS of connections to it; none for sockets of this machine.
    fn database_tls(
        &mut self,
        raw: &RawPostgres,
        servers: &[Server],
        roots: Option<&Roots>,
    ) -> Option<Arc<ClientConfig>> {
        match raw.tls {
            RawPostgresTls::Off => {
                if !servers.iter().all(is_here) {
                    let problem = "\"off\" is for sockets and loopback addresses only: whoever is on the \
                                   way to another server could read and change the mail";
                    self.wrong_with(&key_of("tls"), &key_of("hosts"), problem);
                }
                None
            }
            RawPostgresTls::Verify if servers.iter().any(is_socket) => None,
            RawPostgresTls::Verify => self.verifying_tls(raw, roots),
        }
    }

    /// TLS with servers that prove their names.
    fn verifying_tls(
        &mut self,
        raw: &RawPostgres,
        roots: Option<&Roots>,
    ) -> Option<Arc<ClientConfig>> {
        let roots = self.database_roots(raw, roots)?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| self.wrong(&key_of("tls"), &in_full(&error)))
            .ok()?
            .with_root_certificates(Arc::clone(roots.store()));
        let config = match (is_set(&raw.certificate), is_set(&raw.key)) {
            (false, false) => builder.with_no_client_auth(),
            (true, true) => {
                let (chain, key) = self.client_certificate(raw)?;
                builder
                    .with_client_auth_cert(chain, key)
                    .map_err(|error| self.wrong(&key_of("certificate"), &in_full(&error)))
                    .ok()?
            }
            (true, false) => {
                self.wrong(&key_of("key"), "a certificate needs its key");
                return None;
            }
            (false, true) => {
                self.wrong(&key_of("certificate"), "a key needs its certificate");
                return None;
            }
        };
        Some(Arc::new(config))
    }

    /// Who vouches for the servers.
    fn database_roots(&mut self, raw: &RawPostgres, roots: Option<&Roots>) -> Option<Roots> {
        if !is_set(&raw.ca_file) {
            return roots.cloned();
        }
        let key = key_of("ca_file");
        if !self.can_read(&key, &raw.ca_file) {
            return None;
        }
        let ca_file = Some(raw.ca_file.clone());
        pkix::load_roots(&TrustSettings { ca_file, system_roots: SystemRoots::Replaced })
            .map_err(|error| self.wrong(&key, &in_full(&error)))
            .ok()
    }

    /// What the relay shows the servers.
    fn client_certificate(
        &mut self,
        raw: &RawPostgres,
    ) -> Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
        let (certificate, key) = (key_of("certificate"), key_of("key"));
        let can_read = self.can_read(&certificate, &raw.certificate);
        if !self.can_read(&key, &raw.key) || !can_read {
            return None;
        }
        let chain: Result<Vec<_>, _> =
            CertificateDer::pem_file_iter(&raw.certificate).and_then(Iterator::collect);
        let chain = chain.ok().filter(|chain| !chain.is_empty());
        if chain.is_none() {
            self.wrong(&certificate, "holds no certificate in PEM");
        }
        let private = PrivateKeyDer::from_pem_file(&raw.key).ok();
        if private.is_none() {
            self.wrong(&key, "holds no private key in PEM");
        }
        chain.zip(private)
    }
}

/// A key of the section, in full.
fn key_of(name: &str) -> String {
    format!("store.postgres.{name}")
}

/// Whether a path is set.
fn is_set(path: &Path) -> bool {
    !path.as_os_str().is_empty()
}

/// Whether a server is reached through a socket of this machine.
const fn is_socket(server: &Server) -> bool {
    matches!(server, Server::Unix(..))
}

/// Whether what is sent to a server does not leave this machine.
fn is_here(server: &Server) -> bool {
    match server {
        Server::Tcp(host, _) => {
            host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
        }
        Server::Unix(..) => true,
    }
}

/// Reads where a server is: `host`, `host:port`, `[address]:port`, or the directory of a socket, with a port
/// where it is not PostgreSQL's own.
fn server(text: &str) -> Result<Server, &'static str> {
    const WRONG: &str = "it is neither a host, such as \"db1.example.net\" or \"db1.example.net:5433\", nor the \
                         directory of a socket, such as \"/run/postgresql\"";
    if let Ok(address) = text.parse::<Ipv6Addr>() {
        return Ok(Server::Tcp(address.to_string(), PORT));
    }
    let (place, port) = match text.rsplit_once(':') {
        Some((place, port)) if !port.ends_with(']') => {
            (place, port.parse().ok().filter(|port| *port != 0).ok_or(WRONG)?)
        }
        Some(_) | None => (text, PORT),
    };
    if place.starts_with('/') {
        return Ok(Server::Unix(PathBuf::from(place), port));
    }
    let bare = place.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let host = match bare {
        Some(address) => address.parse::<Ipv6Addr>().map_err(|_other| WRONG)?.to_string(),
        None => {
            let is_fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
            if place.is_empty() || !place.chars().all(is_fine) {
                return Err(WRONG);
            }
            place.to_owned()
        }
    };
    Ok(Server::Tcp(host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_addresses_and_sockets_are_told_apart() {
        let tcp = |host: &str, port| Ok(Server::Tcp(host.to_owned(), port));
        let unix = |path: &str, port| Ok(Server::Unix(PathBuf::from(path), port));
        for (text, expected) in [
            ("db1", tcp("db1", 5432)),
            ("db1.example.net:5433", tcp("db1.example.net", 5433)),
            ("192.0.2.1:5433", tcp("192.0.2.1", 5433)),
            ("2001:db8::1", tcp("2001:db8::1", 5432)),
            ("[2001:db8::1]", tcp("2001:db8::1", 5432)),
            ("[2001:db8::1]:5433", tcp("2001:db8::1", 5433)),
            ("/run/postgresql", unix("/run/postgresql", 5432)),
            ("/run/postgresql:5433", unix("/run/postgresql", 5433)),
        ] {
            assert_eq!(server(text), expected, "{text}");
        }
        for text in ["", ":", "db1:", "db1:0", "db1:x", "db 1", "user@db1", "[db1]", "[::1"] {
            assert!(server(text).is_err(), "{text}");
        }
    }

    #[test]
    fn only_what_stays_on_this_machine_may_go_without_tls() {
        for (text, here) in [
            ("/run/postgresql", true),
            ("127.0.0.1", true),
            ("::1", true),
            ("localhost:5433", true),
            ("localhost.example.net", false),
            ("192.0.2.1", false),
        ] {
            assert_eq!(is_here(&server(text).unwrap()), here, "{text}");
        }
    }
}
