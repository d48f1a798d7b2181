//! What is wrong with a peer's TLS, in sentences for people.
//!
//! One table, so that the log, a notification, the queue and `check` say the same. rustls's enums
//! may grow; what is not in the table is shown by the words of its name.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "rustls's enums grow; what is not listed is shown by the words of its name"
)]

use std::fmt;
use std::io;

use jiff::Timestamp;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::{AlertDescription, CertificateError, Error, InvalidMessage, PeerIncompatible};

use crate::certificate::{Certificate, directory_name};
use crate::der::{Reader, oid_text, tag};
use crate::words::{io_words, shown, split_name};

/// How many names of a certificate a sentence lists.
const LISTED: usize = 5;

/// How far a chain is followed to name the issuer that is missing.
const CHAIN_MAX: usize = 16;

/// An error of TLS, with what was seen of the peer's certificates.
#[derive(Clone, Debug, PartialEq)]
pub struct TlsError {
    error: Error,
    /// None where no certificate was read.
    seen: Option<Box<Seen>>,
}

/// What a chain says that explains why it was refused.
#[derive(Clone, Debug, PartialEq)]
struct Seen {
    names: Names,
    issuer: Issuer,
    not_after: Option<UnixTime>,
    limits_directory_names: bool,
}

/// The names of a certificate: the first few, and how many there are.
#[derive(Clone, Debug, PartialEq)]
struct Names {
    first: Vec<String>,
    count: usize,
}

impl Names {
    /// Those of a certificate, or of an error that tells them.
    fn of(mut all: impl Iterator<Item = String>) -> Self {
        let first: Vec<String> = all.by_ref().take(LISTED).collect();
        let count = first.len().saturating_add(all.count());
        Self { first, count }
    }
}

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = self.first.join(", ");
        match (self.count, self.count.saturating_sub(self.first.len())) {
            (0, _) => f.write_str("no host"),
            (_, 0) => f.write_str(&first),
            (_, more) => write!(f, "{first} and {more} more"),
        }
    }
}

/// Who has issued a certificate.
#[derive(Clone, Debug, PartialEq)]
enum Issuer {
    /// Its own key.
    Itself,
    /// The issuer of the last certificate of the chain.
    Other(String),
}

impl TlsError {
    /// The same error with what these certificates say of it.
    pub(crate) fn of_chain(
        error: Error,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
    ) -> Self {
        Self { error, seen: Seen::of(end_entity, intermediates).map(Box::new) }
    }

    /// What rustls calls it.
    #[must_use]
    pub const fn error(&self) -> &Error {
        &self.error
    }

    /// Whether the peer's certificate is what is wrong.
    #[must_use]
    pub const fn is_about_certificate(&self) -> bool {
        matches!(self.error, Error::InvalidCertificate(_) | Error::NoCertificatesPresented)
    }

    /// A word for a metric: whose fault it may be, and nothing a peer could choose.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match &self.error {
            Error::AlertReceived(_) => "alert",
            Error::InvalidCertificate(_) | Error::NoCertificatesPresented => "certificate",
            Error::PeerIncompatible(_) => "incompatible",
            Error::InvalidMessage(
                InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion,
            ) => "not-tls",
            _other => "protocol",
        }
    }
}

impl From<Error> for TlsError {
    /// An error of which nothing more is known.
    fn from(error: Error) -> Self {
        Self { error, seen: None }
    }
}

impl std::error::Error for TlsError {}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.error {
            Error::InvalidCertificate(error) => self.certificate(error, f),
            other => f.write_str(&protocol_words(other)),
        }
    }
}

/// What is wrong, where it is not the certificate.
fn protocol_words(error: &Error) -> String {
    let fixed = match error {
        Error::AlertReceived(alert) => return alert_words(*alert),
        Error::NoCertificatesPresented => "the host showed no certificate",
        Error::PeerIncompatible(why) => return incompatible(why),
        Error::PeerMisbehaved(how) => {
            return format!("the host broke the rules of TLS: {}", split_name(&format!("{how:?}")));
        }
        Error::InvalidMessage(what) => return malformed(what),
        Error::InappropriateMessage { .. } | Error::InappropriateHandshakeMessage { .. } => {
            "the host sent a TLS message out of turn"
        }
        Error::DecryptError => "a TLS record of the host could not be decrypted",
        Error::PeerSentOversizedRecord => "the host sent a TLS record that is too large",
        Error::UnsupportedNameType => "no certificate can prove such a name",
        Error::General(text) => return shown(text),
        other => return split_name(&format!("{other:?}")),
    };
    fixed.to_owned()
}

