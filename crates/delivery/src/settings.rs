//! What can be set about delivery.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use dkim::SigningTable;
use mta_sts::PolicyDomain;
use smtp::{AddressPattern, Domain};
use tls_policy::{DaneDemand, DaneSettings};

use crate::limit::{Limits, SourceAddresses};
use crate::route::{DomainPattern, Routes};

/// How many caches of idle sessions there are, each with as many as are at work at most.
const CACHES: usize = 3;

/// How many connections may wait to be closed; more are cut, which every peer has to bear.
pub(crate) const CLOSING_SESSIONS: usize = 1000;

/// How long there may be no reply before an attempt counts as stalled. Hosts that delay their
/// greeting or look for viruses answer sooner.
pub(crate) const STALLED_AFTER: Duration = Duration::from_secs(30);

/// How mail is delivered.
#[derive(Clone, Debug)]
pub struct DeliverySettings {
    /// The relay's own name, for EHLO (RFC 5321 §4.1.1.1) and notifications.
    pub hostname: Domain,
    /// Where the relay itself listens: mail is never delivered there (RFC 5321 §6.3).
    pub own_addresses: Vec<SocketAddr>,
    /// The port of the MX hosts: 25 everywhere but in tests.
    pub smtp_port: u16,
    /// How many deliveries are at work at once: those that have just begun.
    pub workers: usize,
    /// How many deliveries there are at once, those that wait for a slow host included. Each holds
    /// [`SOCKETS_PER_ATTEMPT`](Self::SOCKETS_PER_ATTEMPT) descriptors at most.
    pub connections: usize,
    /// How many messages are delivered to one destination domain at once.
    pub per_domain: usize,
    /// How many MX hosts one attempt tries.
    pub hosts_per_attempt: usize,
    /// How many addresses of one MX host one attempt tries.
    pub addresses_per_host: usize,
    /// How many messages go over one connection; 1: none is used again.
    pub messages_per_connection: usize,
    /// How long a connection without mail is kept; zero: not at all.
    pub connection_idle: Duration,
    /// How long a connection is used: afterwards its host is looked up and proves its name anew.
    pub connection_age: Duration,
    /// How long an address that does not answer is left alone; zero: it is tried every time.
    pub dead_host_memory: Duration,
    /// How many recipients share a transaction (RFC 5321 §4.5.3.1.8 asks for 100 at least).
    pub recipients_per_transaction: usize,
    /// Where connections come from.
    pub source: SourceAddresses,
    /// Which addresses of a host are tried first.
    pub ip_preference: IpPreference,
    /// After how long a sender is told that mail is late, with the next attempt that fails; none:
    /// never.
    pub delay_notice: Option<Duration>,
    /// Mail that goes to a configured next hop.
    pub routes: Routes,
    /// How much some destinations get at a time.
    pub limits: Limits,
    /// When TLSA records are looked up, and which count.
    pub dane: DaneSettings,
    /// Next hops whose hosts have to have TLSA records of use (RFC 7672 §6).
    pub dane_required: Vec<DomainPattern>,
    /// Who signs notifications.
    pub signing: Arc<SigningTable>,
    /// What becomes of mail that asks for proven TLS where no host can give that (RFC 8689).
    pub requiretls: RequireTlsDelivery,
    /// The senders of whom `TLS-Required: No` is honoured (RFC 8689 §3).
    pub honour_no_from: Vec<AddressPattern>,
    /// How long each step may take.
    pub timeouts: Timeouts,
    /// How long deliveries in progress may go on once the relay is told to stop.
    pub shutdown_grace: Duration,
}

impl DeliverySettings {
    /// The default of [`Self::smtp_port`].
    pub const SMTP_PORT: u16 = 25;

    /// The default of [`Self::workers`].
    pub const WORKERS: usize = 100;

    /// The default of [`Self::connections`].
    pub const CONNECTIONS: usize = 2000;

    /// The default of [`Self::per_domain`].
    pub const PER_DOMAIN: usize = 10;

    /// The default of [`Self::messages_per_connection`].
    pub const MESSAGES_PER_CONNECTION: usize = 100;

    /// The default of [`Self::connection_idle`].
    pub const CONNECTION_IDLE: Duration = Duration::from_secs(5);

    /// The default of [`Self::dead_host_memory`].
    pub const DEAD_HOST_MEMORY: Duration = Duration::from_secs(2 * 60);

    /// The default of [`Self::delay_notice`].
    pub const DELAY_NOTICE: Duration = Duration::from_secs(4 * 60 * 60);

    /// The default of [`Self::shutdown_grace`].
    pub const SHUTDOWN_GRACE: Duration = Duration::from_secs(30);

    /// How many descriptors one attempt may hold: the file of its message, and its connection, that to
    /// a policy host or those of a lookup: for both families, each with two where UDP is truncated.
    pub const SOCKETS_PER_ATTEMPT: usize = 5;

