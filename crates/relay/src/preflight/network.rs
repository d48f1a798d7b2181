//! The network: resolvers, the relay's name, and the way out.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use dns::{Dns as _, MailHosts, Resolver};
use listener::Replacement;
use mail::in_full;
use settings::Settings;
use smtp::{Domain, MailboxDomain};
use tls_policy::DaneMode;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::key_records;
use crate::validation::inactive;

/// How long a connection to the own domain's mail host may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// An address in nobody's network (RFC 5737): the way to it is the way to the internet.
const ELSEWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 25);

/// What is to be said of the network.
pub(crate) async fn of_network(settings: &Settings) -> Vec<String> {
    let resolver = match Resolver::new(settings.dns.clone()) {
        Ok(resolver) => resolver,
        Err(error) => return vec![error.to_string()],
    };
    let hostname = &settings.delivery.hostname;
    let mut found = Vec::new();
    if hostname.labels().count() < 2 {
        // Nothing can be looked up for such a name; the settings have warned of it.
        return found;
    }
    match resolver.addresses(hostname).await {
        Err(error) => {
            let servers: Vec<_> = resolver.servers().map(|server| server.to_string()).collect();
            found.push(format!(
                "the resolver ({}) does not answer for hostname {hostname}: {error}",
                servers.join(", ")
            ));
        }
        Ok(answer) => {
            let addresses = answer.into_records().map(|found| found.records).unwrap_or_default();
            found.extend(name(hostname, &addresses, own_address(settings)));
            for address in addresses {
                found.extend(pointer(&resolver, hostname, address).await);
            }
            found.extend(way_out(&resolver, settings).await);
        }
    }
    found
}

/// Which DKIM keys have no record, or one that is not as it should be; a relay that runs tells it by
/// itself.
pub(crate) async fn of_dkim_keys(settings: &Settings) -> Vec<String> {
    let mut found = Vec::new();
    // That there is no resolver is told of the network.
    let Ok(resolver) = Resolver::new(settings.dns.clone()) else { return found };
    for key in settings.dkim.table.keys() {
        let configured = key.key();
        let record = configured.signer.record_name();
        let fault = match key_records::published(&resolver, key).await {
            Err(error) => Some(in_full(&error)),
            Ok(published) => {
                published.state_for_all(&configured.signer, configured.service).fault()
            }
        };
        found.extend(fault.map(|fault| format!("the record of a DKIM key, {record}: {fault}")));
    }
    found
}

/// Which domains of addresses that `[[rewrite]]` makes have no MX record.
pub(crate) async fn of_rewriting(settings: &Settings) -> Vec<String> {
    let mut found = Vec::new();
    let Ok(resolver) = Resolver::new(settings.dns.clone()) else { return found };
    let made = settings.listener.rewriting.rules().filter_map(|rule| match &rule.to {
        Replacement::Domain(domain) => Some(domain),
        Replacement::Mailbox(mailbox) => match mailbox.domain() {
            MailboxDomain::Domain(domain) => Some(domain),
            MailboxDomain::Literal(_) => None,
        },
    });
    for domain in made.collect::<BTreeSet<_>>() {
        let problem = match dns::mail_hosts(&resolver, domain).await {
            Ok(MailHosts::Hosts { .. }) => continue,
            Ok(MailHosts::Implicit { .. }) => "it has no MX record".to_owned(),
            Ok(MailHosts::NoMailHost) => "it has neither MX nor address records".to_owned(),
            Ok(MailHosts::NoSuchDomain) => "there is no such domain".to_owned(),
            Ok(MailHosts::NullMx) => "it says that it takes no mail (null MX)".to_owned(),
            Err(error) => format!("MX lookup failed: {error}"),
        };
        found.push(format!("[[rewrite]] sends bounces and replies to {domain}: {problem}"));
    }
    found
}

