//! Which TLSA records apply to one host: the lookup of RFC 7672 §2.2 as questions and answers.
//!
//! Nothing waits here. A [`DaneLookup`] is the next question or the end; whoever asks the DNS hands the
//! answer to the question and gets the next step.
//!
//! | the host's name comes from | its addresses are | then |
//! |---|---|---|
//! | insecure MX records | any | no DANE, unless [`InsecureMx::Apply`] goes on as below |
//! | secure DNS, or the operator | not found, or cannot be looked up | the host is skipped |
//! | the same | insecure, no alias | no DANE, and no TLSA question |
//! | the same | secure, no alias | the host is the base domain |
//! | the same | secure, by secure aliases | base domains in turn: the name at the end, the host |
//! | the same | insecure, by an alias that is secure itself | the host is the base domain |
//!
//! The first base domain with secure TLSA records wins. Absent and insecure records, and those that
//! are insecurely absent, send on to the next; with none left there is no DANE. A lookup that fails
//! skips the host: to go on would be a downgrade (RFC 7672 §2.1.2).
//!
//! An alias whose own CNAME record cannot be told is asked for only where the addresses are insecure:
//! where they are secure, so is every alias on the way.

use std::net::IpAddr;
use std::sync::Arc;

use dane::{ReferenceNames, SecureRecords, TlsaRecord};
use dns::{Canonical, Lookup, LookupError, Records, Security, TlsaData, Validation};
use mta_sts::{Decision, MxHost, OpenHost, WhyFallback};
use smtp::Domain;

use crate::dane_settings::{DaneMode, DaneSettings, InsecureMx};
use crate::host_dane::{
    DaneHost, EncryptOnly, HostDane, NoDane, ProofOfDestination, WhyNoDane, WhySkipped,
};

/// All that is known before anything is asked.
#[derive(Clone, Copy, Debug)]
pub struct DaneInputs<'a> {
    /// What the policy of the next hop makes of the delivery: a TLS report knows no DANE.
    pub decision: &'a Decision,
    /// The host.
    pub host: &'a OpenHost,
    /// Its port, the one that is really connected to (RFC 7672 §2.2.3).
    pub port: u16,
    /// How its name came to be known.
    pub naming: &'a HostNaming,
    /// What the operator says.
    pub settings: DaneSettings,
    /// Whether any answer of the DNS can be secure.
    pub validation: Validation,
}

/// How a host's name came to be known.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum HostNaming {
    /// By MX records of the next hop, or their absence, which DNSSEC does not prove.
    Insecure,
    /// By secure MX records of the next hop, by their secure absence, or by the operator.
    Secure(NextHopNames),
}

/// The names of a next hop, which the certificates of its hosts may have (RFC 7672 §3.2.2).
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct NextHopNames {
    /// The next hop's domain.
    pub domain: Domain,
    /// The name at the end of its aliases, in lower case and without the dot of the root; none where
    /// it is no alias.
    pub canonical: Option<Arc<str>>,
}

/// The next step of the lookup for one host.
#[derive(Debug)]
#[must_use]
pub enum DaneLookup {
    /// The addresses of the host are wanted.
    Addresses(AddressQuestion),
    /// The CNAME record of the host is wanted.
    Alias(AliasQuestion),
    /// The answer is there.
    Answered(HostDane),
    /// The TLSA records of a base domain are wanted.
    Tlsa(TlsaQuestion),
}

impl DaneLookup {
    /// Begins the lookup for a host.
    pub fn begin(inputs: &DaneInputs<'_>) -> Self {
        let name = match begun(inputs) {
            Ok(name) => name,
            Err(answer) => return Self::Answered(answer),
        };
        let host = Host {
            host: inputs.host.clone(),
            name,
            port: inputs.port,
            naming: inputs.naming.clone(),
        };
        Self::Addresses(AddressQuestion(host))
    }

    /// Begins the lookup for one who only wants to know: whatever the settings say, and whoever
    /// validates.
    pub const fn to_know(mx: MxHost, name: Domain, port: u16, naming: HostNaming) -> Self {
        Self::Addresses(AddressQuestion(Host { host: OpenHost::Name(mx), name, port, naming }))
    }
}