    /// How many attempts there may be at once in all: [`Self::connections`], and never fewer than
    /// are at work.
    #[must_use]
    pub fn attempts(&self) -> usize {
        self.connections.max(self.workers)
    }

    /// How many attempts may be at one address at once: a quarter of all, and the host there has to
    /// earn it.
    pub(crate) fn at_one_address(&self) -> usize {
        self.attempts().div_ceil(4)
    }

    /// How many descriptors delivery may hold at once: those of its attempts, and of connections
    /// that wait for another message or for the reply to QUIT.
    #[must_use]
    pub fn descriptors(&self) -> usize {
        let idle = self.workers.saturating_mul(CACHES).saturating_add(CLOSING_SESSIONS);
        self.attempts().saturating_mul(Self::SOCKETS_PER_ATTEMPT).saturating_add(idle)
    }

    /// Whether the operator demands TLSA records of a next hop.
    #[must_use]
    pub fn demand_of(&self, next_hop: Option<&PolicyDomain>) -> DaneDemand {
        let demands = |domain| self.dane_required.iter().any(|one| one.matches(Some(domain)));
        if next_hop.is_some_and(demands) { DaneDemand::Required } else { DaneDemand::None }
    }

    /// The defaults, for a relay of this name.
    #[must_use]
    pub fn new(hostname: Domain) -> Self {
        Self {
            hostname,
            own_addresses: Vec::new(),
            smtp_port: Self::SMTP_PORT,
            workers: Self::WORKERS,
            connections: Self::CONNECTIONS,
            per_domain: Self::PER_DOMAIN,
            hosts_per_attempt: 5,
            addresses_per_host: 4,
            messages_per_connection: Self::MESSAGES_PER_CONNECTION,
            connection_idle: Self::CONNECTION_IDLE,
            connection_age: Duration::from_secs(5 * 60),
            dead_host_memory: Self::DEAD_HOST_MEMORY,
            recipients_per_transaction: 100,
            source: SourceAddresses::default(),
            ip_preference: IpPreference::Ipv6,
            delay_notice: Some(Self::DELAY_NOTICE),
            routes: Routes::default(),
            limits: Limits::default(),
            dane: DaneSettings::default(),
            dane_required: Vec::new(),
            requiretls: RequireTlsDelivery::default(),
            honour_no_from: Vec::new(),
            signing: Arc::default(),
            timeouts: Timeouts::default(),
            shutdown_grace: Self::SHUTDOWN_GRACE,
        }
    }
}

/// What becomes of mail that asks for proven TLS all its way (RFC 8689).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum RequireTlsDelivery {
    /// It goes to hosts that have proved themselves and keep to that, or back.
    #[default]
    Enforce,
    /// It goes as all mail does, and hosts that have proved themselves are told if they offer to keep
    /// to it. A departure from RFC 8689 §4.2.1.
    Opportunistic,
}

/// Which family of addresses is tried first.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum IpPreference {
    /// IPv4, then IPv6.
    Ipv4,
    /// IPv4 and nothing else.
    Ipv4Only,
    /// IPv6, then IPv4.
    #[default]
    Ipv6,
    /// IPv6 and nothing else.
    Ipv6Only,
}

/// How long each step of a session may take (RFC 5321 §4.5.3.2).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Timeouts {
    /// A whole attempt until a message begins: every host and address it tries, the lookups and the
    /// policy included. The message itself has a least rate instead.
    pub attempt: Duration,
    /// Until the TCP connection stands.
    pub connect: Duration,
    /// Until the greeting is there (§4.5.3.2.1).
    pub greeting: Duration,
    /// Until EHLO, HELO or RSET is answered.
    pub hello: Duration,
    /// Until STARTTLS is answered, and again until the handshake is done.
    pub tls: Duration,
    /// Until MAIL is answered (§4.5.3.2.2).
    pub mail: Duration,
    /// Until RCPT is answered (§4.5.3.2.3).
    pub rcpt: Duration,
    /// Until DATA is answered (§4.5.3.2.4).
    pub data_initiation: Duration,
    /// Until a block of the message is written (§4.5.3.2.5).
    pub data_block: Duration,
    /// How many octets of the message have to be read in each second, apart from a pause as long as
    /// [`Self::data_block`]; 0: any number.
    pub data_rate: u64,
    /// Until the final dot is answered (§4.5.3.2.6): a message given up too early is sent twice.
    pub data_termination: Duration,
    /// Until QUIT is answered; nothing depends on it.
    pub quit: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            attempt: Duration::from_secs(10 * 60),
            connect: Duration::from_secs(30),
            greeting: Duration::from_secs(5 * 60),
            hello: Duration::from_secs(5 * 60),
            tls: Duration::from_secs(60),
            mail: Duration::from_secs(5 * 60),
            rcpt: Duration::from_secs(5 * 60),
            data_initiation: Duration::from_secs(2 * 60),
            data_block: Duration::from_secs(3 * 60),
            data_rate: 1024,
            data_termination: Duration::from_secs(10 * 60),
            quit: Duration::from_secs(2),
        }
    }
}
