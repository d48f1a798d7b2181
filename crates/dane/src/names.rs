//! The names that certificates are checked for.

use rustls::pki_types::{DnsName, InvalidDnsNameError};

/// The names that a server of a DANE-TA record may have (RFC 7672 §3.2.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReferenceNames {
    base: DnsName<'static>,
    others: Vec<DnsName<'static>>,
}

impl ReferenceNames {
    /// The TLSA base domain, and beside it the next-hop domain and its CNAME-expanded name, where
    /// secure MX records or aliases led from there to the base domain.
    ///
    /// # Errors
    ///
    /// One of them is no name of a host.
    pub fn new(base: &str, others: &[&str]) -> Result<Self, InvalidDnsNameError> {
        let base = host_name(base)?;
        let others = others.iter().map(|name| host_name(name)).collect::<Result<_, _>>()?;
        Ok(Self { base, others })
    }

    /// The TLSA base domain.
    #[must_use]
    pub const fn base(&self) -> &DnsName<'static> {
        &self.base
    }

    /// All of them, the base domain first.
    pub fn all(&self) -> impl Iterator<Item = &DnsName<'static>> {
        std::iter::once(&self.base).chain(&self.others)
    }
}

/// A name in small letters and without the dot of the root.
fn host_name(name: &str) -> Result<DnsName<'static>, InvalidDnsNameError> {
    let name = DnsName::try_from(name.strip_suffix('.').unwrap_or(name))?;
    Ok(name.to_lowercase_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kept_in_small_letters_without_the_dot_of_the_root() {
        let names = ReferenceNames::new("MX.example.org.", &["example.ORG"]);
        let names: Vec<String> =
            names.unwrap().all().map(|name| name.as_ref().to_owned()).collect();
        assert_eq!(names, ["mx.example.org", "example.org"]);
        assert!(ReferenceNames::new("mx example", &[]).is_err());
        assert!(ReferenceNames::new("", &[]).is_err());
    }
}
