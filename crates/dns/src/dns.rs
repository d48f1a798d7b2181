//! The questions, as a trait: what the rules ask.

use std::fmt::Debug;
use std::net::IpAddr;

use async_trait::async_trait;
use smtp::Domain;

use crate::error::LookupError;
use crate::lookup::{Lookup, Validation};
use crate::records::{Canonical, Mx, TlsaData, Txt};

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
    /// Whether any answer can be secure at the moment.
    fn validation(&self) -> Validation;

    /// The MX records of `domain`, as they stand: [`mail_hosts`](crate::mail_hosts()) reads them.
    async fn mx(&self, domain: &Domain) -> Result<Lookup<Mx>, LookupError>;

    /// The IPv4 and IPv6 addresses of `host`, IPv4 first.
    ///
    /// If one family is found, a failure to learn the other is passed over; if one is secure, they
    /// count as secure.
    async fn addresses(&self, host: &Domain) -> Result<Lookup<IpAddr>, LookupError>;

    /// The TXT records at `name`, the character-strings of each joined (RFC 8461 §3.1).
    ///
    /// The name is text because it may begin with labels that no mail domain has: `_mta-sts`.
    async fn txt(&self, name: &str) -> Result<Lookup<Txt>, LookupError>;

    /// The TXT records at `name`, asked again whatever has been remembered (RFC 8461 §5.1: one more
    /// look before mail is given up).
    ///
    /// An implementation that remembers nothing needs no other than this one.
    async fn txt_fresh(&self, name: &str) -> Result<Lookup<Txt>, LookupError> {
        self.txt(name).await
    }

    /// Of which name `host` is an alias, by its own CNAME record (RFC 7672 §2.2.2): the one question
    /// whose aliases are not followed.
    async fn cname(&self, host: &Domain) -> Result<Lookup<Canonical>, LookupError>;

    /// The TLSA records for TCP `port` of `host` (RFC 6698 §3).
    async fn tlsa(&self, host: &Domain, port: u16) -> Result<Lookup<TlsaData>, LookupError>;

    /// The same, asked again whatever has been remembered: records may have been exchanged a moment
    /// before a certificate (RFC 7671 §8).
    ///
    /// An implementation that remembers nothing needs no other than this one.
    async fn tlsa_fresh(&self, host: &Domain, port: u16) -> Result<Lookup<TlsaData>, LookupError> {
        self.tlsa(host, port).await
    }
}
