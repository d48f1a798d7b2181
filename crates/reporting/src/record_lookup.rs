//! Asking a domain where its report goes (RFC 8460 §3).

use dns::{Dns, Lookup, LookupError, Txt};
use tls_rpt::{DomainName, NoRecord, Parsed, Record, record_name, select};

/// Why there is no record to go by.
#[derive(Debug, thiserror::Error)]
pub enum RecordLookupError {
    /// The DNS did not answer: it may another time.
    #[error("the record's lookup failed: {0}")]
    Failed(#[from] LookupError),
    /// The domain wants no reports.
    #[error("{0}")]
    None(#[from] NoRecord),
}

/// The record of `domain` as it is now, whatever was remembered.
///
/// # Errors
///
/// [`RecordLookupError`] where there is none, or that cannot be told.
pub async fn fresh_record(
    dns: &dyn Dns,
    domain: &DomainName,
) -> Result<Parsed<Record>, RecordLookupError> {
    selected(dns.txt_fresh(&record_name(domain)).await?)
}

/// The record of `domain`, which may be remembered.
pub(crate) async fn record(
    dns: &dyn Dns,
    domain: &DomainName,
) -> Result<Parsed<Record>, RecordLookupError> {
    selected(dns.txt(&record_name(domain)).await?)
}

/// The record among what was found.
fn selected(found: Lookup<Txt>) -> Result<Parsed<Record>, RecordLookupError> {
    let texts = found.into_records().map(|found| found.records).unwrap_or_default();
    Ok(select(&texts)?)
}
