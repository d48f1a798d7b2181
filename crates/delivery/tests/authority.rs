//! A certificate authority for the tests of this crate.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{RootCertStore, ServerConfig};

/// Issues certificates that are trusted by [`Authority::roots`].
#[derive(Debug)]
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: rcgen::Certificate,
}

/// What is wrong with a certificate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Flaw {
    Expired,
    None,
    NotYetValid,
    SelfSigned,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self { issuer: Issuer::new(params, key), certificate }
    }

    pub(crate) fn roots(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.der().clone()).unwrap();
        Arc::new(roots)
    }

    /// A good certificate for `names`, whose key nobody has.
    pub(crate) fn certificate(&self, names: &[&str]) -> CertificateDer<'static> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let key = KeyPair::generate().unwrap();
        self.chain(&CertificateParams::new(names).unwrap(), &key, Flaw::None).remove(0)
    }

    /// A server that shows a certificate for `names`.
    pub(crate) fn server(&self, names: &[&str], flaw: Flaw) -> Arc<ServerConfig> {
        self.server_and_leaf(names, flaw).0
    }

    /// The same, with the certificate that it shows.
    pub(crate) fn server_and_leaf(
        &self,
        names: &[&str],
        flaw: Flaw,
    ) -> (Arc<ServerConfig>, CertificateDer<'static>) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(2400, 1, 1);
        if flaw == Flaw::Expired {
            params.not_after = date_time_ymd(2001, 1, 1);
        }
        if flaw == Flaw::NotYetValid {
            params.not_before = date_time_ymd(2300, 1, 1);
        }
        let key = KeyPair::generate().unwrap();
        let chain = self.chain(&params, &key, flaw);
        let leaf = chain.first().unwrap().clone();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        (Arc::new(config), leaf)
    }

    fn chain(
        &self,
        params: &CertificateParams,
        key: &KeyPair,
        flaw: Flaw,
    ) -> Vec<CertificateDer<'static>> {
        let leaf = if flaw == Flaw::SelfSigned {
            params.self_signed(key).unwrap()
        } else {
            params.signed_by(key, &self.issuer).unwrap()
        };
        vec![leaf.der().clone()]
    }
}
