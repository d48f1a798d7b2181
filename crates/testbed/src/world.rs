//! A small internet.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::authority::Authority;
use crate::domain::DomainSetup;
use crate::loopback::Loopback;
use crate::message::{Mailbox, Message, NotYet};
use crate::mx::{MxBehaviour, MxHost};
use crate::names::{Names, Resolver, ResolverBehaviour};
use crate::policy_host::{PolicyBehaviour, PolicyHost};
use crate::policy_hosts::PolicyHosts;
use crate::sink::{Offer, Sink};
use crate::tap::Tap;
use crate::tasks::Tasks;

/// A small internet. Everything in it ends when it is dropped.
#[derive(Debug)]
pub struct World {
    loopback: Arc<Loopback>,
    authority: Arc<Authority>,
    names: Names,
    tap: Tap,
    mailbox: Mailbox,
    policy_hosts: PolicyHosts,
    tasks: Tasks,
}

impl World {
    /// A new world, with names, an authority and nothing else.
    ///
    /// # Panics
    /// The machine has no free loopback addresses or no room for temporary files; see
    /// [`World::create`].
    pub async fn new() -> Self {
        Self::create().await.expect("a world needs 127.0.0.0/8 and a temporary directory")
    }

    /// A new world, with names, an authority and nothing else.
    ///
    /// # Errors
    /// The machine has no free loopback addresses or no room for temporary files.
    pub async fn create() -> io::Result<Self> {
        let loopback = Arc::new(Loopback::claim()?);
        let tasks = Tasks::default();
        let names = Names::serve(loopback.first(), &tasks).await?;
        let authority = Arc::new(Authority::new()?);
        let tap = Tap::default();
        let mailbox = Mailbox::new(tap.clone());
        let policy_hosts = PolicyHosts::new(&loopback, &authority, &names, &tasks);
        Ok(Self { loopback, authority, names, tap, mailbox, policy_hosts, tasks })
    }

    /// Starts an MX host at an address of its own, to which `name` leads. A second host of the same
    /// name gives the name a second address.
    ///
    /// # Panics
    /// Somebody listens on the world's SMTP port at all addresses.
    pub async fn mx(&self, name: &str, behaviour: MxBehaviour) -> MxHost {
        let mx = self.mx_without_address_record(name, behaviour).await;
        self.names.add_address(name, mx.address().ip());
        mx
    }

    /// Starts an MX host to which no name leads.
    ///
    /// # Panics
    /// Somebody listens on the world's SMTP port at all addresses.
    pub async fn mx_without_address_record(&self, name: &str, behaviour: MxBehaviour) -> MxHost {
        let address = SocketAddr::new(self.loopback.address(), self.loopback.smtp_port());
        self.mx_at(name, address, behaviour)
            .await
            .expect("the SMTP port is free at a fresh address")
    }

    /// Starts an MX host at this address and port, to which no name leads: at a second port, or at
    /// `[::1]`, which is no world's own, so that a world has one such host at most.
    ///
    /// # Errors
    /// The address is in use, or this machine does not have it.
    pub async fn mx_at(
        &self,
        name: &str,
        address: SocketAddr,
        behaviour: MxBehaviour,
    ) -> io::Result<MxHost> {
        let mailbox = self.mailbox.of(address);
        let shared = (self.tap.clone(), mailbox, self.tasks.clone());
        MxHost::start(name, address, behaviour, Arc::clone(&self.authority), shared).await
    }

    /// Starts a host for measurements at an address of its own, to which `name` leads.
    ///
    /// # Panics
    /// Somebody listens on the world's SMTP port at all addresses.
    pub async fn sink(&self, name: &str, offer: Offer) -> Sink {
        let address = SocketAddr::new(self.loopback.address(), self.loopback.smtp_port());
        let sink = Sink::start(name, address, offer, &self.authority, self.tasks.clone())
            .await
            .expect("the SMTP port is free at a fresh address");
        self.names.add_address(name, address.ip());
        sink
    }

