//! Digests of certificates and keys, for records and reasons.

use rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256;

/// The SHA-256 of these octets, by the provider of TLS, which has it for a cipher suite.
pub(super) fn sha256(octets: &[u8]) -> Option<[u8; 32]> {
    let digest = TLS13_AES_128_GCM_SHA256.tls13()?.common.hash_provider.hash(octets);
    <[u8; 32]>::try_from(digest.as_ref()).ok()
}
