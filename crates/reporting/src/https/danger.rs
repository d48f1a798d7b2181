//! TLS that accepts any certificate: for reports to servers that prove no name (RFC 8460 §5.4), and
//! for nothing else.
//!
//! A report holds figures about the domain that asked for it. A passive listener is kept out; who
//! stands in the way could as well have changed the DNS record that names the server.

use std::sync::Arc;

use pkix::Verification;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};

/// The same configuration, which accepts whoever answers.
pub(super) fn accepting_any(config: &ClientConfig, verification: Verification) -> ClientConfig {
    let mut config = config.clone();
    config.dangerous().set_certificate_verifier(Arc::new(AnyCertificate(verification)));
    config
}

/// Accepts any certificate, of which the server must have the key.
#[derive(Debug)]
struct AnyCertificate(Verification);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.webpki().verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.webpki().verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.webpki().supported_verify_schemes()
    }
}
