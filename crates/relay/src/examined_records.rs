//! TLSA records that an operator wants judged: what a chain makes of each. Nothing is sent under what is
//! made here.

use dane::{Association, Mismatch, NoneUsable, RecordsError, ReferenceNames, SecureRecords};
use dane::{Matched, TlsaRecord};
use rustls::pki_types::{CertificateDer, UnixTime};

/// What a chain of certificates makes of some records.
#[derive(Debug)]
pub(crate) enum Judgement {
    /// It matches one.
    Match(Matched),
    /// It matches none that is usable.
    Mismatch(Mismatch),
    /// None is usable.
    Unusable(NoneUsable),
}

/// Judges a chain, the host's own certificate first, by records that are taken for secure.
///
/// # Errors
///
/// [`RecordsError`] where they are more than are read.
pub(crate) fn judge(
    records: Vec<TlsaRecord>,
    names: ReferenceNames,
    chain: &[CertificateDer<'_>],
    now: UnixTime,
) -> Result<Judgement, RecordsError> {
    Ok(match SecureRecords::assertion(records)?.associate(names) {
        Ok(association) => of_association(&association, chain, now),
        Err(none_usable) => Judgement::Unusable(none_usable),
    })
}

/// Judges a chain by an association.
fn of_association(
    association: &Association,
    chain: &[CertificateDer<'_>],
    now: UnixTime,
) -> Judgement {
    match association.judge(chain, now) {
        Ok(matched) => Judgement::Match(matched),
        Err(mismatch) => Judgement::Mismatch(mismatch),
    }
}