fn incompatible(why: &PeerIncompatible) -> String {
    let fixed = match why {
        PeerIncompatible::NoCipherSuitesInCommon => {
            "the host accepts none of the cipher suites of this relay"
        }
        PeerIncompatible::NoKxGroupsInCommon => {
            "the host accepts none of the key exchanges of this relay"
        }
        PeerIncompatible::ServerDoesNotSupportTls12Or13
        | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig => {
            "the host speaks neither TLS 1.2 nor TLS 1.3"
        }
        other => {
            let why = split_name(&format!("{other:?}"));
            return format!("the host's TLS is not compatible: {why}");
        }
    };
    fixed.to_owned()
}

fn malformed(what: &InvalidMessage) -> String {
    match what {
        InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion => {
            "what the host sent is not TLS".to_owned()
        }
        InvalidMessage::CertificatePayloadTooLarge | InvalidMessage::HandshakePayloadTooLarge => {
            "the host sent more than 64 KiB of certificates".to_owned()
        }
        other => format!("the host sent malformed TLS: {}", split_name(&format!("{other:?}"))),
    }
}

impl TlsError {
    /// A certificate that proves nothing.
    fn certificate(&self, error: &CertificateError, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seen = self.seen.as_deref();
        match error {
            CertificateError::ExpiredContext { not_after, .. } => {
                let last_day = seen.and_then(|seen| seen.not_after);
                let own = last_day.is_none_or(|own| own == *not_after);
                let whose = if own { "certificate" } else { "an issuer's certificate" };
                write!(f, "{whose} expired on {}", date(*not_after))
            }
            CertificateError::NotValidYetContext { not_before, .. } => {
                write!(f, "certificate is not valid before {}", date(*not_before))
            }
            CertificateError::UnknownIssuer => match seen.map(|seen| &seen.issuer) {
                Some(Issuer::Itself) => {
                    f.write_str("certificate is self-signed, and not a trusted one")
                }
                Some(Issuer::Other(issuer)) => write!(f, "issuer unknown: {issuer}"),
                None => f.write_str("issuer unknown"),
            },
            CertificateError::UnsupportedSignatureAlgorithmContext {
                signature_algorithm_id,
                ..
            } => {
                let algorithm = algorithm_words(signature_algorithm_id);
                write!(f, "certificate is signed with {algorithm}, which is not accepted")
            }
            CertificateError::NotValidForNameContext { expected, presented } => {
                let told = || Names::of(presented.iter().map(|name| shown(bare(name))));
                let names = seen.map_or_else(told, |seen| seen.names.clone());
                let expected = expected.to_str();
                write!(f, "certificate is not valid for {expected}; it names {names}")
            }
            CertificateError::Other(other) => f.write_str(&self.other(&other.to_string())),
            plain => f.write_str(&certificate_words(plain)),
        }
    }

    /// An error that rustls passes on by its name.
    fn other(&self, name: &str) -> String {
        let limits_directory_names =
            self.seen.as_deref().is_some_and(|seen| seen.limits_directory_names);
        match name {
            "CaUsedAsEndEntity" => {
                "certificate is that of an authority, and used as a host's own".to_owned()
            }
            "EndEntityUsedAsCa" => "certificate was issued by one that is no authority".to_owned(),
            "NameConstraintViolation" if limits_directory_names => {
                "an issuer's certificate limits names by directoryName constraints, which this \
                 relay does not support"
                    .to_owned()
            }
            "NameConstraintViolation" => {
                "certificate has a name that its issuer may not issue for".to_owned()
            }
            "PathLenConstraintViolated" => "certificate has more issuers than allowed".to_owned(),
            "UnsupportedCertVersion" => "certificate is not of X.509 version 3".to_owned(),
            "UnsupportedCriticalExtension" => {
                "certificate has a critical extension that is not supported".to_owned()
            }
            "SignatureAlgorithmMismatch" => {
                "certificate names two algorithms for one signature".to_owned()
            }
            _ if name.starts_with("Maximum") => {
                "certificate chain is too long to be checked".to_owned()
            }
            other => format!("certificate refused: {}", split_name(other)),
        }
    }
}

