//! One handshake with a host whose certificate an operator's exception accepts.
//!
//! It has to be that very certificate, and the host has to have its key: names, issuers and dates do not
//! count. What public authorities say is noted, and TLSA records hold as they do everywhere.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use dane::Verifier;
use mta_sts::CertificateDigest;
use pkix::{Signature, TlsError, Verification, check_signature};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};
use tokio_rustls::client::TlsStream;

use crate::line_io::Stream;
use crate::session::strict::RecordsBeside;
use crate::tls::dane::Shaken;
use crate::tls::digest::sha256;
use crate::tls::handshake::shake_once;
use crate::tls::handshake_failure::HandshakeFailure;
use crate::tls::verdict::Verdict;
use crate::tls::webpki::WebPki;

impl WebPki {
    /// Shakes hands with a peer that must show one of these certificates and have its key, and match
    /// the records beside it if it is held to them.
    pub(crate) async fn handshake_accepting<S: Stream>(
        &self,
        stream: S,
        (host, accepted): (ServerName<'static>, Vec<CertificateDigest>),
        beside: Option<RecordsBeside<'_>>,
        limit: Duration,
    ) -> Shaken<S> {
        let records = beside.map(|beside| Verifier::new(Arc::clone(beside.association())));
        let are_required = matches!(beside, Some(RecordsBeside::Required(_)));
        let name = match &records {
            Some(records) if are_required => records.server_name(),
            Some(_) | None => host.clone(),
        };
        let verification = self.verification.clone();
        let webpki = OnceLock::new();
        let records = records.map(|records| (records, are_required));
        let verifier = Arc::new(AcceptedVerifier { accepted, records, verification, host, webpki });
        let by = (self.verification.provider(), &self.clock);
        let shaken = shake_once(Arc::clone(&verifier), by, name, stream, limit).await;
        verifier.outcome(shaken)
    }
}

/// Takes one of a few certificates, and no other.
#[derive(Debug)]
struct AcceptedVerifier {
    accepted: Vec<CertificateDigest>,
    /// The records, and whether the peer has to match them.
    records: Option<(Arc<Verifier>, bool)>,
    verification: Verification,
    host: ServerName<'static>,
    webpki: OnceLock<Result<(), TlsError>>,
}

impl AcceptedVerifier {
    /// What has come of the handshake.
    fn outcome<S>(&self, shaken: Result<TlsStream<S>, HandshakeFailure>) -> Shaken<S> {
        let webpki = Verdict::of(self.webpki.get());
        let stream = match (shaken, &webpki) {
            // A handshake without a look at the certificate proves nothing.
            (Ok(_), Verdict::Unknown) => Err(HandshakeFailure::NotVerified),
            // It is not the certificate of the exception: what is wrong with it stays wrong.
            (Err(HandshakeFailure::Tls(_)), Verdict::Invalid(error)) => {
                Err(HandshakeFailure::Tls(error.clone()))
            }
            (shaken, _) => shaken,
        };
        let dane = self.records.as_ref().and_then(|(records, _)| records.verdict().cloned());
        Shaken { stream, dane, webpki }
    }

    /// Whether an exception accepts a certificate.
    fn accepts(&self, certificate: &CertificateDer<'_>) -> bool {
        sha256(certificate).is_some_and(|digest| self.accepted.contains(&digest.into()))
    }

    /// Lets a signature pass that is right with a key that rustls does not take.
    fn or_right(
        &self,
        error: Error,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.verification.provider().signature_verification_algorithms;
        match check_signature(known, message, certificate, signed) {
            Signature::Right => Ok(HandshakeSignatureValid::assertion()),
            Signature::Unchecked | Signature::Wrong => Err(error),
        }
    }
}

impl ServerCertVerifier for AcceptedVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let judged =
            self.verification.judge(end_entity, intermediates, &self.host, ocsp_response, now);
        drop(self.webpki.set(judged));
        if !self.accepts(end_entity) {
            return Err(CertificateError::ApplicationVerificationFailure.into());
        }
        if let Some((records, are_required)) = &self.records {
            let base = records.server_name();
            let name = if *are_required { server_name } else { &base };
            let matched =
                records.verify_server_cert(end_entity, intermediates, name, ocsp_response, now);
            if *are_required {
                matched?;
            }
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let webpki = self.verification.webpki();
        webpki
            .verify_tls12_signature(message, certificate, signed)
            .or_else(|error| self.or_right(error, message, certificate, signed))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let webpki = self.verification.webpki();
        webpki
            .verify_tls13_signature(message, certificate, signed)
            .or_else(|error| self.or_right(error, message, certificate, signed))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verification.webpki().supported_verify_schemes()
    }
}
