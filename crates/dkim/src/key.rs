//! Private keys and what they sign with (RFC 6376 §3.3, RFC 8301, RFC 8463).

use std::fmt::{self, Debug, Display, Formatter};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::error::{KeyRejected, Unspecified};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;
use smtp::to_base64;

use crate::pem;

/// The octets of a signature with Ed25519 (RFC 8032 §5.1.6).
const ED25519_OCTETS: usize = 64;

/// How a key signs.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Algorithm {
    /// RFC 8463.
    Ed25519Sha256,
    /// RFC 6376 §3.3.1; RFC 8301 has signers use 2048 bits at least.
    RsaSha256,
}

impl Algorithm {
    /// As the tag `a=` of a signature has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ed25519Sha256 => "ed25519-sha256",
            Self::RsaSha256 => "rsa-sha256",
        }
    }

    /// As the tag `k=` of a key record has it.
    #[must_use]
    pub const fn key_type(self) -> &'static str {
        match self {
            Self::Ed25519Sha256 => "ed25519",
            Self::RsaSha256 => "rsa",
        }
    }
}

impl Display for Algorithm {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A private key.
pub struct SigningKey(Inner);

enum Inner {
    Ed25519(Ed25519KeyPair),
    /// With the public key as a key record has it (RFC 6376 §3.6.1).
    Rsa(RsaKeyPair, Vec<u8>),
}

impl SigningKey {
    /// Reads the first private key of a PEM file: PKCS #8, or PKCS #1 of an RSA key.
    ///
    /// # Errors
    ///
    /// [`KeyError`] says what keeps it from signing.
    pub fn from_pem(pem: &[u8]) -> Result<Self, KeyError> {
        match PrivateKeyDer::from_pem_slice(pem).map_err(KeyError::NotPem)? {
            PrivateKeyDer::Pkcs1(key) => {
                let key = RsaKeyPair::from_der(key.secret_pkcs1_der());
                Self::rsa(key.map_err(KeyError::Rejected)?)
            }
            PrivateKeyDer::Pkcs8(key) => Self::from_pkcs8(key.secret_pkcs8_der()),
            PrivateKeyDer::Sec1(_) | _ => Err(KeyError::OtherKind),
        }
    }

    fn from_pkcs8(der: &[u8]) -> Result<Self, KeyError> {
        if let Ok(key) = Ed25519KeyPair::from_pkcs8(der) {
            return Ok(Self(Inner::Ed25519(key)));
        }
        Self::rsa(RsaKeyPair::from_pkcs8(der).map_err(KeyError::Rejected)?)
    }

    fn rsa(key: RsaKeyPair) -> Result<Self, KeyError> {
        let public: PublicKeyX509Der<'_> = key.public_key().as_der().map_err(KeyError::Failed)?;
        let public = public.as_ref().to_vec();
        Ok(Self(Inner::Rsa(key, public)))
    }

    /// A new key; one for RSA has 2048 bits, whose record fits every provider's form.
    ///
    /// # Errors
    ///
    /// [`KeyError::Failed`]: there is no randomness.
    pub fn generate(algorithm: Algorithm) -> Result<Self, KeyError> {
        match algorithm {
            Algorithm::Ed25519Sha256 => {
                let key = Ed25519KeyPair::generate().map_err(KeyError::Failed)?;
                Ok(Self(Inner::Ed25519(key)))
            }
            Algorithm::RsaSha256 => {
                Self::rsa(RsaKeyPair::generate(KeySize::Rsa2048).map_err(KeyError::Failed)?)
            }
        }
    }

