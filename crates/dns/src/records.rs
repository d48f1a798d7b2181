//! The data of the record types that mail asks for.

use std::net::IpAddr;
use std::sync::Arc;

use hickory_resolver::proto::rr::{Name, RData};
use smtp::Domain;

/// One TXT record, its character-strings joined; octets, because nothing says that they are text.
pub type Txt = Vec<u8>;

/// One MX record (RFC 5321 §5.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mx {
    /// Lower is tried first.
    pub preference: u16,
    /// The host that takes the mail.
    pub exchange: MxTarget,
}

impl Mx {
    /// The host to connect to, if the record names one.
    #[must_use]
    pub const fn host(&self) -> Option<&Domain> {
        match &self.exchange {
            MxTarget::Host(host) => Some(host),
            MxTarget::Root | MxTarget::Unusable(_) => None,
        }
    }
}

/// What an MX record names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MxTarget {
    /// A host.
    Host(Domain),
    /// The root: "no mail is taken here" (RFC 7505 §3).
    Root,
    /// Something that is no host name, an IP address for one; kept as text for the log.
    Unusable(String),
}

/// One CNAME record: the name that its owner is an alias of, in lower case and without the dot of the
/// root (RFC 1034 §3.6.2). Aliases of that name are not followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Canonical(pub Arc<str>);

/// One TLSA record, as it is on the wire (RFC 6698 §2.1).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TlsaData {
    /// The certificate usage field.
    pub usage: u8,
    /// The selector field.
    pub selector: u8,
    /// The matching type field.
    pub matching: u8,
    /// The certificate association data.
    pub data: Vec<u8>,
}

/// Reads the data of one record of a type that was asked for.
pub(crate) trait FromRdata: Sized {
    /// The value, or `None` if the data are of another type.
    fn from_rdata(data: &RData) -> Option<Self>;
}

impl FromRdata for IpAddr {
    fn from_rdata(data: &RData) -> Option<Self> {
        data.ip_addr()
    }
}

/// The host that a PTR record names (RFC 1035 §3.3.12); one that names no host is left out.
impl FromRdata for Domain {
    fn from_rdata(data: &RData) -> Option<Self> {
        let RData::PTR(host) = data else { return None };
        let text = host.to_ascii();
        Self::parse(text.strip_suffix('.').unwrap_or(&text)).ok()
    }
}

impl FromRdata for Canonical {
    fn from_rdata(data: &RData) -> Option<Self> {
        let RData::CNAME(target) = data else { return None };
        let text = target.0.to_lowercase().to_ascii();
        Some(Self(text.strip_suffix('.').unwrap_or(&text).into()))
    }
}

impl FromRdata for Mx {
    fn from_rdata(data: &RData) -> Option<Self> {
        let RData::MX(mx) = data else { return None };
        Some(Self { preference: mx.preference, exchange: MxTarget::from_name(&mx.exchange) })
    }
}

impl FromRdata for TlsaData {
    fn from_rdata(data: &RData) -> Option<Self> {
        let RData::TLSA(tlsa) = data else { return None };
        Some(Self {
            usage: tlsa.cert_usage.into(),
            selector: tlsa.selector.into(),
            matching: tlsa.matching.into(),
            data: tlsa.cert_data.clone(),
        })
    }
}

impl FromRdata for Txt {
    /// The character-strings are one text, with nothing between them (RFC 8461 §3.1).
    fn from_rdata(data: &RData) -> Option<Self> {
        let RData::TXT(txt) = data else { return None };
        Some(txt.txt_data.concat())
    }
}

impl MxTarget {
    fn from_name(name: &Name) -> Self {
        if name.is_root() {
            return Self::Root;
        }
        let text = name.to_ascii();
        let text = text.strip_suffix('.').unwrap_or(&text);
        Domain::parse(text).map_or_else(|_| Self::Unusable(text.to_owned()), Self::Host)
    }
}
