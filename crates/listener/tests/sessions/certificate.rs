//! A certificate for the listener, and clients that believe it.

use std::path::Path;
use std::sync::{Arc, Mutex};

use listener::ServerTls;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};

/// What all clients of this program believe.
static ROOTS: Mutex<Vec<CertificateDer<'static>>> = Mutex::new(Vec::new());

/// Writes a self-signed certificate for `name` and its key to a directory, and loads them.
pub(crate) fn make(dir: &Path, name: &str) -> ServerTls {
    write(dir, name);
    ServerTls::load(&dir.join("certificate.pem"), &dir.join("key.pem")).unwrap()
}

/// Writes a new self-signed certificate, which clients believe from then on.
pub(crate) fn write(dir: &Path, name: &str) {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    std::fs::write(dir.join("certificate.pem"), made.cert.pem()).unwrap();
    std::fs::write(dir.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    ROOTS.lock().unwrap().push(made.cert.der().clone());
}

/// What clients believe now.
pub(crate) fn roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    for root in ROOTS.lock().unwrap().iter() {
        roots.add(root.clone()).unwrap();
    }
    roots
}

/// The first thing that a client sends.
pub(crate) fn client_hello() -> Vec<u8> {
    let name = ServerName::try_from("relay.example").unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots())
        .with_no_client_auth();
    let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut hello = Vec::new();
    client.write_tls(&mut hello).unwrap();
    hello
}