/// The name to ask for, or what needs no question to be known.
fn begun(inputs: &DaneInputs<'_>) -> Result<Domain, HostDane> {
    let DaneInputs { decision, host, naming, settings, validation, .. } = inputs;
    let none = |why| Err(HostDane::NoDane(NoDane::new((*host).clone(), why)));
    let OpenHost::Name(mx) = host else { return none(WhyNoDane::AddressLiteral) };
    if is_report(decision) {
        return none(WhyNoDane::TlsReport);
    }
    match (settings.mode, validation) {
        (DaneMode::Off, _) => return none(WhyNoDane::Off),
        (DaneMode::Auto, Validation::Inactive) => return none(WhyNoDane::Inactive),
        (DaneMode::Required, Validation::Inactive) => {
            return Err(HostDane::Skipped(WhySkipped::NoValidator));
        }
        (DaneMode::Auto | DaneMode::Required, Validation::Active) => {}
    }
    if **naming == HostNaming::Insecure && settings.insecure_mx == InsecureMx::Ignore {
        return none(WhyNoDane::InsecureMx);
    }
    Domain::parse(mx.as_str())
        .map_err(|_no_name| HostDane::Skipped(WhySkipped::NotAHost(mx.as_str().to_owned())))
}

/// A TLS report has to arrive in spite of failures (RFC 8460 §5.3.1).
fn is_report(decision: &Decision) -> bool {
    match decision {
        Decision::Require(_) => false,
        Decision::Permit(fallback) => *fallback.why() == WhyFallback::TlsReport,
    }
}

/// The host of a lookup.
#[derive(Debug)]
struct Host {
    host: OpenHost,
    name: Domain,
    port: u16,
    naming: HostNaming,
}

impl Host {
    fn no_dane(self, why: WhyNoDane) -> DaneLookup {
        DaneLookup::Answered(HostDane::NoDane(NoDane::new(self.host, why)))
    }

    /// Asks for the records of this base domain, and then of that one.
    const fn ask(self, base: Domain, then: Option<Domain>) -> DaneLookup {
        DaneLookup::Tlsa(TlsaQuestion { host: self, base, then })
    }

    /// The host itself is the only base domain.
    fn ask_itself(self) -> DaneLookup {
        let base = self.name.clone();
        self.ask(base, None)
    }
}

const fn skipped(why: WhySkipped) -> DaneLookup {
    DaneLookup::Answered(HostDane::Skipped(why))
}

/// The question for the addresses of a host, which always comes first: some servers of unsigned zones
/// do not bear one for TLSA records (RFC 7672 §2.2.2).
#[derive(Debug)]
pub struct AddressQuestion(Host);

impl AddressQuestion {
    /// Whose addresses are wanted.
    #[must_use]
    pub const fn host(&self) -> &Domain {
        &self.0.name
    }

    /// The next step, now that the addresses are known.
    pub fn answer(self, answer: &Result<Lookup<IpAddr>, LookupError>) -> DaneLookup {
        match answer {
            Ok(Lookup::Found(found)) => self.found(found),
            Ok(Lookup::NoData(_) | Lookup::NxDomain(_)) => skipped(WhySkipped::NoAddress),
            Err(error) => skipped(WhySkipped::Addresses(error.clone())),
        }
    }

    fn found(self, found: &Records<IpAddr>) -> DaneLookup {
        let Self(host) = self;
        match (found.security, &found.canonical) {
            (Security::Insecure, None) => host.no_dane(WhyNoDane::InsecureAddresses),
            (Security::Insecure, Some(_)) => DaneLookup::Alias(AliasQuestion(host)),
            (Security::Secure, None) => host.ask_itself(),
            (Security::Secure, Some(end)) => match Domain::parse(end) {
                Ok(end) => {
                    let itself = host.name.clone();
                    host.ask(end, Some(itself))
                }
                Err(_) => skipped(WhySkipped::NotAHost(end.as_ref().to_owned())),
            },
        }
    }
}

/// The question whether the alias that a host is, is secure itself: its addresses are not.
#[derive(Debug)]
pub struct AliasQuestion(Host);

impl AliasQuestion {
    /// Whose CNAME record is wanted.
    #[must_use]
    pub const fn host(&self) -> &Domain {
        &self.0.name
    }

