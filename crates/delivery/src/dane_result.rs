//! What DANE has made of a host, as it is counted.

use mail::{Channel, DaneVerdict};
use tls_policy::{HostDane, WhyNoDane, WhySkipped};

/// What DANE has made of a host (RFC 7672 §2.2).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DaneResult {
    /// Its records could not be looked up or read, or had to be there and were not: it was skipped.
    Failed,
    /// Its MX records or its addresses are not secure, so that no records were asked for.
    Insecure,
    /// It has matched one of its records.
    Matched,
    /// It has matched none of its records, or offered no TLS.
    Mismatch,
    /// It has no secure records.
    None,
    /// It has records, and none of use: TLS with whoever answered.
    Unusable,
}

impl DaneResult {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Failed, Self::Insecure, Self::Matched, Self::Mismatch, Self::None, Self::Unusable];

    /// A word for a metric.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Insecure => "insecure",
            Self::Matched => "matched",
            Self::Mismatch => "mismatch",
            Self::None => "none",
            Self::Unusable => "unusable",
        }
    }

    /// What a session says of records of use; none where there were none, or no TLS.
    pub(crate) fn of_session(channel: &Channel) -> Option<Self> {
        let tls = match channel {
            Channel::Clear(_) => return None,
            Channel::Tls(tls) => tls,
        };
        match tls.dane {
            DaneVerdict::Matched { .. } => Some(Self::Matched),
            DaneVerdict::NotMatched { .. } => Some(Self::Mismatch),
            DaneVerdict::NotApplied | DaneVerdict::Unusable { .. } => None,
        }
    }

    /// What the lookup says by itself: a host with records of use is yet to be asked, and where DANE
    /// is not looked at there is nothing to count.
    pub(crate) const fn of_lookup(dane: &HostDane) -> Option<Self> {
        match dane {
            HostDane::Dane(_) => None,
            HostDane::EncryptOnly(_) => Some(Self::Unusable),
            HostDane::NoDane(no_dane) => match no_dane.why() {
                WhyNoDane::InsecureAddresses | WhyNoDane::InsecureMx => Some(Self::Insecure),
                WhyNoDane::NoRecords => Some(Self::None),
                WhyNoDane::AddressLiteral
                | WhyNoDane::Exception
                | WhyNoDane::Inactive
                | WhyNoDane::Off
                | WhyNoDane::TlsReport
                | WhyNoDane::TlsRequiredNo => None,
            },
            HostDane::Skipped(why) => match why {
                // It would be unreachable without DANE as well.
                WhySkipped::NoAddress | WhySkipped::Addresses(_) | WhySkipped::OutOfTime => None,
                WhySkipped::Alias(_)
                | WhySkipped::NoValidator
                | WhySkipped::NotAHost(_)
                | WhySkipped::Tlsa { .. }
                | WhySkipped::Unread { .. } => Some(Self::Failed),
            },
        }
    }
}
