//! Who signs handshakes: the provider, or nobody.

use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::PrivateKeyDer;
use rustls::sign::{Signer, SigningKey};
use rustls::{SignatureAlgorithm, SignatureScheme};

/// Signs with this key.
pub(crate) fn with(key: PrivateKeyDer<'static>) -> Arc<dyn SigningKey> {
    let provider = aws_lc_rs::default_provider();
    provider.key_provider.load_private_key(key).expect("the provider signs with this key")
}

/// An RSA key that nobody has: all its signatures are zeros.
#[derive(Debug)]
pub(crate) struct Zeros;

impl SigningKey for Zeros {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        let usual = [SignatureScheme::RSA_PSS_SHA256, SignatureScheme::RSA_PKCS1_SHA256];
        let scheme = usual.into_iter().find(|scheme| offered.contains(scheme))?;
        Some(Box::new(SignsZeros(scheme)))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::RSA
    }
}

#[derive(Debug)]
struct SignsZeros(SignatureScheme);

impl Signer for SignsZeros {
    fn sign(&self, _message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        Ok(vec![0; 128])
    }

    fn scheme(&self) -> SignatureScheme {
        self.0
    }
}
