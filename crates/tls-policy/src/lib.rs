//! What TLS has to be like between this relay and one host.
//!
//! The policy of the next hop, the route that the operator configured and the operator's exceptions all
//! have a say. Here their words are put together; nothing is looked up and nothing is connected.
//! Which TLSA records apply to a host is told here as well: as questions, which others ask the DNS.

mod dane_lookup;
mod dane_settings;
mod host_dane;
mod host_route;
mod refusal;
mod requirement;
mod route;
mod trust;

pub use crate::dane_lookup::{
    AddressQuestion, AliasQuestion, DaneInputs, DaneLookup, HostNaming, NextHopNames, TlsaQuestion,
};
pub use crate::dane_settings::{DaneDemand, DaneMode, DaneSettings, InsecureMx};
pub use crate::host_dane::{
    DaneHost, EncryptOnly, HostDane, HostRecords, NoDane, ProofOfDestination, RecordsLicence,
    WhyNoDane, WhySkipped,
};
pub use crate::host_route::{EncryptedRoute, MatchedRoute, NamedRoute, SettledRoute};
pub use crate::refusal::Refusal;
pub use crate::requirement::{Admission, HostRequirement, Inputs, MessageDemand, is_named};
pub use crate::route::{TlsRequirement, TlsStart};
pub use crate::trust::{
    Demanded, Encrypted, Excepted, Matched, Proven, Trust, Unverified, Verified,
};
