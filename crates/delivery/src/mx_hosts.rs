//! Which hosts take the mail of a destination, in the order they are tried (RFC 5321 §5.1).

use dns::{Dns, MailHosts, Mx, mail_hosts};
use mail::{DeliveryResult, ReasonClass};
use mta_sts::{MxHost, OpenHost};
use smtp::{Class, Domain, MailboxDomain};
use tls_policy::HostNaming;

use crate::settings::DeliverySettings;
use crate::status::Status;
use crate::target::{Target, TlsRequirement};

/// The hosts to try, at least one; or what becomes of the mail without any.
pub(crate) async fn hosts(
    dns: &dyn Dns,
    (destination, requirement): (&MailboxDomain, &TlsRequirement),
    settings: &DeliverySettings,
) -> Result<Vec<Target>, DeliveryResult> {
    let target = |host, naming| Target {
        host,
        port: settings.smtp_port,
        naming,
        requirement: requirement.clone(),
    };
    let domain = match destination {
        MailboxDomain::Domain(domain) => domain,
        MailboxDomain::Literal(address) => {
            return Ok(vec![target(
                OpenHost::Literal(address.to_canonical()),
                HostNaming::Insecure,
            )]);
        }
    };
    let (names, naming) = match mail_hosts(dns, domain).await {
        Ok(MailHosts::Hosts { hosts, security, canonical }) => (
            better_than_us(&hosts, &settings.hostname),
            HostNaming::by_mx(domain, security, canonical),
        ),
        Ok(MailHosts::Implicit { host, .. }) if host == settings.hostname => {
            return Err(looped(domain));
        }
        Ok(MailHosts::Implicit { host, security }) => {
            (vec![host], HostNaming::by_mx(domain, security, None))
        }
        Ok(MailHosts::NullMx) => {
            // RFC 7505 §4.1 and §5.
            return Err(bounced(Status::NullMx, format!("{domain} does not accept mail")));
        }
        Ok(MailHosts::NoSuchDomain) => {
            return Err(bounced(Status::NoSuchSystem, format!("{domain} does not exist")));
        }
        Ok(MailHosts::NoMailHost) => {
            return Err(bounced(Status::NoRoute, format!("{domain} has no mail host")));
        }
        Err(error) => {
            let text = format!("MX lookup for {domain} failed: {error}");
            let failure = Status::NoDirectory.failure(ReasonClass::Dns, text);
            return Err(DeliveryResult::Deferred(failure));
        }
    };
    if names.is_empty() {
        return Err(looped(domain));
    }
    Ok(names.iter().filter_map(open_host).map(|host| target(host, naming.clone())).collect())
}

/// Mail that would come back to this relay (RFC 5321 §5.1 and §6.3).
pub(crate) fn looped(domain: &dyn std::fmt::Display) -> DeliveryResult {
    bounced(Status::Loop, format!("mail for {domain} loops back to this relay"))
}

/// The hosts before our own name, which stands for "we are among them": sending to others of the
/// same or a lesser preference would only bring the mail back (RFC 5321 §5.1).
fn better_than_us(hosts: &[Mx], hostname: &Domain) -> Vec<Domain> {
    let own = hosts.iter().filter(|mx| mx.host() == Some(hostname)).map(|mx| mx.preference).min();
    hosts
        .iter()
        .filter(|mx| own.is_none_or(|own| mx.preference < own))
        .filter_map(Mx::host)
        .cloned()
        .collect()
}

fn open_host(host: &Domain) -> Option<OpenHost> {
    MxHost::parse(host.as_str()).ok().map(OpenHost::Name)
}

fn bounced(status: Status, text: String) -> DeliveryResult {
    let failure = status.failure(ReasonClass::Dns, text);
    DeliveryResult::Bounced(failure.with_class(Class::Permanent))
}

#[cfg(test)]
mod tests {
    use dns::MxTarget;

    use super::*;

    fn mx(preference: u16, host: &str) -> Mx {
        Mx { preference, exchange: MxTarget::Host(Domain::parse(host).unwrap()) }
    }

    #[test]
    fn hosts_that_are_no_better_than_ourselves_are_left_out() {
        let us = Domain::parse("relay.example.com").unwrap();
        let names = |hosts: &[Mx]| -> Vec<String> {
            better_than_us(hosts, &us).iter().map(ToString::to_string).collect()
        };
        let (first, second, third) =
            (mx(10, "a.example.org"), mx(20, "relay.example.com"), mx(20, "b.example.org"));
        let fourth = mx(30, "c.example.org");
        assert_eq!(names(&[first.clone(), fourth.clone()]), ["a.example.org", "c.example.org"]);
        assert_eq!(names(&[first, second.clone(), third.clone(), fourth]), ["a.example.org"]);
        assert!(names(&[second, third]).is_empty());
    }
}
