//! What was seen of a peer that had to prove itself.

use dane::{Matched, Mismatch};
use mail::{CertificateVerdict, DaneVerdict};
use tls_policy::HostRecords;
use tls_rpt::TlsaRecord;

use super::record::PeerRecord;
use super::verdict::Verdict;

/// What was seen of a peer: whatever had to be proved, the rest is noted for reports.
#[derive(Debug)]
pub struct PeerSeen {
    /// What public authorities say of it.
    pub(crate) webpki: Verdict,
    /// What the TLSA records of its host say; none where there are none, or nothing was shown.
    pub(crate) dane: Option<Result<Matched, Mismatch>>,
    /// The TLSA records of its host, where it has any.
    pub(crate) records: Option<HostRecords>,
}

impl PeerSeen {
    /// Nothing was shown.
    pub(crate) const fn nothing() -> Self {
        Self { webpki: Verdict::Unknown, dane: None, records: None }
    }

    /// What is recorded of the peer of a session.
    pub(crate) fn record(&self) -> PeerRecord {
        let dane = match (&self.records, &self.dane) {
            (Some(HostRecords::Usable(usable)), Some(judged)) => {
                let base = usable.names().base().as_ref().to_owned();
                match judged {
                    Ok(matched) => {
                        DaneVerdict::Matched { base, record: reported(matched.record()) }
                    }
                    Err(mismatch) => DaneVerdict::NotMatched { base, reason: mismatch.to_string() },
                }
            }
            (Some(HostRecords::Unusable(unusable)), _) => {
                DaneVerdict::Unusable { base: unusable.base().as_str().to_owned() }
            }
            (Some(HostRecords::Usable(_)) | None, _) => DaneVerdict::NotApplied,
        };
        let tlsa = match &self.records {
            Some(HostRecords::Usable(usable)) => usable.records().iter().map(reported).collect(),
            Some(HostRecords::Unusable(_)) | None => Vec::new(),
        };
        PeerRecord { certificate: CertificateVerdict::from(&self.webpki), dane, tlsa }
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
