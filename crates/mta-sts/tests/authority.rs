//! A certificate authority of one's own, and certificates good and bad.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, SanType,
    date_time_ymd,
};
use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::PrivateKeyDer;

/// What a certificate is like.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// The name stands only in the subject, as it did long ago.
    CommonNameOnly,
    /// It has expired.
    Expired,
    /// It will be valid one day.
    NotYetValid,
    /// It is signed by itself.
    SelfSigned,
    /// All is well.
    Valid,
    /// It can be used with TLS 1.2 only.
    ValidTls12,
}

/// An authority.
#[derive(Debug)]
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    roots: Arc<RootCertStore>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "test authority");
        let certificate = params.self_signed(&key).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(certificate.der().clone()).unwrap();
        Self { issuer: Issuer::new(params, key), roots: Arc::new(roots) }
    }

    pub(crate) fn roots(&self) -> Arc<RootCertStore> {
        Arc::clone(&self.roots)
    }

    /// A server with a certificate for these names.
    pub(crate) fn server(&self, kind: Kind, names: &[&str]) -> Arc<ServerConfig> {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, names[0]);
        let dns = |name: &&str| SanType::DnsName((*name).try_into().unwrap());
        params.subject_alt_names = names.iter().map(dns).collect();
        match kind {
            Kind::CommonNameOnly => params.subject_alt_names.clear(),
            Kind::Expired => params.not_after = date_time_ymd(2020, 1, 1),
            Kind::NotYetValid => params.not_before = date_time_ymd(3000, 1, 1),
            Kind::SelfSigned | Kind::Valid | Kind::ValidTls12 => {}
        }
        let certificate = match kind {
            Kind::SelfSigned => params.self_signed(&key).unwrap(),
            _ => params.signed_by(&key, &self.issuer).unwrap(),
        };
        let versions: &[_] = match kind {
            Kind::ValidTls12 => &[&rustls::version::TLS12],
            _ => rustls::ALL_VERSIONS,
        };
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        Arc::new(config)
    }
}
