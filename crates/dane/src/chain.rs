//! DANE-TA(2): from a trust anchor that a record names down to the server (RFC 7672 §3.1.2).
//!
//! Only the anchors of the records count; public authorities have no say. What RFC 5280 asks of an
//! issuer is asked of the anchor as well, because it is a peer who shows it: that it may issue for
//! servers, how long its paths are (RFC 7671 §5.2.1), and its name constraints. The dates of a root
//! count, those of an anchor below another authority do not: RFC 5280 §6.1 leaves this open, and so
//! OpenSSL has it (tests/openssl.rs compares).
//!
//! Departures: names are taken from the subjectAltName alone, not from a common name where there is
//! none (RFC 7672 §3.2.3 has it so, RFC 9525 §2 no longer does). At most [`ISSUERS_MAX`]
//! certificates are looked at, and paths have at most six issuers below the anchor.

use pkix::{Authority, summary};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, DnsName, ServerName, TrustAnchor, UnixTime};
use webpki::{EndEntityCert, KeyUsage, VerifiedPath, anchor_from_trusted_cert};

use crate::names::ReferenceNames;
use crate::usable::Usable;
use crate::verdict::{Matched, MatchedCertificate, Mismatch};

/// The most issuers' certificates of a chain that are looked at.
pub(crate) const ISSUERS_MAX: usize = 32;

/// The most names of a certificate that are told.
const NAMES_TOLD: usize = 5;

/// A trust anchor that a record names.
struct Anchor<'a> {
    trust: TrustAnchor<'static>,
    /// The most authorities below it.
    path_length: Option<usize>,
    record: &'a Usable,
    certificate: MatchedCertificate,
}

/// Whether the server's certificate has one of the names and was issued under one of the anchors.
pub(crate) fn verify(
    records: &[&Usable],
    leaf: &CertificateDer<'_>,
    issuers: &[CertificateDer<'_>],
    names: &ReferenceNames,
    now: UnixTime,
) -> Result<Matched, Mismatch> {
    let issuers = issuers.get(..ISSUERS_MAX).unwrap_or(issuers);
    let found = Anchors::find(records, leaf, issuers, now);
    if found.fit.is_empty() {
        return Err(found.unfit.unwrap_or(Mismatch::NoMatch));
    }
    let server = EndEntityCert::try_from(leaf).map_err(|error| mismatch(&error, leaf))?;
    let matched = match found.path_to(&server, issuers, now) {
        Ok(matched) => matched,
        Err(webpki::Error::UnknownIssuer) => {
            return Err(found.unfit.unwrap_or(Mismatch::NotIssued));
        }
        Err(error) => return Err(mismatch(&error, leaf)),
    };
    let is_named = |name: &_| {
        let name = ServerName::DnsName(DnsName::borrow(name));
        server.verify_is_valid_for_subject_name(&name).is_ok()
    };
    if names.all().any(is_named) { Ok(matched) } else { Err(wrong_name(leaf)) }
}

/// The anchors of a host's records.
struct Anchors<'a> {
    fit: Vec<Anchor<'a>>,
    /// What is wrong with one that does not count.
    unfit: Option<Mismatch>,
}

