//! Where reports go: the URIs of `rua` (RFC 8460 §3).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::address::MailAddress;
use crate::destination_error::DestinationError;
use crate::domain::DomainName;
use crate::warning::{Warning, Warnings};

/// The longest `https` URI that is used.
const URI_MAX: usize = 2048;

/// A place that takes reports; it is written and kept as its URI.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub enum Destination {
    /// A POST to this URI (RFC 8460 §5.4).
    Https(HttpsUri),
    /// A message to this address (RFC 8460 §5.3).
    Mailto(MailAddress),
}

impl Destination {
    /// Reads a URI of `rua`, counted from one for the warnings.
    pub(crate) fn parse(
        uri: &str,
        number: usize,
        warnings: &mut Warnings,
    ) -> Result<Self, DestinationError> {
        let kept = without_size(uri);
        if kept.len() < uri.len() {
            warnings.add(Warning::SizeLimit { number });
        }
        if kept.contains('!') {
            warnings.add(Warning::ExclamationMark { number });
        }
        let (scheme, rest) = kept.split_once(':').ok_or(DestinationError::NoUri)?;
        if scheme.eq_ignore_ascii_case("mailto") {
            let address = rest.split(['?', '#']).next().unwrap_or_default();
            if address.len() < rest.len() {
                warnings.add(Warning::MailHeaders { number });
            }
            Ok(Self::Mailto(mail_address(address)?))
        } else if scheme.eq_ignore_ascii_case("https") {
            let uri = rest.split('#').next().unwrap_or_default();
            if uri.len() < rest.len() {
                warnings.add(Warning::Fragment { number });
            }
            HttpsUri::parse(uri).map(Self::Https)
        } else {
            Err(DestinationError::OtherScheme)
        }
    }
}

impl FromStr for Destination {
    type Err = DestinationError;

    /// Reads one URI, as leniently as it is read in a record.
    ///
    /// ```
    /// use tls_rpt::Destination;
    ///
    /// let destination: Destination = "mailto:reports@example.org".parse()?;
    /// assert!(matches!(destination, Destination::Mailto(_)));
    /// # Ok::<(), tls_rpt::DestinationError>(())
    /// ```
    fn from_str(uri: &str) -> Result<Self, DestinationError> {
        Self::parse(uri, 1, &mut Warnings::default())
    }
}

impl TryFrom<String> for Destination {
    type Error = DestinationError;

    fn try_from(uri: String) -> Result<Self, DestinationError> {
        uri.parse()
    }
}

impl From<Destination> for String {
    fn from(destination: Destination) -> Self {
        destination.to_string()
    }
}

impl fmt::Display for Destination {
    /// As it stands in a record, encoded (RFC 8460 §3).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Https(uri) => uri.fmt(f),
            Self::Mailto(address) => {
                f.write_str("mailto:")?;
                for byte in address.local_part().bytes() {
                    if byte.is_ascii_alphanumeric() || b"-._~+".contains(&byte) {
                        write!(f, "{}", char::from(byte))?;
                    } else {
                        write!(f, "%{byte:02X}")?;
                    }
                }
                write!(f, "@{}", address.domain())
            }
        }
    }
}

/// An `https` URI without user name and fragment.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct HttpsUri {
    host: UriHost,
    port: u16,
    path_and_query: String,
}

/// The host of an `https` URI.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum UriHost {
    /// An address.
    Address(std::net::IpAddr),
    /// A name.
    Name(DomainName),
}

impl fmt::Display for UriHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(std::net::IpAddr::V6(address)) => write!(f, "[{address}]"),
            Self::Address(address @ std::net::IpAddr::V4(_)) => address.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

