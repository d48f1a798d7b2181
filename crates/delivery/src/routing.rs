//! Which hosts take the mail of a destination, in the order they are tried (RFC 5321 §5.1).

use dns::{Dns, MailHosts, Mx, mail_hosts};
use mta_sts::{MxHost, OpenHost};
use queue::{Outcome, Reason, ReasonClass};
use smtp::{Domain, MailboxDomain};

use crate::hop::{Hop, Manner};
use crate::settings::DeliverySettings;
use crate::status::{self, permanent};

/// The hosts to try, at least one; or what becomes of the mail without any.
pub(crate) async fn hosts(
    dns: &dyn Dns,
    (destination, manner): (&MailboxDomain, &Manner),
    settings: &DeliverySettings,
) -> Result<Vec<Hop>, Outcome> {
    let hop = |host| Hop { host, port: settings.smtp_port, manner: manner.clone() };
    let domain = match destination {
        MailboxDomain::Domain(domain) => domain,
        MailboxDomain::Literal(address) => {
            return Ok(vec![hop(OpenHost::Literal(address.to_canonical()))]);
        }
    };
    let names = match mail_hosts(dns, domain).await {
        Ok(MailHosts::Hosts { hosts, .. }) => better_than_us(&hosts, &settings.hostname),
        Ok(MailHosts::Implicit(host)) if host == settings.hostname => Vec::new(),
        Ok(MailHosts::Implicit(host)) => vec![host],
        Ok(MailHosts::NullMx) => {
            // RFC 7505 §4.1 and §5.
            return Err(bounced(status::NULL_MX, format!("{domain} does not accept mail")));
        }
        Ok(MailHosts::NoSuchDomain) => {
            return Err(bounced(status::NO_SUCH_SYSTEM, format!("{domain} does not exist")));
        }
        Ok(MailHosts::NoMailHost) => {
            return Err(bounced(status::NO_ROUTE, format!("{domain} has no mail host")));
        }
        Err(error) => {
            let text = format!("MX lookup for {domain} failed: {error}");
            return Err(Outcome::Deferred(Reason::new(
                ReasonClass::Dns,
                status::NO_DIRECTORY,
                text,
            )));
        }
    };
    if names.is_empty() {
        return Err(looped(domain));
    }
    Ok(names.iter().filter_map(open_host).map(hop).collect())
}

/// Mail that would come back to this relay (RFC 5321 §5.1 and §6.3).
pub(crate) fn looped(domain: &dyn std::fmt::Display) -> Outcome {
    bounced(status::LOOP, format!("mail for {domain} loops back to this relay"))
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

fn bounced(status: smtp::EnhancedCode, text: String) -> Outcome {
    Outcome::Bounced(Reason::new(ReasonClass::Dns, permanent(status), text))
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
