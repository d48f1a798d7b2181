//! Authorities, servers, and the records that mean them.

use std::time::Duration;

use aws_lc_rs::digest;
use dane::{Association, ReferenceNames, SecureRecords, TlsaRecord};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
};
use rcgen::{SanType, date_time_ymd};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, UnixTime};

/// The name of the server.
pub(crate) const HOST: &str = "mx.example.org";

/// Somebody with a certificate.
pub(crate) struct Entity {
    pub(crate) certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

/// What a certificate shall say.
pub(crate) type Change = fn(&mut CertificateParams);

/// Nothing but the usual.
pub(crate) const PLAIN: Change = |_params| {};

/// It was over in 2020.
pub(crate) const EXPIRED: Change = |params| params.not_after = date_time_ymd(2020, 1, 1);

/// It begins in 2040.
pub(crate) const NOT_YET: Change = |params| params.not_before = date_time_ymd(2040, 1, 1);

fn params(common_name: &str, change: Change) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    change(&mut params);
    params
}

impl Entity {
    /// An authority of its own.
    pub(crate) fn root(name: &str, change: Change) -> Self {
        Self::signed(authority(name, change), None)
    }

    /// An authority below this one.
    pub(crate) fn authority(&self, name: &str, change: Change) -> Self {
        Self::signed(authority(name, change), Some(self))
    }

    /// A server of these names below this authority.
    pub(crate) fn server(&self, names: &[&str], change: Change) -> Self {
        Self::signed(server(names, change), Some(self))
    }

    /// A server that has signed its own certificate.
    pub(crate) fn self_signed(names: &[&str], change: Change) -> Self {
        Self::signed(server(names, change), None)
    }

    fn signed(params: CertificateParams, by: Option<&Self>) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = match by {
            Some(by) => params.signed_by(&key, &by.issuer).unwrap(),
            None => params.self_signed(&key).unwrap(),
        };
        let certificate = certificate.der().clone();
        Self { certificate, issuer: Issuer::new(params, key) }
    }

    /// The same name and key with another certificate of its own.
    pub(crate) fn again(&self, name: &str, change: Change) -> CertificateDer<'static> {
        authority(name, change).self_signed(self.issuer.key()).unwrap().der().clone()
    }

    /// Its private key.
    pub(crate) fn key(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.issuer.key().serialize_der()).into()
    }

    /// A record that means it: usage, selector, matching type.
    pub(crate) fn record(&self, numbers: [u8; 3]) -> TlsaRecord {
        let [_, selector, _] = numbers;
        let key = rcgen::PublicKeyData::subject_public_key_info(self.issuer.key());
        record(numbers, if selector == 0 { &self.certificate } else { &key })
    }
}

fn authority(name: &str, change: Change) -> CertificateParams {
    let mut params = params(name, |_params| {});
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    change(&mut params);
    params
}

fn server(names: &[&str], change: Change) -> CertificateParams {
    let mut params = params("server", |_params| {});
    let dns = |name: &&str| SanType::DnsName((*name).try_into().unwrap());
    params.subject_alt_names = names.iter().map(dns).collect();
    change(&mut params);
    params
}

/// A record of this part of a certificate.
pub(crate) fn record(numbers: [u8; 3], part: &[u8]) -> TlsaRecord {
    let [.., matching] = numbers;
    let data = match matching {
        1 => digest::digest(&digest::SHA256, part).as_ref().to_vec(),
        2 => digest::digest(&digest::SHA512, part).as_ref().to_vec(),
        _ => part.to_vec(),
    };
    TlsaRecord::from_rdata(&[&numbers[..], &data].concat()).unwrap()
}

/// The association of the server's name, and `example.org` beside it.
pub(crate) fn associate(records: Vec<TlsaRecord>) -> Association {
    let names = ReferenceNames::new(HOST, &["example.org"]).unwrap();
    SecureRecords::assertion(records).unwrap().associate(names).unwrap()
}

/// A day in 2026.
pub(crate) fn now() -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(1_796_000_000))
}