impl HttpsUri {
    /// Reads what stands behind `https:` and before a fragment.
    fn parse(rest: &str) -> Result<Self, DestinationError> {
        let rest = rest.strip_prefix("//").ok_or(DestinationError::NoUri)?;
        let (authority, path) = rest
            .split_at_checked(rest.find(['/', '?']).unwrap_or(rest.len()))
            .unwrap_or((rest, ""));
        if authority.contains('@') {
            return Err(DestinationError::UserName);
        }
        let (host, port) = host_and_port(authority).ok_or(DestinationError::BadHost)?;
        if !is_encoded(path) {
            return Err(DestinationError::BadCharacter);
        }
        let slash = if path.starts_with('/') { "" } else { "/" };
        let path_and_query = format!("{slash}{}", path.replace('!', "%21"));
        let uri = Self { host, port, path_and_query };
        if uri.to_string().len() <= URI_MAX { Ok(uri) } else { Err(DestinationError::TooLong) }
    }

    /// The host.
    #[must_use]
    pub const fn host(&self) -> &UriHost {
        &self.host
    }

    /// The port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// What is asked for at the host; it begins with a `/`.
    #[must_use]
    pub fn path_and_query(&self) -> &str {
        &self.path_and_query
    }
}

impl fmt::Display for HttpsUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}", self.host)?;
        if self.port != HTTPS_PORT {
            write!(f, ":{}", self.port)?;
        }
        f.write_str(&self.path_and_query)
    }
}

/// The port of an `https` URI that names none.
const HTTPS_PORT: u16 = 443;

/// `uri` without a limit of size as DMARC has it (`!10m`), which TLS reports do not know.
fn without_size(uri: &str) -> &str {
    let Some((before, size)) = uri.rsplit_once('!') else { return uri };
    let digits = size.strip_suffix(['k', 'm', 'g', 't', 'K', 'M', 'G', 'T']).unwrap_or(size);
    let is_size = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_size { before } else { uri }
}

/// The one address of a `mailto` URI (RFC 6068 §2).
fn mail_address(encoded: &str) -> Result<MailAddress, DestinationError> {
    let mut decoded = Vec::with_capacity(encoded.len());
    let mut rest = encoded.as_bytes();
    while let [first, others @ ..] = rest {
        rest = match (first, others) {
            (b'%', [high, low, after @ ..]) => {
                decoded.push(octet(*high, *low).ok_or(DestinationError::BadCharacter)?);
                after
            }
            (b'%', _) => return Err(DestinationError::BadCharacter),
            _ => {
                decoded.push(*first);
                others
            }
        };
    }
    let text = str::from_utf8(&decoded).unwrap_or_default();
    Ok(MailAddress::parse(text)?)
}

/// The octet that two hexadecimal digits stand for.
fn octet(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

/// The host and port of an authority without a user's name (RFC 3986 §3.2).
fn host_and_port(authority: &str) -> Option<(UriHost, u16)> {
    let end = authority.rfind(']').map_or(0, |at| at + 1);
    let colon = authority.get(end..)?.find(':').map_or(authority.len(), |at| end + at);
    let (host, port) = authority.split_at_checked(colon)?;
    let port = match port.strip_prefix(':') {
        None | Some("") => HTTPS_PORT,
        Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => port.parse().ok()?,
        Some(_) => return None,
    };
    let in_brackets = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let host = match (in_brackets, host.parse::<std::net::Ipv4Addr>()) {
        (Some(address), _) => UriHost::Address(address.parse::<std::net::Ipv6Addr>().ok()?.into()),
        (None, Ok(address)) => UriHost::Address(address.into()),
        (None, Err(_)) => UriHost::Name(DomainName::parse(host).ok()?),
    };
    (port != 0).then_some((host, port))
}

/// Whether it holds only what may stand in path and query (RFC 3986 §3.3, §3.4).
fn is_encoded(path: &str) -> bool {
    let is_allowed =
        |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?%".contains(&byte);
    let mut after_percent = path.split('%').skip(1);
    path.bytes().all(is_allowed)
        && after_percent.all(|rest| match rest.as_bytes() {
            [high, low, ..] => octet(*high, *low).is_some(),
            [] | [_] => false,
        })
}