    /// The next step, now that it is known.
    pub fn answer(self, answer: &Result<Lookup<Canonical>, LookupError>) -> DaneLookup {
        let Self(host) = self;
        match answer {
            Ok(Lookup::Found(Records { security: Security::Secure, .. })) => host.ask_itself(),
            // It is no alias any more, or an insecure one.
            Ok(
                Lookup::Found(Records { security: Security::Insecure, .. })
                | Lookup::NoData(_)
                | Lookup::NxDomain(_),
            ) => host.no_dane(WhyNoDane::InsecureAddresses),
            Err(error) => skipped(WhySkipped::Alias(error.clone())),
        }
    }
}

/// The question for the TLSA records of a base domain.
#[derive(Debug)]
pub struct TlsaQuestion {
    host: Host,
    base: Domain,
    /// The base domain to ask for after this one.
    then: Option<Domain>,
}

impl TlsaQuestion {
    /// The base domain.
    #[must_use]
    pub const fn base(&self) -> &Domain {
        &self.base
    }

    /// The port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.host.port
    }

    /// The next step, now that the records are known.
    pub fn answer(self, answer: Result<Lookup<TlsaData>, LookupError>) -> DaneLookup {
        match answer {
            Ok(Lookup::Found(found)) if found.security == Security::Secure => {
                DaneLookup::Answered(self.found(found.records))
            }
            Ok(Lookup::Found(_) | Lookup::NoData(_) | Lookup::NxDomain(_)) => match self.then {
                Some(next) => self.host.ask(next, None),
                None => self.host.no_dane(WhyNoDane::NoRecords),
            },
            Err(source) => skipped(WhySkipped::Tlsa { base: self.base, source }),
        }
    }

    /// What secure records ask for.
    fn found(self, records: Vec<TlsaData>) -> HostDane {
        let Self { base, host, .. } = self;
        let records = records.into_iter().map(record).collect();
        let secure = match SecureRecords::assertion(records) {
            Ok(secure) => secure,
            Err(source) => return HostDane::Skipped(WhySkipped::Unread { base, source }),
        };
        let Some(names) = host.naming.reference_names(&base) else {
            return HostDane::Skipped(WhySkipped::NotAHost(base.as_str().to_owned()));
        };
        match secure.associate(names) {
            Ok(association) => {
                let destination = host.naming.proof();
                HostDane::Dane(DaneHost::new(Arc::new(association), destination))
            }
            Err(none_usable) => {
                HostDane::EncryptOnly(Arc::new(EncryptOnly::new(base, none_usable)))
            }
        }
    }
}

/// A record as the rules of DANE have it.
fn record(TlsaData { usage, selector, matching, data }: TlsaData) -> TlsaRecord {
    TlsaRecord { usage: usage.into(), selector: selector.into(), matching: matching.into(), data }
}

impl HostNaming {
    /// Of the hosts of a domain whose MX records, or whose lack of them, are as secure as that
    /// (RFC 7672 §2.2.1 and §2.2.2). `canonical` is the name at the end of the domain's aliases.
    #[must_use]
    pub fn by_mx(domain: &Domain, security: Security, canonical: Option<Arc<str>>) -> Self {
        match security {
            Security::Insecure => Self::Insecure,
            Security::Secure => Self::Secure(NextHopNames { domain: domain.clone(), canonical }),
        }
    }

    /// Of a host that the operator names: it is known a priori (RFC 7672 §2.2.2).
    #[must_use]
    pub fn a_priori(host: &MxHost) -> Self {
        Domain::parse(host.as_str())
            .map_or(Self::Insecure, |domain| Self::Secure(NextHopNames { domain, canonical: None }))
    }

    /// The names that a certificate may have (RFC 7672 §3.2.2), where one can have the base domain's.
    /// Whoever forges MX records does not get to say that a host has the next hop's name.
    fn reference_names(&self, base: &Domain) -> Option<ReferenceNames> {
        let others: Vec<&str> = match self {
            Self::Insecure => Vec::new(),
            Self::Secure(NextHopNames { domain, canonical }) => {
                let all = [Some(domain.as_str()), canonical.as_deref()];
                let others = all.into_iter().flatten().filter(|name| *name != base.as_str());
                // A next hop whose name no certificate can have does not make its hosts unreachable.
                others.filter(|name| ReferenceNames::new(name, &[]).is_ok()).collect()
            }
        };
        ReferenceNames::new(base.as_str(), &others).ok()
    }

    /// What a match proves.
    const fn proof(&self) -> ProofOfDestination {
        match self {
            Self::Insecure => ProofOfDestination::Unproven,
            Self::Secure(_) => ProofOfDestination::Proven,
        }
    }
}
