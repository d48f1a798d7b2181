//! The hosts that take a domain's mail (RFC 5321 §5.1, RFC 7505).

use std::sync::Arc;

use rand::seq::SliceRandom;
use smtp::Domain;
use tracing::warn;

use crate::answer::MOST_RECORDS;
use crate::dns::Dns;
use crate::error::LookupError;
use crate::lookup::{Lookup, Records, Security};
use crate::records::{Mx, MxTarget};

/// Where a domain's mail goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MailHosts {
    /// To the hosts of its MX records.
    Hosts {
        /// Best first, equals in random order. Those that name no host are kept for the log; at
        /// least one names a host.
        hosts: Vec<Mx>,
        /// Whether DNSSEC proved the MX records, and every alias on the way to them.
        security: Security,
        /// The name at the end of the domain's aliases; none where it is no alias.
        canonical: Option<Arc<str>>,
    },
    /// To the domain itself, which has addresses and no MX record.
    Implicit {
        /// The domain.
        host: Domain,
        /// Whether DNSSEC proved that there is no MX record.
        security: Security,
    },
    /// Nowhere: the domain exists, but has neither MX nor address records, or its MX records name no
    /// host.
    NoMailHost,
    /// Nowhere: the domain does not exist.
    NoSuchDomain,
    /// Nowhere: the domain says that it takes no mail.
    NullMx,
}

/// Learns where the mail of `domain` goes.
///
/// # Errors
///
/// If the DNS cannot tell, or can tell of the MX records, but not of the addresses where they count.
pub async fn mail_hosts(dns: &dyn Dns, domain: &Domain) -> Result<MailHosts, LookupError> {
    match dns.mx(domain).await? {
        Lookup::Found(records) => Ok(explicit(domain, records)),
        Lookup::NoData(security) => implicit(dns, domain, security).await,
        Lookup::NxDomain(_) => Ok(MailHosts::NoSuchDomain),
    }
}

/// With MX records, however useless, the addresses of the domain do not count (RFC 5321 §5.1).
fn explicit(domain: &Domain, records: Records<Mx>) -> MailHosts {
    let Records { records: mut hosts, security, canonical, .. } = records;
    // A null MX stands alone (RFC 7505 §3); beside others it is one more record without a host.
    if hosts.iter().all(|mx| mx.exchange == MxTarget::Root) {
        return MailHosts::NullMx;
    }
    let mut without_host = hosts.iter().filter(|mx| mx.host().is_none());
    if let Some(first) = without_host.next() {
        // One line, however many the domain has of them.
        let records = without_host.count().saturating_add(1);
        warn!(%domain, mx = ?first.exchange, records, "MX record without a valid host name ignored");
    }
    if hosts.iter().all(|mx| mx.host().is_none()) {
        return MailHosts::NoMailHost;
    }
    // Equals are tried in random order, to spread the load (RFC 5321 §5.1).
    hosts.shuffle(&mut rand::rng());
    hosts.sort_by_key(|mx| mx.preference);
    hosts.truncate(MOST_RECORDS);
    MailHosts::Hosts { hosts, security, canonical }
}

/// Without MX records the domain is its own host, if it is one at all (RFC 5321 §5.1).
async fn implicit(
    dns: &dyn Dns,
    domain: &Domain,
    security: Security,
) -> Result<MailHosts, LookupError> {
    match dns.addresses(domain).await? {
        Lookup::Found(_) => Ok(MailHosts::Implicit { host: domain.clone(), security }),
        Lookup::NoData(_) | Lookup::NxDomain(_) => Ok(MailHosts::NoMailHost),
    }
}

#[cfg(test)]
mod tests;