/// What is wrong with a certificate, where the error has no more to say.
fn certificate_words(error: &CertificateError) -> String {
    let fixed = match error {
        CertificateError::BadEncoding => "certificate is malformed",
        CertificateError::Expired => "certificate expired",
        CertificateError::NotValidYet => "certificate is not valid yet",
        CertificateError::Revoked => "certificate was revoked",
        CertificateError::UnhandledCriticalExtension => {
            "certificate has a critical extension that is not supported"
        }
        CertificateError::BadSignature => "signature does not match the certificate's key",
        CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            "a signature is of another kind than the key it should come from"
        }
        CertificateError::NotValidForName => "certificate is for another name",
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "certificate is not for servers (extended key usage)"
        }
        unlisted => {
            return format!("certificate refused: {}", split_name(&format!("{unlisted:?}")));
        }
    };
    fixed.to_owned()
}

impl Seen {
    fn of(end_entity: &CertificateDer<'_>, intermediates: &[CertificateDer<'_>]) -> Option<Self> {
        let leaf = Certificate::read(end_entity)?;
        let issuers: Vec<Certificate<'_>> = intermediates
            .iter()
            .take(CHAIN_MAX)
            .filter_map(|certificate| Certificate::read(certificate))
            .collect();
        let mut last = leaf;
        for _ in 0..issuers.len() {
            let issuer = issuers.iter().find(|issuer| issuer.subject == last.issuer);
            match issuer {
                Some(issuer) if issuer.issuer != issuer.subject => last = *issuer,
                Some(_) | None => break,
            }
        }
        let issuer = if leaf.issuer == leaf.subject {
            Issuer::Itself
        } else {
            Issuer::Other(directory_name(last.issuer))
        };
        Some(Self {
            names: Names::of(leaf.names()),
            issuer,
            not_after: leaf.validity().map(|validity| validity.not_after),
            limits_directory_names: issuers.iter().any(Certificate::limits_directory_names),
        })
    }
}

fn alert_words(alert: AlertDescription) -> String {
    let why = match alert {
        AlertDescription::HandshakeFailure => {
            "it shares no cipher suite or key exchange with this relay"
        }
        AlertDescription::ProtocolVersion => "it speaks neither TLS 1.2 nor TLS 1.3",
        AlertDescription::UnrecognisedName => "it does not know the name it was asked for",
        AlertDescription::InternalError => "it has an internal error",
        AlertDescription::CertificateRequired => "it wants a certificate of this relay",
        other => return format!("the host ended TLS with the alert \"{}\"", alert_name(other)),
    };
    format!("the host ended TLS with the alert \"{}\": {why}", alert_name(alert))
}

/// The name of RFC 8446 §6, with blanks.
fn alert_name(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::Unknown(number) => number.to_string(),
        known => split_name(&format!("{known:?}")),
    }
}

fn date(time: UnixTime) -> String {
    let seconds = i64::try_from(time.as_secs()).ok();
    let date = seconds.and_then(|seconds| Timestamp::from_second(seconds).ok());
    date.map_or_else(
        || "a day that no calendar has".to_owned(),
        |date| date.strftime("%F").to_string(),
    )
}

/// A name without what rustls writes around it: `DnsName("mx.example.org")`.
fn bare(name: &str) -> &str {
    let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    inner.map_or(name, |inner| inner.trim_matches('"'))
}

/// The name of a signature algorithm, which comes as the content of its identifier.
fn algorithm_words(identifier: &[u8]) -> String {
    let oid = Reader::new(identifier).expect(tag::OID).unwrap_or(identifier);
    let oid = oid_text(oid);
    let name = match oid.as_str() {
        "1.2.840.113549.1.1.4" => "MD5 with RSA",
        "1.2.840.113549.1.1.5" => "SHA-1 with RSA",
        "1.2.840.10045.4.1" => "SHA-1 with ECDSA",
        "1.2.840.10040.4.3" | "2.16.840.1.101.3.4.3.2" => "DSA",
        _ => return oid,
    };
    name.to_owned()
}

