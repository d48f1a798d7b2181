//! What the DNS says, told apart: found, absent, or cannot tell.
//!
//! A [`Lookup`] is what a name server *knows*: the records, or that there are none. Everything that
//! leaves the question open — SERVFAIL, REFUSED, silence, nonsense — is a [`LookupError`]. The
//! difference decides whether mail may leave without protection, so it is never blurred: an absent
//! TXT record means that a domain has no MTA-STS policy, an unanswered question means nothing.
//!
//! [`Dns`] is the trait that the rules ask; [`Resolver`] answers it through the recursive resolvers
//! of the settings or of `/etc/resolv.conf`; [`mail_hosts`] turns MX and address records into the
//! hosts that take a domain's mail (RFC 5321 §5.1, RFC 7505).
//!
//! ```no_run
//! use dns::{Dns, DnsSettings, Lookup, Resolver};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let resolver = Resolver::new(DnsSettings::default())?;
//! match resolver.txt("_mta-sts.example.com").await {
//!     Ok(Lookup::Found(txts)) => println!("{} records", txts.records.len()),
//!     Ok(Lookup::NoData | Lookup::NxDomain) => println!("there is no such record"),
//!     Err(error) => println!("cannot tell: {error}"),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Deliberately absent: a hosts file, search lists and relative names (a mail domain is always fully
//! qualified); DNSSEC validation in this process (the resolver beside us validates, see [`Dnssec`]);
//! and any opinion on how many MX hosts to try.
//!
//! The reasons: `docs/decisions/0006-dns.md`.

mod answer;
mod cache;
mod error;
mod lookup;
mod mail_hosts;
#[cfg(test)]
mod name_server;
mod question;
mod records;
mod resolver;
mod server;
mod servers;
mod settings;

use std::fmt::Debug;
use std::net::IpAddr;

use async_trait::async_trait;
use smtp::Domain;

pub use crate::error::{LookupError, Malformation, Obstacle};
pub use crate::lookup::{Lookup, Records, Security};
pub use crate::mail_hosts::{MailHosts, mail_hosts};
pub use crate::records::{Mx, MxTarget, TlsaData, Txt};
pub use crate::resolver::Resolver;
pub use crate::settings::{DnsSettings, Dnssec, ResolverError};

/// Answers the questions that sending mail asks of the DNS.
///
/// Every question is about a fully qualified name. Aliases (CNAME) have been followed: the records
/// are those at the end of the chain.
///
/// # Errors
///
/// Each method fails with a [`LookupError`] when the question stays open; try again later.
#[async_trait]
pub trait Dns: Debug + Send + Sync {
    /// The MX records of `domain`, as they stand: [`mail_hosts`] reads them.
    async fn mx(&self, domain: &Domain) -> Result<Lookup<Mx>, LookupError>;

    /// The IPv4 and IPv6 addresses of `host`, IPv4 first.
    ///
    /// If one family is found, a failure to learn the other is passed over.
    async fn addresses(&self, host: &Domain) -> Result<Lookup<IpAddr>, LookupError>;

    /// The TXT records at `name`, the character-strings of each joined (RFC 8461 §3.1).
    ///
    /// The name is text because it may begin with labels that no mail domain has: `_mta-sts`.
    async fn txt(&self, name: &str) -> Result<Lookup<Txt>, LookupError>;

    /// The TXT records at `name`, asked anew whatever has been remembered (RFC 8461 §5.1: one more
    /// look before mail is given up).
    ///
    /// An implementation that remembers nothing needs no other than this one.
    async fn txt_fresh(&self, name: &str) -> Result<Lookup<Txt>, LookupError> {
        self.txt(name).await
    }

    /// The TLSA records for TCP `port` of `host` (RFC 6698 §3).
    async fn tlsa(&self, host: &Domain, port: u16) -> Result<Lookup<TlsaData>, LookupError>;
}
