//! TLS that accepts any certificate. For mail that may also leave in clear, and for nothing else; and TLS
//! that accepts one certificate, which an exception names.
//!
//! A handshake under [`Observing`] keeps a passive listener out, and tells what a verifying
//! handshake would have said: RFC 8461 §5 wants the failures of a policy in testing reported
//! although the mail goes through.
//!
//! Nothing is proved here, so nothing has to parse: a certificate of X.509 version 1, with a short
//! key or an odd extension is as good as any, because the choice is between it and clear text. The
//! signature on the handshake is checked with every key that can be used, as other senders do: a
//! peer that has not the key of what it shows is broken or meddled with. Where the key cannot be
//! used (RSA below 2,048 bits, curves and algorithms that the provider lacks, keys that cannot be
//! read) the signature is passed over, and no such peer counts as verified.

mod accepted;

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use clock::Clock;
use dane::{Association, Matched, Mismatch, Verifier};
use pkix::{Roots, SetupError, Signature, TlsError, Verification, check_signature};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};
use tokio_rustls::client::TlsStream;

use crate::line_io::Stream;

use super::handshake::shake_once;
use super::handshake_failure::HandshakeFailure;
use super::verdict::Verdict;

/// The configuration that takes whoever answers, and notes what would have failed.
#[derive(Clone)]
pub struct Observing {
    verification: Verification,
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
    /// [`SetupError`] where `roots` is empty.
    pub fn new(roots: impl Into<Roots>, clock: Arc<dyn Clock>) -> Result<Self, SetupError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        Ok(Self { verification: Verification::new(roots.into(), provider)?, clock })
    }

    /// Shakes hands with whoever is there, and says what `host` would have been worth.
    pub(crate) async fn handshake<S: Stream>(
        &self,
        stream: S,
        host: ServerName<'static>,
        limit: Duration,
    ) -> Result<(TlsStream<S>, Verdict), HandshakeFailure> {
        let observed = self.handshake_beside(stream, host, None, limit).await?;
        Ok((observed.stream, observed.webpki))
    }

    /// The same, and says what the host's TLSA records would have made of it. They are asked for by
    /// their base domain, as they want it (RFC 7672 §8.1).
    pub(crate) async fn handshake_beside<S: Stream>(
        &self,
        stream: S,
        host: ServerName<'static>,
        records: Option<&Arc<Association>>,
        limit: Duration,
    ) -> Result<Observed<S>, HandshakeFailure> {
        let records = records.map(|association| Verifier::new(Arc::clone(association)));
        let name = records.as_ref().map_or_else(|| host.clone(), |records| records.server_name());
        let recorder = Arc::new(Recorder {
            verification: self.verification.clone(),
            host,
            records,
            webpki: OnceLock::new(),
            unproved: OnceLock::new(),
        });
        let by = (self.verification.provider(), &self.clock);
        let stream = shake_once(Arc::clone(&recorder), by, name, stream, limit).await?;
        let dane = recorder.records.as_ref().and_then(|records| records.verdict().cloned());
        Ok(Observed { stream, webpki: recorder.verdict(), dane })
    }
}

/// A handshake with whoever was there.
#[derive(Debug)]
pub(crate) struct Observed<S> {
    /// The stream.
    pub(crate) stream: TlsStream<S>,
    /// What the authorities would have said.
    pub(crate) webpki: Verdict,
    /// What the TLSA records would have said; none where there are none, or nothing was shown.
    pub(crate) dane: Option<Result<Matched, Mismatch>>,
}

/// Runs the verification, writes down what it says and lets everyone pass.
#[derive(Debug)]
struct Recorder {
    verification: Verification,
    host: ServerName<'static>,
    records: Option<Arc<Verifier>>,
    webpki: OnceLock<Result<(), TlsError>>,
    /// Why a signature on the handshake could not be checked.
    unproved: OnceLock<TlsError>,
}

impl Recorder {
    /// What all of the handshake was worth.
    fn verdict(&self) -> Verdict {
        match (Verdict::of(self.webpki.get()), self.unproved.get()) {
            (Verdict::Valid, Some(unproved)) => Verdict::Invalid(unproved.clone()),
            (verdict, _) => verdict,
        }
    }

    /// Lets a signature pass that cannot be checked, and none that is wrong.
    fn unless_wrong(
        &self,
        error: rustls::Error,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.verification.provider().signature_verification_algorithms;
        match check_signature(known, message, certificate, signed) {
            Signature::Right => {}
            Signature::Unchecked => drop(self.unproved.set(error.into())),
            Signature::Wrong => return Err(error),
        }
        Ok(HandshakeSignatureValid::assertion())
    }
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
        let judged =
            self.verification.judge(end_entity, intermediates, &self.host, ocsp_response, now);
        drop(self.webpki.set(judged));
        // What the records say is noted by their verifier, and nobody acts on it.
        drop(self.records.as_ref().map(|records| {
            records.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
        }));
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let webpki = self.verification.webpki();
        webpki
            .verify_tls12_signature(message, certificate, signed)
            .or_else(|error| self.unless_wrong(error, message, certificate, signed))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let webpki = self.verification.webpki();
        webpki
            .verify_tls13_signature(message, certificate, signed)
            .or_else(|error| self.unless_wrong(error, message, certificate, signed))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verification.webpki().supported_verify_schemes()
    }
}
