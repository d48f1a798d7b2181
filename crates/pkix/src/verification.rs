//! The verification of a server's certificate (RFC 8461 §4.2, RFC 6125 §6): by rustls, and for a
//! certificate that the operator has named for a host itself by comparison.
//!
//! rustls takes a trust root for an authority and for nothing else: a self-signed certificate with
//! `CA:TRUE`, as many programs make them, proves nothing to it although its operator has put it
//! into `trust.ca_file`. Such a certificate counts here if the host shows the very same one: its
//! name and dates are checked all the same, and the handshake's signature shows that the host has
//! its key.

use std::io;
use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::time_provider::TimeProvider;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme};

use crate::certificate::{Certificate, PublicKey, directory_name};
use crate::failure::{HandshakeError, TlsError};
use crate::roots::Roots;

/// Verifies certificates against trust roots. Clones share them.
#[derive(Clone, Debug)]
pub struct Verification {
    roots: Roots,
    webpki: Arc<WebPkiServerVerifier>,
    provider: Arc<CryptoProvider>,
}

/// TLS cannot be set up at all: our own mistake, not a peer's.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The cryptographic provider lacks what a configuration needs.
    #[error("the cryptographic provider is unfit")]
    Provider(#[from] Error),
    /// The trust roots are unfit.
    #[error("the trust roots are unfit")]
    Roots(#[from] rustls::client::VerifierBuilderError),
}

impl Verification {
    /// Verifies against `roots`.
    ///
    /// # Errors
    ///
    /// [`SetupError`] where `roots` is empty.
    pub fn new(roots: Roots, provider: Arc<CryptoProvider>) -> Result<Self, SetupError> {
        let (store, shared) = (Arc::clone(roots.store()), Arc::clone(&provider));
        let webpki = WebPkiServerVerifier::builder_with_provider(store, shared).build()?;
        Ok(Self { roots, webpki, provider })
    }

    /// What rustls itself makes of certificates and signatures.
    #[must_use]
    pub fn webpki(&self) -> &WebPkiServerVerifier {
        &self.webpki
    }

    /// The cryptographic provider.
    #[must_use]
    pub const fn provider(&self) -> &Arc<CryptoProvider> {
        &self.provider
    }

    /// A configuration that verifies, at the time that `time` tells.
    ///
    /// # Errors
    ///
    /// [`SetupError`] where the provider lacks what TLS 1.2 and 1.3 need.
    pub fn config(&self, time: Arc<dyn TimeProvider>) -> Result<ClientConfig, SetupError> {
        let verifier: Arc<WebPkiServerVerifier> = Arc::clone(&self.webpki);
        Ok(config_without_resumption(Arc::clone(&self.provider), time, verifier)?)
    }

    /// The same configuration for one connection, with a witness who can say afterwards what was
    /// wrong.
    #[must_use]
    pub fn witnessed(&self, config: &ClientConfig) -> (Arc<ClientConfig>, Arc<Witness>) {
        let witness = Arc::new(Witness { verification: self.clone(), refusal: OnceLock::new() });
        let mut config = config.clone();
        let verifier = Arc::clone(&witness);
        config.dangerous().set_certificate_verifier(verifier);
        (Arc::new(config), witness)
    }

    /// Whether these certificates prove that a server is `name`.
    ///
    /// # Errors
    ///
    /// [`TlsError`] tells what is wrong with them.
    pub fn judge(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<(), TlsError> {
        self.verify(end_entity, intermediates, name, ocsp_response, now).map(|_verified| ())
    }

    /// The same, for a verifier that has to say so to rustls.
    ///
    /// # Errors
    ///
    /// As [`Self::judge`].
    pub fn verify(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        let verified =
            self.webpki.verify_server_cert(end_entity, intermediates, name, ocsp_response, now);
        let judged = match verified {
            Err(_) if self.roots.names(end_entity) => {
                is_named_host(end_entity, name, now).map(|()| ServerCertVerified::assertion())
            }
            verified => verified,
        };
        judged.map_err(|error| TlsError::of_chain(error, end_entity, intermediates))
    }
}

/// A configuration in which `verifier` judges the peer, at the time that `time` tells: TLS 1.2 at
/// least, and no session is ever resumed, because a resumed one does not show its certificate again.
///
/// # Errors
///
/// [`Error`] where the provider lacks what TLS 1.2 and 1.3 need.
pub fn config_without_resumption(
    provider: Arc<CryptoProvider>,
    time: Arc<dyn TimeProvider>,
    verifier: Arc<dyn ServerCertVerifier>,
) -> Result<ClientConfig, Error> {
    let mut config = ClientConfig::builder_with_details(provider, time)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// Whether a certificate that the operator has named is good for `name` now. Who signed it is of no
/// consequence (RFC 5280 §6.2).
fn is_named_host(
    certificate: &CertificateDer<'_>,
    name: &ServerName<'_>,
    time: UnixTime,
) -> Result<(), Error> {
    let malformed = || Error::from(CertificateError::BadEncoding);
    let read = Certificate::read(certificate).ok_or_else(malformed)?;
    let validity = read.validity().ok_or_else(malformed)?;
    if time.as_secs() < validity.not_before.as_secs() {
        let not_before = validity.not_before;
        return Err(CertificateError::NotValidYetContext { time, not_before }.into());
    }
    if time.as_secs() > validity.not_after.as_secs() {
        let not_after = validity.not_after;
        return Err(CertificateError::ExpiredContext { time, not_after }.into());
    }
    verify_server_name(&ParsedCertificate::try_from(certificate)?, name)
}

/// What a certificate says of itself, as far as it can be read: nothing of it is verified here.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CertificateSummary {
    /// The name of its issuer.
    pub issuer: String,
    /// The first DNS names and addresses that it is for.
    pub names: Vec<String>,
    /// The first moment at which it holds.
    pub not_before: Option<UnixTime>,
    /// The last moment at which it holds.
    pub not_after: Option<UnixTime>,
}

/// What a certificate says of itself, with so many of its names at most.
#[must_use]
pub fn summary(certificate: &CertificateDer<'_>, names: usize) -> Option<CertificateSummary> {
    let read = Certificate::read(certificate)?;
    let validity = read.validity();
    Some(CertificateSummary {
        issuer: directory_name(read.issuer),
        names: read.names().take(names).collect(),
        not_before: validity.map(|validity| validity.not_before),
        not_after: validity.map(|validity| validity.not_after),
    })
}

/// The public key of a certificate of any version, however odd the rest of it is.
#[must_use]
pub fn public_key<'a>(certificate: &'a CertificateDer<'_>) -> Option<PublicKey<'a>> {
    Certificate::read(certificate)?.public_key()
}

/// The `SubjectPublicKeyInfo` of a certificate of any version, as it is encoded there.
#[must_use]
pub fn subject_public_key_info<'a>(certificate: &'a CertificateDer<'_>) -> Option<&'a [u8]> {
    Some(Certificate::read(certificate)?.spki)
}

/// The verifier of one connection, which remembers why it refused.
#[derive(Debug)]
pub struct Witness {
    verification: Verification,
    refusal: OnceLock<TlsError>,
}

impl Witness {
    /// The error with which the handshake ended, and what was seen of the certificates.
    #[must_use]
    pub fn explain(&self, error: io::Error) -> HandshakeError {
        HandshakeError::of_stream(error, |error| {
            let seen = self.refusal.get().filter(|refusal| is_same(refusal.error(), &error));
            seen.cloned().unwrap_or_else(|| error.into())
        })
    }
}

/// Whether both are about a certificate: some of these errors never equal each other.
fn is_same(refusal: &Error, error: &Error) -> bool {
    let about_certificate = |error: &Error| matches!(error, Error::InvalidCertificate(_));
    refusal == error || (about_certificate(refusal) && about_certificate(error))
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified =
            self.verification.verify(end_entity, intermediates, server_name, ocsp_response, now);
        verified.map_err(|refusal| {
            let error = refusal.error().clone();
            drop(self.refusal.set(refusal));
            error
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verification.webpki.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verification.webpki.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verification.webpki.supported_verify_schemes()
    }
}