    /// Starts the policy host of `domain` at an address of its own, to which `mta-sts.` and the
    /// domain lead; if there is one already, only what it does is changed.
    ///
    /// # Panics
    /// Somebody listens on the world's HTTPS port at all addresses.
    pub async fn policy_host(
        &self,
        domain: &str,
        behaviour: impl Into<PolicyBehaviour>,
    ) -> PolicyHost {
        self.policy_hosts.host(domain, behaviour.into()).await
    }

    /// Starts an HTTPS host of this name that takes reports at any path (RFC 8460 §5.4), at an address
    /// of its own; if there is one already, only what it does is changed.
    ///
    /// # Panics
    /// Somebody listens on the world's HTTPS port at all addresses.
    pub async fn report_host(&self, name: &str, behaviour: PolicyBehaviour) -> PolicyHost {
        self.policy_hosts.named(name, behaviour.at_any_path()).await
    }

    /// What the names say of a mail domain, to be set up or changed.
    pub fn domain<'w>(&'w self, domain: &str) -> DomainSetup<'w> {
        DomainSetup::new(&self.names, &self.policy_hosts, domain)
    }

    /// The names.
    #[must_use]
    pub const fn names(&self) -> &Names {
        &self.names
    }

    /// The wire tap.
    #[must_use]
    pub const fn tap(&self) -> &Tap {
        &self.tap
    }

    /// The certificate authority.
    #[must_use]
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The authority's certificate as a PEM file.
    #[must_use]
    pub fn ca_file(&self) -> &Path {
        self.authority.file()
    }

    /// A directory for the program under test, removed with the world.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.authority.directory()
    }

    /// Starts a second resolver for the world's names, at `ip`, on a port of its own.
    ///
    /// # Panics
    /// `ip` is no address of this machine.
    pub async fn resolver(&self, ip: IpAddr, behaviour: ResolverBehaviour) -> Resolver {
        let started = self.names.resolver(ip, behaviour, &self.tasks).await;
        started.expect("a port is free for UDP and TCP")
    }

    /// Where the DNS server listens, over UDP and TCP.
    #[must_use]
    pub const fn dns_address(&self) -> SocketAddr {
        self.names.address()
    }

    /// The port at which every MX host listens.
    #[must_use]
    pub fn smtp_port(&self) -> u16 {
        self.loopback.smtp_port()
    }

    /// The name at which the TLSA records of a host of this world are.
    #[must_use]
    pub fn tlsa_name(&self, host: &str) -> String {
        format!("_{}._tcp.{host}", self.smtp_port())
    }

    /// Adds a TLSA record of a host of this world: its usage, selector and matching type, and its data.
    pub fn add_tlsa(&self, host: &str, parameters: (u8, u8, u8), data: &[u8]) {
        self.names.add_tlsa(&self.tlsa_name(host), parameters, data);
    }

    /// The port at which every policy host listens.
    #[must_use]
    pub fn https_port(&self) -> u16 {
        self.loopback.https_port()
    }

    /// A loopback address of this world that nothing else uses: for the program under test, for a
    /// client, or for a host that is not there.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        self.loopback.address()
    }

    /// The messages taken by any MX host, in order.
    #[must_use]
    pub fn messages(&self) -> Vec<Arc<Message>> {
        self.mailbox.messages()
    }

    /// Forgets the messages taken by any MX host, and gives them: none that is taken meanwhile is
    /// lost.
    pub fn forget_messages(&self) -> Vec<Arc<Message>> {
        self.mailbox.forget()
    }

    /// Waits until MX hosts have taken at least `count` messages between them.
    ///
    /// # Errors
    /// The time was up; the error tells what happened on the wire.
    pub async fn wait_for_messages(
        &self,
        count: usize,
        within: Duration,
    ) -> Result<Vec<Arc<Message>>, NotYet> {
        self.mailbox.wait_for(count, within).await
    }

    /// Ends everything, and waits until it has ended.
    pub async fn close(self) {
        self.tasks.stop();
        self.tasks.ended().await;
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.tasks.stop();
    }
}
