//! The TLSA records that apply to one host, as the lookup of RFC 7672 §2.2 has found them.

use std::sync::Arc;

use dane::{Association, NoneUsable, RecordsError};
use dns::LookupError;
use mta_sts::OpenHost;
use mta_sts::danger::{DaneException, TlsRequiredNo};
use smtp::Domain;

/// The TLSA records that apply to one host (RFC 7672 §2.2): the end of a
/// [`DaneLookup`](crate::DaneLookup).
#[derive(Debug)]
pub enum HostDane {
    /// There are secure records of use: the host has to match one of them, or gets no mail.
    Dane(DaneHost),
    /// There are secure records, none of use: TLS is mandatory, with whoever answers.
    EncryptOnly(Arc<EncryptOnly>),
    /// There is no secure record: whatever the policies and the route ask for is enough.
    NoDane(NoDane),
    /// It cannot be told: nothing is sent to the host for now.
    Skipped(WhySkipped),
}

impl HostDane {
    /// The records that the host has to match.
    #[must_use]
    pub const fn association(&self) -> Option<&Arc<Association>> {
        match self {
            Self::Dane(found) => Some(found.association()),
            Self::EncryptOnly(_) | Self::NoDane(_) | Self::Skipped(_) => None,
        }
    }

    /// The records, where none is of use.
    #[must_use]
    pub const fn unusable(&self) -> Option<&Arc<EncryptOnly>> {
        match self {
            Self::EncryptOnly(found) => Some(found),
            Self::Dane(_) | Self::NoDane(_) | Self::Skipped(_) => None,
        }
    }

    /// The records that the host has and does not have to match.
    #[must_use]
    pub const fn noted(&self) -> Option<&HostRecords> {
        match self {
            Self::NoDane(found) => found.noted(),
            Self::Dane(_) | Self::EncryptOnly(_) | Self::Skipped(_) => None,
        }
    }

    /// The same records without a say, because there is licence to pass over them. What a session makes
    /// of them is noted all the same. A host without an address is unreachable with licence too.
    #[must_use]
    pub fn set_aside(self, host: &OpenHost, licence: RecordsLicence<'_>) -> Self {
        let noted = match self {
            Self::NoDane(found) if licence.covers_absence(found.why) => None,
            Self::Dane(found) => Some(HostRecords::Usable(found.association)),
            Self::EncryptOnly(found) => Some(HostRecords::Unusable(found)),
            Self::Skipped(
                WhySkipped::Alias(_)
                | WhySkipped::NoValidator
                | WhySkipped::Tlsa { .. }
                | WhySkipped::Unread { .. },
            ) => None,
            same @ (Self::NoDane(_)
            | Self::Skipped(
                WhySkipped::Addresses(_)
                | WhySkipped::NoAddress
                | WhySkipped::NotAHost(_)
                | WhySkipped::OutOfTime,
            )) => return same,
        };
        Self::NoDane(NoDane { host: host.clone(), why: licence.why(), noted })
    }

    /// Whether it asks for the same as `other`.
    #[must_use]
    pub fn binds_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Dane(one), Self::Dane(other)) => {
                one.association().fingerprint() == other.association().fingerprint()
            }
            (Self::EncryptOnly(_), Self::EncryptOnly(_)) | (Self::NoDane(_), Self::NoDane(_)) => {
                true
            }
            (Self::Dane(_) | Self::EncryptOnly(_) | Self::NoDane(_) | Self::Skipped(_), _) => false,
        }
    }

    /// What was found, for a reason.
    pub(crate) fn in_words(&self) -> String {
        match self {
            Self::Dane(_) => "it has usable TLSA records".to_owned(),
            Self::EncryptOnly(found) => {
                format!("none of the TLSA records of {} is usable", found.base())
            }
            Self::NoDane(found) => found.why().in_words().to_owned(),
            Self::Skipped(why) => why.to_string(),
        }
    }
}

/// A host whose TLSA records have to be matched.
///
/// Nothing but the lookup makes one:
///
/// ```compile_fail,E0451
/// # use std::sync::Arc;
/// # use tls_policy::{DaneHost, ProofOfDestination};
/// fn forge(association: Arc<dane::Association>) -> DaneHost {
///     DaneHost { association, destination: ProofOfDestination::Proven }
/// }
/// ```
///
/// ```
/// # use std::sync::Arc;
/// # use tls_policy::DaneHost;
/// fn read(host: &DaneHost) -> &Arc<dane::Association> {
///     host.association()
/// }
/// ```
#[derive(Debug)]
pub struct DaneHost {
    association: Arc<Association>,
    destination: ProofOfDestination,
}

