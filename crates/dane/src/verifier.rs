//! The verifier of one handshake, made of an association.

use std::sync::{Arc, OnceLock};

use pkix::{Signature, check_signature, config_without_resumption};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::crypto::{
    WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
    verify_tls13_signature_with_raw_key,
};
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::time_provider::TimeProvider;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, OtherError, SignatureScheme,
};

use crate::association::Association;
use crate::verdict::{Matched, Mismatch};

/// Verifies one handshake against an association, and tells afterwards what it found.
///
/// The signature on the handshake is verified always: whoever replays a certificate that matches has
/// not its key. Where a certificate is too odd for rustls to read (X.509 version 1, for one), it is
/// verified with the bare key. RSA keys below 2048 bits are refused with it.
#[derive(Debug)]
pub struct Verifier {
    association: Arc<Association>,
    algorithms: WebPkiSupportedAlgorithms,
    verdict: OnceLock<Result<Matched, Mismatch>>,
}

impl Verifier {
    /// A verifier for one handshake.
    #[must_use]
    pub fn new(association: Arc<Association>) -> Arc<Self> {
        let algorithms = default_provider().signature_verification_algorithms;
        Arc::new(Self { association, algorithms, verdict: OnceLock::new() })
    }

    /// The name to ask the server for (RFC 7672 §8.1). A handshake for another one fails.
    #[must_use]
    pub fn server_name(&self) -> ServerName<'static> {
        ServerName::DnsName(self.association.names().base().to_owned())
    }

    /// A configuration for this handshake: TLS 1.2 at least, and no session is resumed, because a
    /// resumed one does not show its certificate again.
    ///
    /// # Errors
    ///
    /// The cryptographic provider is unfit.
    pub fn config(self: &Arc<Self>, time: Arc<dyn TimeProvider>) -> Result<ClientConfig, Error> {
        let verifier: Arc<Self> = Arc::clone(self);
        config_without_resumption(Arc::new(default_provider()), time, verifier)
    }

    /// What the certificates are worth; none while no handshake has shown any.
    ///
    /// A match proves the peer only where the handshake has succeeded.
    #[must_use]
    pub fn verdict(&self) -> Option<&Result<Matched, Mismatch>> {
        self.verdict.get()
    }
}

/// The key of a certificate that rustls cannot read; none of one that it can.
fn bare_key(certificate: &CertificateDer<'_>) -> Option<SubjectPublicKeyInfoDer<'static>> {
    match ParsedCertificate::try_from(certificate) {
        Ok(_read) => None,
        Err(_unread) => {
            let key = pkix::subject_public_key_info(certificate)?;
            Some(SubjectPublicKeyInfoDer::from(key.to_vec()))
        }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if *server_name != self.server_name() {
            return Err(Error::General("the association is for another host".to_owned()));
        }
        let chain: Vec<_> = std::iter::once(end_entity).chain(intermediates).cloned().collect();
        let judged = self.association.judge(&chain, now);
        // A second handshake must not be taken for what the first has shown.
        if self.verdict.set(judged.clone()).is_err() {
            return Err(Error::General("a verifier is for one handshake".to_owned()));
        }
        match judged {
            Ok(_matched) => Ok(ServerCertVerified::assertion()),
            Err(mismatch) => Err(CertificateError::Other(OtherError(Arc::new(mismatch))).into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match bare_key(certificate) {
            None => verify_tls12_signature(message, certificate, signed, &self.algorithms),
            Some(_key) => match check_signature(&self.algorithms, message, certificate, signed) {
                Signature::Right => Ok(HandshakeSignatureValid::assertion()),
                Signature::Unchecked | Signature::Wrong => {
                    Err(CertificateError::BadSignature.into())
                }
            },
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match bare_key(certificate) {
            None => verify_tls13_signature(message, certificate, signed, &self.algorithms),
            Some(key) => {
                verify_tls13_signature_with_raw_key(message, &key, signed, &self.algorithms)
            }
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
