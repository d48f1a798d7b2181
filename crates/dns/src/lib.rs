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
//!     Ok(Lookup::NoData(_) | Lookup::NxDomain(_)) => println!("there is no such record"),
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
//! The reasons: `docs/decisions/0006-dns.md`, and for DNSSEC `docs/decisions/0023-dnssec.md`.

mod answer;
mod cache;
mod dns;
mod error;
mod known_secure;
mod lookup;
mod mail_hosts;
#[cfg(test)]
mod name_server;
mod question;
mod records;
mod resolver;
mod self_test;
mod self_test_failure;
mod server;
mod servers;
mod settings;
mod standing;

pub use crate::dns::Dns;
pub use crate::error::{LookupError, Malformation, Obstacle};
pub use crate::lookup::{Lookup, Records, Security, Validation};
pub use crate::mail_hosts::{MailHosts, mail_hosts};
pub use crate::records::{Canonical, Mx, MxTarget, TlsaData, Txt};
pub use crate::resolver::Resolver;
pub use crate::self_test_failure::SelfTestFailure;
pub use crate::settings::{DnsSettings, Dnssec, ResolverError};
pub use crate::standing::ServerState;