/// Whether a host that matches its records is known to be one of the destination's.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ProofOfDestination {
    /// The host's name is known a priori, or by secure DNS.
    Proven,
    /// The MX records that name it are insecure. A match must never be told as secure delivery to the
    /// destination (RFC 7672 §2.2.1).
    Unproven,
}

impl DaneHost {
    pub(crate) const fn new(
        association: Arc<Association>,
        destination: ProofOfDestination,
    ) -> Self {
        Self { association, destination }
    }

    /// The records that count, and the names; the first of them is the base domain.
    #[must_use]
    pub const fn association(&self) -> &Arc<Association> {
        &self.association
    }

    /// Whether a match proves that the host is the destination's.
    #[must_use]
    pub const fn destination(&self) -> ProofOfDestination {
        self.destination
    }
}

/// A host with secure TLSA records, none of which SMTP can use (RFC 7672 §2.2).
///
/// Nothing but the lookup makes one:
///
/// ```compile_fail,E0451
/// fn forge(base: smtp::Domain, records: dane::NoneUsable) -> tls_policy::EncryptOnly {
///     tls_policy::EncryptOnly { base, records }
/// }
/// ```
///
/// ```
/// fn read(host: &tls_policy::EncryptOnly) -> (&smtp::Domain, &dane::NoneUsable) {
///     (host.base(), host.records())
/// }
/// ```
#[derive(Debug)]
pub struct EncryptOnly {
    base: Domain,
    records: NoneUsable,
}

impl EncryptOnly {
    pub(crate) const fn new(base: Domain, records: NoneUsable) -> Self {
        Self { base, records }
    }

    /// The TLSA base domain.
    #[must_use]
    pub const fn base(&self) -> &Domain {
        &self.base
    }

    /// The records, each with why it is of no use.
    #[must_use]
    pub const fn records(&self) -> &NoneUsable {
        &self.records
    }
}

/// By whose licence the TLSA records of a host have no say.
#[derive(Clone, Copy, Debug)]
pub enum RecordsLicence<'a> {
    /// An operator's, for a next hop.
    Exception(&'a DaneException),
    /// The sender's, for a message (RFC 8689 §3).
    Sender(&'a TlsRequiredNo),
}

impl RecordsLicence<'_> {
    /// Why no records count.
    const fn why(self) -> WhyNoDane {
        match self {
            Self::Exception(_) => WhyNoDane::Exception,
            Self::Sender(_) => WhyNoDane::TlsRequiredNo,
        }
    }

    /// Whether it says as well that a host may have no records for this reason: an exception does,
    /// whatever else the operator demands of the next hop.
    const fn covers_absence(self, why: WhyNoDane) -> bool {
        match self {
            Self::Exception(_) => !why.is_exempt(),
            Self::Sender(_) => false,
        }
    }
}

/// The secure TLSA records of a host.
#[derive(Clone, Debug)]
pub enum HostRecords {
    /// Some are of use.
    Usable(Arc<Association>),
    /// None is.
    Unusable(Arc<EncryptOnly>),
}

impl HostRecords {
    /// Those that a session can be held to.
    #[must_use]
    pub const fn usable(&self) -> Option<&Arc<Association>> {
        match self {
            Self::Usable(association) => Some(association),
            Self::Unusable(_) => None,
        }
    }
}

/// Leave to go on to a host without its TLSA records: it has none that DNSSEC proves, or they have no
/// say.
///
/// Nothing but the lookup makes one:
///
/// ```compile_fail,E0451
/// # use tls_policy::{NoDane, WhyNoDane};
/// fn forge(host: mta_sts::OpenHost) -> NoDane {
///     NoDane { host, why: WhyNoDane::NoRecords, noted: None }
/// }
/// ```
///
/// ```
/// # use tls_policy::{NoDane, WhyNoDane};
/// fn read(no_dane: &NoDane) -> (&mta_sts::OpenHost, WhyNoDane) {
///     (no_dane.host(), no_dane.why())
/// }
/// ```
#[derive(Debug)]
pub struct NoDane {
    host: OpenHost,
    why: WhyNoDane,
    noted: Option<HostRecords>,
}

