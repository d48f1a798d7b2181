//! The certificate authority of a world.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, GeneralSubtree, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, NameConstraints, date_time_ymd,
};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::SigningKey;
use tempfile::TempDir;

use crate::certificate::{Certificate, Odd, Signer, organization};
use crate::signing::{self, Zeros};

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
    /// Who signs with the leaf's key.
    pub(crate) signer: Arc<dyn SigningKey>,
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
        if let Certificate::Odd(odd) = certificate {
            return kept(*odd);
        }
        let params = certificate.params(name);
        let chain = match certificate.signer() {
            Signer::Authority => self.root.sign(&params, key),
            Signer::Crowd => crowd(&params, key),
            Signer::Constrained => self.root.constrained().sign(&params, key),
            Signer::OtherAuthority => self.other.sign(&params, key),
            Signer::Itself => {
                let leaf = params.self_signed(key).expect("a P-256 key signs");
                vec![leaf.der().clone()]
            }
        };
        let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
        Identity { chain, signer: signing::with(key) }
    }
}

/// How many authorities of one name there are: about as many as a handshake has room for.
const CROWD: usize = 100;

/// A certificate that one authority of many with the same name has signed, with all of theirs.
fn crowd(params: &CertificateParams, key: &KeyPair) -> Vec<CertificateDer<'static>> {
    let authorities: Vec<Root> = (0..CROWD).map(|_| Root::new("crowd")).collect();
    let last = authorities.last().expect("there are some");
    let leaf = params.signed_by(key, &last.issuer).expect("a P-256 key signs");
    let others = authorities.iter().map(|authority| authority.certificate.der().clone());
    [leaf.der().clone()].into_iter().chain(others).collect()
}

/// A certificate that is kept in a file.
fn kept(odd: Odd) -> Identity {
    let (certificate, key) = odd.files();
    let certificate = CertificateDer::from_pem_slice(certificate).expect("the file is PEM");
    let key = key.map(|key| PrivateKeyDer::from_pem_slice(key).expect("the file is PEM"));
    let signer: Arc<dyn SigningKey> = match key {
        Some(key) => signing::with(key),
        None => Arc::new(Zeros),
    };
    Identity { chain: vec![certificate], signer }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").field("file", &self.file).finish_non_exhaustive()
    }
}

impl Root {
    /// An intermediate that may issue for one directory name only (RFC 5280 §4.2.1.10).
    fn constrained(&self) -> Intermediate<'_> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "constrained intermediate");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.not_before = date_time_ymd(1980, 1, 1);
        params.not_after = date_time_ymd(2400, 1, 1);
        params.name_constraints = Some(NameConstraints {
            permitted_subtrees: vec![GeneralSubtree::DirectoryName(organization())],
            excluded_subtrees: Vec::new(),
        });
        let key = new_key();
        let certificate = params.signed_by(&key, &self.issuer).expect("a P-256 key signs");
        let root = Self { issuer: Issuer::new(params, key), certificate };
        Intermediate { root, above: self }
    }

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

/// An authority under another.
struct Intermediate<'a> {
    root: Root,
    above: &'a Root,
}

impl Intermediate<'_> {
    fn sign(&self, params: &CertificateParams, key: &KeyPair) -> Vec<CertificateDer<'static>> {
        let mut chain = self.root.sign(params, key);
        chain.push(self.above.certificate.der().clone());
        chain
    }
}

/// A fresh P-256 key.
pub(crate) fn new_key() -> KeyPair {
    KeyPair::generate().expect("the provider makes P-256 keys")
}