    /// How it signs.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        match self.0 {
            Inner::Ed25519(_) => Algorithm::Ed25519Sha256,
            Inner::Rsa(..) => Algorithm::RsaSha256,
        }
    }

    /// The public key as the tag `p=` of a key record has it (RFC 6376 §3.6.1, RFC 8463 §4).
    #[must_use]
    pub fn public_key(&self) -> String {
        match &self.0 {
            Inner::Ed25519(key) => to_base64(key.public_key().as_ref()),
            Inner::Rsa(_, public) => to_base64(public),
        }
    }

    /// The private key as the text of a file, in PKCS #8: secret.
    ///
    /// # Errors
    ///
    /// [`KeyError::Failed`]: it cannot be written.
    pub fn to_pem(&self) -> Result<String, KeyError> {
        let der: Result<Pkcs8V1Der<'_>, Unspecified> = match &self.0 {
            Inner::Ed25519(key) => key.as_der(),
            Inner::Rsa(key, _) => key.as_der(),
        };
        Ok(pem::private_key(der.map_err(KeyError::Failed)?.as_ref()))
    }

    /// How many octets a signature has.
    pub(crate) fn signature_octets(&self) -> usize {
        match &self.0 {
            Inner::Ed25519(_) => ED25519_OCTETS,
            Inner::Rsa(key, _) => key.public_modulus_len(),
        }
    }

    /// The signature of these octets.
    pub(crate) fn sign(&self, octets: &[u8]) -> Result<Vec<u8>, Unspecified> {
        match &self.0 {
            // RFC 8463 §3: what is signed is the hash.
            Inner::Ed25519(key) => {
                Ok(key.try_sign(digest(&SHA256, octets).as_ref())?.as_ref().to_vec())
            }
            Inner::Rsa(key, _) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), octets, &mut signature)?;
                Ok(signature)
            }
        }
    }
}

impl Debug for SigningKey {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SigningKey").field(&self.algorithm()).finish()
    }
}

/// Why a key cannot sign.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The library for cryptography failed.
    #[error("the key cannot be made or written")]
    Failed(#[source] Unspecified),
    /// There is no private key in PEM.
    #[error("no private key in PEM (\"-----BEGIN PRIVATE KEY-----\") is in it")]
    NotPem(#[source] rustls_pki_types::pem::Error),
    /// It is a key of a kind that DKIM does not know.
    #[error("the key is neither RSA nor Ed25519")]
    OtherKind,
    /// It is no RSA or Ed25519 key, or is too short (RFC 8301 §3.2).
    #[error("the key is neither Ed25519 nor RSA with 2048 to 8192 bits")]
    Rejected(#[source] KeyRejected),
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The private key of RFC 8463 §A.2 in PKCS #8, as OpenSSL writes it.
    const RFC_8463: &str = "-----BEGIN PRIVATE KEY-----\n\
        MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n\
        -----END PRIVATE KEY-----\n";

    #[test]
    fn the_key_of_rfc_8463_has_the_public_key_stated_there() {
        let key = SigningKey::from_pem(RFC_8463.as_bytes()).unwrap();
        assert_eq!(key.algorithm(), Algorithm::Ed25519Sha256);
        assert_eq!(key.public_key(), "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=");
    }

    #[test]
    fn a_new_key_is_read_back_from_its_text() {
        for algorithm in [Algorithm::Ed25519Sha256, Algorithm::RsaSha256] {
            let key = SigningKey::generate(algorithm).unwrap();
            let text = key.to_pem().unwrap();
            assert!(text.lines().all(|line| line.len() <= 64));
            let again = SigningKey::from_pem(text.as_bytes()).unwrap();
            assert_eq!((again.algorithm(), again.public_key()), (algorithm, key.public_key()));
            let secret = text.lines().nth(1).unwrap();
            assert!(!format!("{key:?}").contains(secret));
        }
    }

    #[test]
    fn keys_that_cannot_sign_are_refused() {
        let read = |pem: &str| SigningKey::from_pem(pem.as_bytes()).unwrap_err().to_string();
        assert!(read("").contains("no private key in PEM"));
        assert!(
            read("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n").contains("8192")
        );
        assert!(read(include_str!("../fixtures/rsa1024.pem")).contains("2048"));
        assert!(read(include_str!("../fixtures/p256.pem")).contains("neither"));
    }

    #[test]
    fn rsa_keys_in_pkcs_1_are_read() {
        let read = |pem: &str| SigningKey::from_pem(pem.as_bytes()).unwrap().public_key();
        let pkcs1 = read(include_str!("../fixtures/rsa2048-pkcs1.pem"));
        assert_eq!(pkcs1, read(include_str!("../fixtures/rsa2048.pem")));
        // A subject's public key of RSA with 2048 bits begins like this (RFC 3279 §2.3.1).
        assert!(pkcs1.starts_with("MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA"), "{pkcs1}");
    }
}
