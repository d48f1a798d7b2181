//! One handshake, held to TLSA records and judged by public authorities as well (RFC 7672 §2.2).
//!
//! Where the host's records bind us alone, what the authorities say is only noted: a policy in testing
//! wants to know. Where a policy is enforced too, both have to hold (RFC 8461 §2: MTA-STS never
//! overrides DANE). Where the records are set aside beside such a policy, what they say is only noted:
//! their domain wants to know.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use dane::{Association, Matched, Mismatch, Verifier};
use pkix::{TlsError, Verification};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};
use tokio_rustls::client::TlsStream;

use super::handshake::shake_once;
use super::handshake_failure::HandshakeFailure;
use super::no_match::{NoMatch, Shown};
use super::verdict::Verdict;
use super::webpki::WebPki;
use crate::line_io::Stream;

/// Who has to be satisfied with a peer; what the other says is noted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum HeldTo {
    /// The public authorities have to vouch for the host's name.
    Authorities,
    /// The authorities and the records.
    Both,
    /// The peer has to match the records.
    Records,
}

impl HeldTo {
    /// Whether a peer has to match the records.
    const fn includes_records(self) -> bool {
        match self {
            Self::Authorities => false,
            Self::Both | Self::Records => true,
        }
    }

    /// Whether the authorities have to vouch for a peer.
    const fn includes_authorities(self) -> bool {
        match self {
            Self::Authorities | Self::Both => true,
            Self::Records => false,
        }
    }
}

/// What a handshake under an association has come to.
#[derive(Debug)]
pub(crate) struct Shaken<S> {
    /// The stream, if the peer has proved all that it had to.
    pub(crate) stream: Result<TlsStream<S>, HandshakeFailure>,
    /// What the records make of the peer; none where it has shown nothing.
    pub(crate) dane: Option<Result<Matched, Mismatch>>,
    /// What the authorities make of it.
    pub(crate) webpki: Verdict,
}

impl WebPki {
    /// Shakes hands with a peer that must match `association`, be `host` by the word of the authorities,
    /// or both. It is asked for by the TLSA base domain if it has to match (RFC 7672 §8.1), and else as
    /// `host`.
    pub(crate) async fn handshake_under<S: Stream>(
        &self,
        stream: S,
        association: &Arc<Association>,
        (host, held_to): (ServerName<'static>, HeldTo),
        limit: Duration,
    ) -> Shaken<S> {
        let records = Verifier::new(Arc::clone(association));
        let name = if held_to.includes_records() { records.server_name() } else { host.clone() };
        let verification = self.verification.clone();
        let both = Arc::new(BothVerifiers {
            records,
            verification,
            host,
            held_to,
            webpki: OnceLock::new(),
            shown: OnceLock::new(),
        });
        let by = (self.verification.provider(), &self.clock);
        let shaken = shake_once(Arc::clone(&both), by, name, stream, limit).await;
        both.outcome(shaken, association)
    }
}

/// Two verdicts on one handshake. Signatures are verified as the records' verifier does it, or as the
/// authorities' where they alone have a say; both refuse whoever has not the key of what it shows.
#[derive(Debug)]
struct BothVerifiers {
    records: Arc<Verifier>,
    verification: Verification,
    host: ServerName<'static>,
    held_to: HeldTo,
    webpki: OnceLock<Result<(), TlsError>>,
    shown: OnceLock<Shown>,
}

impl BothVerifiers {
    /// What has come of the handshake, with the reason of a mismatch in full.
    fn outcome<S>(
        &self,
        shaken: Result<TlsStream<S>, HandshakeFailure>,
        association: &Arc<Association>,
    ) -> Shaken<S> {
        let dane = self.records.verdict().cloned();
        let webpki = Verdict::of(self.webpki.get());
        let stream = match (shaken, &dane, &webpki) {
            // Nothing else would say so: a handshake without a look at the certificate proves nothing.
            (Ok(_), None, _) | (Ok(_), _, Verdict::Unknown) => Err(HandshakeFailure::NotVerified),
            (Ok(stream), Some(_), Verdict::Valid | Verdict::Invalid(_)) => Ok(stream),
            (Err(_), Some(Err(mismatch)), _) if self.held_to.includes_records() => {
                let shown = self.shown.get().copied().unwrap_or_default();
                let no_match = NoMatch::new(association, mismatch.clone(), shown);
                Err(HandshakeFailure::NoMatch(Box::new(no_match)))
            }
            (Err(HandshakeFailure::Tls(_)), Some(_), Verdict::Invalid(error))
                if self.held_to.includes_authorities() =>
            {
                Err(HandshakeFailure::Tls(error.clone()))
            }
            (Err(failure), _, _) => Err(failure),
        };
        Shaken { stream, dane, webpki }
    }
}

impl ServerCertVerifier for BothVerifiers {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.shown.get_or_init(|| Shown::of(end_entity, intermediates.first()));
        let judged =
            self.verification.verify(end_entity, intermediates, &self.host, ocsp_response, now);
        let vouched_for = match judged {
            Ok(verified) => {
                drop(self.webpki.set(Ok(())));
                Ok(verified)
            }
            Err(error) => {
                drop(self.webpki.set(Err(error)));
                Err(CertificateError::ApplicationVerificationFailure.into())
            }
        };
        let base = self.records.server_name();
        let asked_for = if self.held_to.includes_records() { server_name } else { &base };
        let matched = self.records.verify_server_cert(
            end_entity,
            intermediates,
            asked_for,
            ocsp_response,
            now,
        );
        match self.held_to {
            HeldTo::Authorities => vouched_for,
            HeldTo::Both => matched.and(vouched_for),
            HeldTo::Records => matched,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match self.held_to {
            HeldTo::Authorities => {
                self.verification.webpki().verify_tls12_signature(message, certificate, signed)
            }
            HeldTo::Both | HeldTo::Records => {
                self.records.verify_tls12_signature(message, certificate, signed)
            }
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match self.held_to {
            HeldTo::Authorities => {
                self.verification.webpki().verify_tls13_signature(message, certificate, signed)
            }
            HeldTo::Both | HeldTo::Records => {
                self.records.verify_tls13_signature(message, certificate, signed)
            }
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        match self.held_to {
            HeldTo::Authorities => self.verification.webpki().supported_verify_schemes(),
            HeldTo::Both | HeldTo::Records => self.records.supported_verify_schemes(),
        }
    }
}
