//! What binds a host's name to its certificates: usable records, and the names that count.

use aws_lc_rs::digest::{Context, SHA256};
use rustls::pki_types::{CertificateDer, UnixTime};

use crate::chain;
use crate::names::ReferenceNames;
use crate::tlsa::TlsaRecord;
use crate::usable::{SmtpUsage, Usable};
use crate::verdict::{Matched, MatchedCertificate, Mismatch};

/// Usable records with the names that count. A server is whom we mean if it matches one of them.
///
/// Nothing but secure records makes one ([`SecureRecords::associate`](crate::SecureRecords)):
///
/// ```compile_fail,E0451
/// # let names = dane::ReferenceNames::new("mx.example.org", &[]).unwrap();
/// let forged = dane::Association { usable: Vec::new(), records: Vec::new(), names };
/// ```
///
/// ```
/// # let names = dane::ReferenceNames::new("mx.example.org", &[])?;
/// let record = format!("3 1 1 {}", "ab".repeat(32)).parse()?;
/// let association = dane::SecureRecords::assertion(vec![record])?.associate(names)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Association {
    /// Those that count.
    usable: Vec<Usable>,
    /// All that the host has.
    records: Vec<TlsaRecord>,
    names: ReferenceNames,
}

impl Association {
    /// Binds the usable records of a host to names.
    pub(crate) const fn of_usable(
        usable: Vec<Usable>,
        records: Vec<TlsaRecord>,
        names: ReferenceNames,
    ) -> Self {
        Self { usable, records, names }
    }

    /// The names that a server of a DANE-TA record may have.
    #[must_use]
    pub const fn names(&self) -> &ReferenceNames {
        &self.names
    }

    /// All records of the host, those of no use included.
    #[must_use]
    pub fn records(&self) -> &[TlsaRecord] {
        &self.records
    }

    /// The records of one usage that count.
    fn of_usage(&self, usage: SmtpUsage) -> impl Iterator<Item = &Usable> {
        self.usable.iter().filter(move |usable| usable.usage == usage)
    }

    /// Whether a chain, the server's own certificate first, matches at `now` (RFC 7672 §3.2).
    ///
    /// Who shows a certificate need not have its key: that is for the handshake to prove, which
    /// [`Verifier`](crate::Verifier) looks after.
    ///
    /// # Errors
    ///
    /// [`Mismatch`] says why not.
    pub fn judge(&self, chain: &[CertificateDer<'_>], now: UnixTime) -> Result<Matched, Mismatch> {
        let (leaf, issuers) = chain.split_first().ok_or(Mismatch::NoCertificate)?;
        // Neither its names nor its dates count (RFC 7672 §3.1.1, §3.2.1).
        if let Some(usable) = self.of_usage(SmtpUsage::DaneEe).find(|ee| ee.matches(leaf)) {
            return Ok(Matched::new(usable.record.clone(), MatchedCertificate::Shown(0)));
        }
        let anchors: Vec<&Usable> = self.of_usage(SmtpUsage::DaneTa).collect();
        chain::verify(&anchors, leaf, issuers, &self.names, now)
    }

    /// The same for the same promise: a connection that matched one association may serve another
    /// of the same fingerprint, and no other.
    ///
    /// It is made of the records and the base domain, and with DANE-TA of the other names too, because
    /// they count there.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 32] {
        let mut context = Context::new(&SHA256);
        for record in &self.records {
            absorb(&mut context, &record.to_rdata());
        }
        // The records end here: no record is empty.
        absorb(&mut context, b"");
        let others_count = self.of_usage(SmtpUsage::DaneTa).next().is_some();
        let counted = if others_count { usize::MAX } else { 1 };
        for name in self.names.all().take(counted) {
            absorb(&mut context, name.as_ref().as_bytes());
        }
        let mut fingerprint = [0; 32];
        for (to, from) in fingerprint.iter_mut().zip(context.finish().as_ref()) {
            *to = *from;
        }
        fingerprint
    }
}

/// Adds octets after their count, so that no two rows of fields are the same octets.
fn absorb(context: &mut Context, octets: &[u8]) {
    context.update(&u64::try_from(octets.len()).unwrap_or(u64::MAX).to_be_bytes());
    context.update(octets);
}