impl<'a> Anchors<'a> {
    /// Looks for them among the certificates that were shown, but for the server's own, and in the
    /// records themselves.
    fn find(
        records: &[&'a Usable],
        leaf: &CertificateDer<'_>,
        issuers: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Self {
        let mut found = Self { fit: Vec::new(), unfit: None };
        for (place, issuer) in (1..).zip(issuers) {
            if let Some(record) = records.iter().find(|record| record.matches(issuer)) {
                found.add(issuer, record, MatchedCertificate::Shown(place), now);
            }
        }
        for record in records {
            // RFC 7671 §5.2.2: the only anchor that need not be shown.
            if let Some(certificate) = record.certificate() {
                found.add(&certificate, record, MatchedCertificate::OfTheRecord, now);
            }
            if !issuers.iter().any(|issuer| record.matches(issuer)) {
                found.add_bare_key(record, leaf, issuers);
            }
        }
        found
    }

    /// Takes a certificate for an anchor, if it is fit to be one.
    fn add(
        &mut self,
        certificate: &CertificateDer<'_>,
        record: &'a Usable,
        shown: MatchedCertificate,
        now: UnixTime,
    ) {
        match fit_anchor(certificate, now) {
            Ok((trust, path_length)) => {
                self.fit.push(Anchor { trust, path_length, record, certificate: shown });
            }
            Err(unfit) => {
                self.unfit.get_or_insert(unfit);
            }
        }
    }

    /// Takes a key in a record for that of whoever issued a certificate of the chain, where nobody
    /// with this key was shown (RFC 7671 §5.2.3). Nothing is known of such an anchor but its key.
    fn add_bare_key(
        &mut self,
        record: &'a Usable,
        leaf: &CertificateDer<'_>,
        issuers: &[CertificateDer<'_>],
    ) {
        let Some(key) = record.bare_key() else { return };
        for certificate in std::iter::once(leaf).chain(issuers) {
            let Ok(read) = EndEntityCert::try_from(certificate) else { continue };
            let trust = TrustAnchor {
                subject: read.issuer().into(),
                subject_public_key_info: key.content.into(),
                name_constraints: None,
            };
            let trust = trust.to_owned();
            let is_known = |anchor: &Anchor<'_>| anchor.trust == trust;
            if !self.fit.iter().any(is_known) {
                let certificate = MatchedCertificate::OfTheRecord;
                self.fit.push(Anchor { trust, path_length: None, record, certificate });
            }
        }
    }

    /// Verifies the chain from one of the anchors down to the server.
    fn path_to(
        &self,
        server: &EndEntityCert<'_>,
        issuers: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<Matched, webpki::Error> {
        let trust: Vec<_> = self.fit.iter().map(|anchor| anchor.trust.clone()).collect();
        let algorithms = default_provider().signature_verification_algorithms;
        let allow = |path: &VerifiedPath<'_>| match self.anchor_of(path) {
            Some(_anchor) => Ok(()),
            None => Err(webpki::Error::PathLenConstraintViolated),
        };
        let (usage, all) = (KeyUsage::server_auth(), algorithms.all);
        let path = server.verify_for_usage(all, &trust, issuers, now, usage, None, Some(&allow))?;
        let anchor = self.anchor_of(&path).ok_or(webpki::Error::UnknownIssuer)?;
        Ok(Matched::new(anchor.record.record.clone(), anchor.certificate))
    }

    /// The anchor that a path leads to and that allows one of this length.
    fn anchor_of(&self, path: &VerifiedPath<'_>) -> Option<&Anchor<'a>> {
        let between = path.intermediate_certificates();
        // RFC 5280 §6.1.4 (l): who issues to themselves does not make the path longer.
        let length = between.filter(|issuer| issuer.issuer() != issuer.subject()).count();
        self.fit.iter().find(|anchor| {
            anchor.trust == *path.anchor() && anchor.path_length.is_none_or(|most| length <= most)
        })
    }
}

/// A certificate as an anchor, if it may issue for servers now.
fn fit_anchor(
    certificate: &CertificateDer<'_>,
    now: UnixTime,
) -> Result<(TrustAnchor<'static>, Option<usize>), Mismatch> {
    let authority = Authority::read(certificate).map_err(Mismatch::Anchor)?;
    let (not_before, not_after) = (authority.not_before, authority.not_after);
    if authority.is_self_issued && now.as_secs() < not_before.as_secs() {
        return Err(Mismatch::NotYetValid { not_before });
    }
    if authority.is_self_issued && now.as_secs() > not_after.as_secs() {
        return Err(Mismatch::Expired { not_after });
    }
    let trust = anchor_from_trusted_cert(certificate).map_err(|_malformed| Mismatch::Malformed)?;
    Ok((trust.to_owned(), authority.path_length))
}

/// The certificate has none of the names.
fn wrong_name(leaf: &CertificateDer<'_>) -> Mismatch {
    let presented = summary(leaf, NAMES_TOLD).map(|summary| summary.names);
    Mismatch::WrongName { presented: presented.unwrap_or_default() }
}

/// What is wrong with a chain.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "webpki's enum grows; what is not listed is shown by its name"
)]
fn mismatch(error: &webpki::Error, leaf: &CertificateDer<'_>) -> Mismatch {
    use webpki::Error;
    match error {
        Error::CertExpired { not_after, .. } => Mismatch::Expired { not_after: *not_after },
        Error::CertNotValidYet { not_before, .. } => {
            Mismatch::NotYetValid { not_before: *not_before }
        }
        Error::CertNotValidForName(_) => wrong_name(leaf),
        Error::BadDer | Error::BadDerTime | Error::TrailingData(_) => Mismatch::Malformed,
        Error::InvalidSignatureForPublicKey => Mismatch::BadSignature,
        Error::NameConstraintViolation => Mismatch::NameConstraint,
        Error::PathLenConstraintViolated => Mismatch::PathLength,
        Error::RequiredEkuNotFoundContext(_) => Mismatch::Purpose,
        Error::UnknownIssuer => Mismatch::NotIssued,
        Error::UnsupportedSignatureAlgorithmContext(_)
        | Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_) => {
            Mismatch::UnsupportedSignature
        }
        other => Mismatch::Other(other.to_string()),
    }
}
