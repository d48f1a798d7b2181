//! What was seen of a peer that had to prove itself.

use dane::{Matched, Mismatch};
use mail::{CertificateVerdict, DaneVerdict};
use tls_rpt::TlsaRecord;

use super::danger::Verdict;
use super::record::PeerRecord;

/// What was seen of a peer: whatever had to be proved, the rest is noted for reports.
#[derive(Debug)]
pub struct PeerSeen {
    /// What public authorities say of it.
    pub(crate) webpki: Verdict,
    /// What the TLSA records of its host say; none where there are none, or nothing was shown.
    pub(crate) dane: Option<Result<Matched, Mismatch>>,
    /// The TLSA base domain, where there are records.
    pub(crate) base: Option<String>,
}

impl PeerSeen {
    /// Nothing was shown.
    pub(crate) const fn nothing() -> Self {
        Self { webpki: Verdict::Unknown, dane: None, base: None }
    }

    /// What is recorded of the peer of a session.
    pub(crate) fn record(&self) -> PeerRecord {
        let dane = match (&self.dane, &self.base) {
            (Some(Ok(matched)), Some(base)) => {
                DaneVerdict::Matched { base: base.clone(), record: reported(matched.record()) }
            }
            (Some(_) | None, _) => DaneVerdict::NotApplied,
        };
        PeerRecord { certificate: CertificateVerdict::from(&self.webpki), dane }
    }
}

/// A record as reports have it.
pub(crate) fn reported(record: &dane::TlsaRecord) -> TlsaRecord {
    TlsaRecord {
        usage: record.usage.into(),
        selector: record.selector.into(),
        matching_type: record.matching.into(),
        data: record.data.clone(),
    }
}