impl NoDane {
    pub(crate) const fn new(host: OpenHost, why: WhyNoDane) -> Self {
        Self { host, why, noted: None }
    }

    /// The host that it is for.
    #[must_use]
    pub const fn host(&self) -> &OpenHost {
        &self.host
    }

    /// Why no records count.
    #[must_use]
    pub const fn why(&self) -> WhyNoDane {
        self.why
    }

    /// The records that the host has and that do not count: what a session makes of them is noted.
    #[must_use]
    pub const fn noted(&self) -> Option<&HostRecords> {
        self.noted.as_ref()
    }
}

/// Why no TLSA records count for a host.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum WhyNoDane {
    /// The host is an address (RFC 7672 §2.2).
    AddressLiteral,
    /// The operator has set the records of the next hop's hosts aside.
    Exception,
    /// No resolver validates: nothing is known to be secure.
    Inactive,
    /// Its addresses are insecure, and its name is no secure alias (RFC 7672 §2.2.2).
    InsecureAddresses,
    /// The MX records that name it are insecure (RFC 7672 §2.2.1).
    InsecureMx,
    /// No base domain has secure records (RFC 7672 §2.2.3).
    NoRecords,
    /// The operator has switched DANE off.
    Off,
    /// The mail is a TLS report, which has to arrive in spite of failures (RFC 8460 §5.3.1).
    TlsReport,
    /// The sender of the message wants it to arrive in spite of the records, and the operator honours
    /// that (RFC 8689 §3).
    TlsRequiredNo,
}

impl WhyNoDane {
    /// Whether the mail is of a kind that DANE is not for, whatever the operator demands.
    pub(crate) const fn is_exempt(self) -> bool {
        match self {
            Self::AddressLiteral | Self::Exception | Self::TlsReport | Self::TlsRequiredNo => true,
            Self::Inactive
            | Self::InsecureAddresses
            | Self::InsecureMx
            | Self::NoRecords
            | Self::Off => false,
        }
    }

    /// The same for a reason.
    #[must_use]
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::AddressLiteral => "it is an address",
            Self::Exception => "an exception sets them aside",
            Self::Inactive => "no resolver validates DNSSEC",
            Self::InsecureAddresses => "its addresses are not secured by DNSSEC",
            Self::InsecureMx => "the MX records that name it are not secured by DNSSEC",
            Self::NoRecords => "it has no secure TLSA record",
            Self::Off => "dane.mode is \"off\"",
            Self::TlsReport => "the mail is a TLS report",
            Self::TlsRequiredNo => "the message says TLS-Required: No",
        }
    }

    /// A word for the log or a table.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::AddressLiteral => "address-literal",
            Self::Exception => "exception",
            Self::Inactive => "inactive",
            Self::InsecureAddresses => "insecure-addresses",
            Self::InsecureMx => "insecure-mx",
            Self::NoRecords => "no-records",
            Self::Off => "off",
            Self::TlsReport => "tls-report",
            Self::TlsRequiredNo => "tls-required-no",
        }
    }
}

/// Why nothing is sent to a host for now (RFC 7672 §2.1.2).
#[derive(Clone, Debug, thiserror::Error)]
pub enum WhySkipped {
    /// It has no address: it is unreachable, with DANE or without.
    #[error("no address")]
    NoAddress,
    /// Its addresses cannot be looked up.
    #[error("no address: {0}")]
    Addresses(#[source] LookupError),
    /// Whether it is an alias cannot be looked up.
    #[error("CNAME lookup failed: {0}")]
    Alias(#[source] LookupError),
    /// A name on the way is not one that a host can have.
    #[error("{0:?} is not the name of a host")]
    NotAHost(String),
    /// `dane.mode` is `required`, and no resolver validates.
    #[error("no resolver validates DNSSEC, and dane.mode is \"required\"")]
    NoValidator,
    /// The attempt ended before the lookup did: that says nothing of the host.
    #[error("the attempt timed out before the DNS had answered")]
    OutOfTime,
    /// Its TLSA records cannot be looked up.
    #[error("TLSA lookup for {base} failed: {source}")]
    Tlsa {
        /// The base domain that was asked for.
        base: Domain,
        /// Why they cannot be looked up.
        source: LookupError,
    },
    /// It has more records than are read, or longer ones.
    #[error("TLSA records of {base} are not read: {source}")]
    Unread {
        /// The base domain that has them.
        base: Domain,
        /// What is too much about them.
        source: RecordsError,
    },
}