/// Why DANE is inactive, where it is not meant to be: a relay that runs tells of it by itself.
pub(crate) async fn of_validation(settings: &Settings) -> Option<String> {
    if settings.delivery.dane.mode == DaneMode::Off {
        return None;
    }
    let resolver = Resolver::new(settings.dns.clone()).ok()?;
    inactive(&resolver.states().await)
}

/// Whether the relay's name leads to it.
fn name(hostname: &Domain, addresses: &[IpAddr], own: Option<IpAddr>) -> Option<String> {
    if addresses.is_empty() {
        return Some(format!(
            "hostname {hostname} has no address record, and many mail hosts refuse such a name"
        ));
    }
    let own = own.filter(|own| !addresses.contains(own))?;
    Some(format!("mail leaves from {own}, which is not an address of hostname {hostname}"))
}

/// The address that mail leaves from; none where it is translated on the way, or not known.
fn own_address(settings: &Settings) -> Option<IpAddr> {
    let chosen = settings.delivery.source.v4.map(IpAddr::V4);
    let address = chosen.or_else(|| towards_elsewhere().ok())?;
    let is_public = match address {
        IpAddr::V4(v4) => !(v4.is_private() || v4.is_link_local()),
        IpAddr::V6(_) => true,
    };
    let is_public = is_public && !address.is_loopback() && !address.is_unspecified();
    is_public.then_some(address)
}

/// The address that the system would choose; nothing is sent to find it.
fn towards_elsewhere() -> io::Result<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.connect(ELSEWHERE)?;
    Ok(socket.local_addr()?.ip())
}

/// Whether an address of the relay has its name.
async fn pointer(resolver: &Resolver, hostname: &Domain, address: IpAddr) -> Option<String> {
    let names = match resolver.names_of(address).await {
        Ok(names) => names,
        Err(error) => {
            return Some(format!("PTR lookup for {address} failed: {error}"));
        }
    };
    if names.contains(hostname) {
        return None;
    }
    let names: Vec<_> = names.iter().map(ToString::to_string).collect();
    let has = if names.is_empty() { "has none".to_owned() } else { names.join(", ") };
    Some(format!(
        "the PTR record of {address} should name {hostname} ({has}), and many mail hosts refuse mail \
         without it; the provider of the address can set it"
    ))
}

/// Whether port 25 can be reached: at the mail host of the domain that the relay is named in.
async fn way_out(resolver: &Resolver, settings: &Settings) -> Option<String> {
    let hostname = &settings.delivery.hostname;
    let (_, parent) = hostname.as_str().split_once('.')?;
    let domain = Domain::parse(parent).ok()?;
    let mut hosts = resolver.mx(&domain).await.ok()?.into_records()?.records;
    hosts.sort_by_key(|mx| mx.preference);
    let host = hosts.iter().filter_map(dns::Mx::host).find(|host| *host != hostname)?;
    let addresses = resolver.addresses(host).await.ok()?.into_records()?.records;
    let address = SocketAddr::new(*addresses.first()?, settings.delivery.smtp_port);
    let failed = match timeout(PATIENCE, TcpStream::connect(address)).await {
        Ok(Ok(_stream)) => return None,
        Ok(Err(error)) => error.to_string(),
        Err(_elapsed) => "no answer".to_owned(),
    };
    Some(format!(
        "{host} [{address}], a mail host of {domain}, cannot be reached ({failed}); many \
         providers block port 25 until they are asked to open it"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_should_lead_to_the_address_that_mail_leaves_from() {
        let hostname = Domain::parse("relay.example.org").unwrap();
        let (here, there) = ("192.0.2.5".parse().unwrap(), "192.0.2.6".parse().unwrap());
        assert!(name(&hostname, &[], None).unwrap().contains("has no address record"));
        assert!(name(&hostname, &[there], Some(here)).unwrap().contains("leaves from 192.0.2.5"));
        assert_eq!(name(&hostname, &[there, here], Some(here)), None);
        // Behind a translator nobody here knows the address.
        assert_eq!(name(&hostname, &[there], None), None);
    }
}
