//! The signature on a handshake, checked with the bare key of a certificate that rustls cannot read:
//! one of X.509 version 1, for example.

use rustls::DigitallySignedStruct;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::CertificateDer;

use crate::verification::public_key;

/// The shortest RSA key that the provider verifies with.
const RSA_BITS_MIN: usize = 2048;

/// What a signature on a handshake is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Signature {
    /// The peer has the key to what it shows.
    Right,
    /// Nothing can be checked with such a key: it cannot be read, the provider lacks its algorithm
    /// or its curve, or it is RSA below 2048 bits.
    Unchecked,
    /// The peer has not the key to what it shows.
    Wrong,
}

/// Checks a signature on `message` with the bare key of `certificate`.
#[must_use]
pub fn check_signature(
    known: &WebPkiSupportedAlgorithms,
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signed: &DigitallySignedStruct,
) -> Signature {
    let Some(key) = public_key(certificate) else { return Signature::Unchecked };
    if key.rsa_bits().is_some_and(|bits| bits < RSA_BITS_MIN) {
        return Signature::Unchecked;
    }
    let mut usable = known
        .mapping
        .iter()
        .filter(|(scheme, _)| *scheme == signed.scheme)
        .flat_map(|(_, algorithms)| algorithms.iter())
        .filter(|algorithm| algorithm.public_key_alg_id().as_ref() == key.algorithm)
        .peekable();
    if usable.peek().is_none() {
        return Signature::Unchecked;
    }
    let verifies = usable
        .any(|algorithm| algorithm.verify_signature(key.key, message, signed.signature()).is_ok());
    if verifies { Signature::Right } else { Signature::Wrong }
}