/// Why a stream does not come under TLS.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// The connection broke.
    #[error("connection lost during TLS handshake: {words}", words = io_words(.0))]
    Broken(io::Error),
    /// TLS refused the peer, or the peer us.
    #[error("{0}")]
    Tls(TlsError),
}

impl HandshakeError {
    /// What an I/O error of a stream is, whose TLS errors `explain` says more of.
    pub(crate) fn of_stream(error: io::Error, explain: impl FnOnce(Error) -> TlsError) -> Self {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()).cloned();
        inner.map_or(Self::Broken(error), |inner| Self::Tls(explain(inner)))
    }
}

impl From<io::Error> for HandshakeError {
    /// An error of which nothing more is known.
    fn from(error: io::Error) -> Self {
        Self::of_stream(error, TlsError::from)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustls::pki_types::ServerName;
    use rustls::{OtherError, PeerMisbehaved};

    use super::*;

    fn at(seconds: u64) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(seconds))
    }

    #[test]
    fn each_failure_is_a_sentence_without_words_of_the_language_it_is_written_in() {
        let expected = ServerName::try_from("mx.example.org").unwrap();
        let presented: Vec<String> =
            ["DnsName(\"a.example\")", "IpAddress(192.0.2.1)"].map(str::to_owned).into();
        let many = (0..1000).map(|n| format!("DnsName(\"h{n}.{}\")", "x".repeat(300))).collect();
        let name = |presented| CertificateError::NotValidForNameContext {
            expected: expected.clone(),
            presented,
        };
        let other = |name: &'static str| {
            CertificateError::Other(OtherError(std::sync::Arc::new(io::Error::other(name))))
        };
        let (time, not_after) = (at(1_900_000_000), at(1_793_491_200));
        let table: Vec<(Error, &str)> = vec![
            (
                CertificateError::ExpiredContext { time, not_after }.into(),
                "certificate expired on 2026-11-01",
            ),
            (
                CertificateError::NotValidYetContext { time, not_before: at(u64::MAX) }.into(),
                "certificate is not valid before a day that no calendar has",
            ),
            (CertificateError::UnknownIssuer.into(), "issuer unknown"),
            (
                name(presented).into(),
                "certificate is not valid for mx.example.org; it names a.example, 192.0.2.1",
            ),
            (
                name(Vec::new()).into(),
                "certificate is not valid for mx.example.org; it names no host",
            ),
            (
                other("CaUsedAsEndEntity").into(),
                "certificate is that of an authority, and used as a host's own",
            ),
            (other("SomethingNew(\"x\")").into(), "certificate refused: something new"),
            (
                Error::AlertReceived(AlertDescription::HandshakeFailure),
                "the host ended TLS with the alert \"handshake failure\": it shares no cipher \
                 suite or key exchange with this relay",
            ),
            (
                Error::AlertReceived(AlertDescription::Unknown(200)),
                "the host ended TLS with the alert \"200\"",
            ),
            (
                Error::PeerIncompatible(PeerIncompatible::ServerDoesNotSupportTls12Or13),
                "the host speaks neither TLS 1.2 nor TLS 1.3",
            ),
            (
                Error::PeerMisbehaved(PeerMisbehaved::SelectedUnofferedCipherSuite),
                "the host broke the rules of TLS: selected unoffered cipher suite",
            ),
            (InvalidMessage::InvalidContentType.into(), "what the host sent is not TLS"),
            (
                InvalidMessage::MissingData("ServerHello").into(),
                "the host sent malformed TLS: missing data",
            ),
            (Error::FailedToGetCurrentTime, "failed to get current time"),
            (Error::General("odd\nthings".to_owned()), "odd?things"),
        ];
        for (error, sentence) in table {
            assert_eq!(TlsError::from(error).to_string(), sentence);
        }
        let long = TlsError::from(Error::from(name(many))).to_string();
        assert!(long.ends_with(" and 995 more") && long.len() < 600, "{long}");
    }
}
