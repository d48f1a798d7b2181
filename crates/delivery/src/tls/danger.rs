//! TLS that accepts any certificate. For mail that may also leave in clear, and for nothing else.
//!
//! A handshake under [`Observing`] keeps a passive listener out, and tells what a verifying
//! handshake would have said: RFC 8461 §5 wants the failures of a policy in testing reported
//! although the mail goes through.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use clock::Clock;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio_rustls::client::TlsStream;

use crate::line_io::Stream;

use super::{HandshakeFailure, TlsSetupError, WallClock, handshake, provider, verifier};

/// The configuration that takes whoever answers, and notes what would have failed.
#[derive(Clone)]
pub struct Observing {
    provider: Arc<CryptoProvider>,
    verifier: Arc<WebPkiServerVerifier>,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for Observing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observing").finish_non_exhaustive()
    }
}

impl Observing {
    /// Judges by `roots`, at the time `clock` tells, without acting on it.
    ///
    /// # Errors
    ///
    /// [`TlsSetupError`] where `roots` is empty.
    pub fn new(roots: Arc<RootCertStore>, clock: Arc<dyn Clock>) -> Result<Self, TlsSetupError> {
        let provider = provider();
        let verifier = verifier(roots, &provider)?;
        Ok(Self { provider, verifier, clock })
    }

    /// Shakes hands with whoever is there, and says what `name` would have been worth.
    pub(crate) async fn handshake<S: Stream>(
        &self,
        stream: S,
        name: ServerName<'static>,
        limit: Duration,
    ) -> Result<(TlsStream<S>, Verdict), HandshakeFailure> {
        let recorder =
            Arc::new(Recorder { inner: Arc::clone(&self.verifier), verdict: OnceLock::new() });
        let config = self.config(Arc::clone(&recorder)).map_err(HandshakeFailure::Tls)?;
        let stream = handshake(config, stream, name, limit).await?;
        let verdict = recorder.verdict.get().cloned().unwrap_or(Verdict::Unknown);
        Ok((stream, verdict))
    }

    /// A configuration for one connection: the recorder must not hear of another's certificate.
    fn config(&self, recorder: Arc<Recorder>) -> Result<Arc<ClientConfig>, rustls::Error> {
        let time = Arc::new(WallClock(Arc::clone(&self.clock)));
        let mut config = ClientConfig::builder_with_details(Arc::clone(&self.provider), time)
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(recorder)
            .with_no_client_auth();
        config.resumption = Resumption::disabled();
        Ok(Arc::new(config))
    }
}

/// What a verifying handshake would have said.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Verdict {
    /// It would have accepted the peer.
    Valid,
    /// It would have refused the peer.
    Invalid(rustls::Error),
    /// No certificate was shown, so there is nothing to judge.
    Unknown,
}

/// Runs the verification, writes down what it says and lets everyone pass.
///
/// The signature on the handshake is still checked: the peer has the key to what it shows.
#[derive(Debug)]
struct Recorder {
    inner: Arc<WebPkiServerVerifier>,
    verdict: OnceLock<Verdict>,
}

impl ServerCertVerifier for Recorder {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.verdict.get_or_init(|| {
            match self.inner.verify_server_cert(
                end_entity,
                intermediates,
                server_name,
                ocsp_response,
                now,
            ) {
                Ok(_verified) => Verdict::Valid,
                Err(error) => Verdict::Invalid(error),
            }
        });
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
