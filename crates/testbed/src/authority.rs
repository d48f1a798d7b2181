//! The certificate authority of a world.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tempfile::TempDir;

use crate::certificate::{Certificate, Signer};

/// Issues the certificates of a world's servers, good ones and bad ones.
pub struct Authority {
    root: Root,
    /// Not in [`Authority::roots`].
    other: Root,
    directory: TempDir,
    file: PathBuf,
}

/// A self-signed authority certificate with its key.
struct Root {
    issuer: Issuer<'static, KeyPair>,
    certificate: rcgen::Certificate,
}

/// A certificate chain, leaf first, with the leaf's key.
pub(crate) struct Identity {
    /// The leaf, then its issuer if it has one.
    pub(crate) chain: Vec<CertificateDer<'static>>,
    /// The leaf's key.
    pub(crate) key: PrivateKeyDer<'static>,
}

impl Authority {
    /// A new authority, whose certificate is written to a new temporary directory.
    pub(crate) fn new() -> io::Result<Self> {
        let root = Root::new("testbed authority");
        let directory = tempfile::Builder::new().prefix("testbed-").tempdir()?;
        let file = directory.path().join("ca.pem");
        fs::write(&file, root.certificate.pem())?;
        Ok(Self { root, other: Root::new("nobody's authority"), directory, file })
    }

    /// The authority's certificate as a PEM file, to be trusted by the program under test.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The authority's certificate in PEM.
    #[must_use]
    pub fn pem(&self) -> String {
        self.root.certificate.pem()
    }

    /// The authority's certificate as the only trust root.
    #[must_use]
    pub fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.root.certificate.der().clone()).expect("our own root can be read");
        roots
    }

    /// The directory in which [`Authority::file`] is, removed with the world.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Issues what a server called `name`, whose key is `key`, presents.
    pub(crate) fn issue(&self, certificate: &Certificate, name: &str, key: &KeyPair) -> Identity {
        let params = certificate.params(name);
        let chain = match certificate.signer() {
            Signer::Authority => self.root.sign(&params, key),
            Signer::OtherAuthority => self.other.sign(&params, key),
            Signer::Itself => {
                let leaf = params.self_signed(key).expect("a P-256 key signs");
                vec![leaf.der().clone()]
            }
        };
        let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
        Identity { chain, key }
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").field("file", &self.file).finish_non_exhaustive()
    }
}

impl Root {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.not_before = date_time_ymd(1980, 1, 1);
        params.not_after = date_time_ymd(2400, 1, 1);
        let key = new_key();
        let certificate = params.self_signed(&key).expect("a P-256 key signs");
        Self { issuer: Issuer::new(params, key), certificate }
    }

    fn sign(&self, params: &CertificateParams, key: &KeyPair) -> Vec<CertificateDer<'static>> {
        let leaf = params.signed_by(key, &self.issuer).expect("a P-256 key signs");
        vec![leaf.der().clone(), self.certificate.der().clone()]
    }
}

/// A fresh P-256 key.
pub(crate) fn new_key() -> KeyPair {
    KeyPair::generate().expect("the provider makes P-256 keys")
}
