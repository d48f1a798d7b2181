//! The names of a world, and the DNS server that answers for them.
//!
//! It answers as a recursive resolver would, for every name there is: chains of CNAMEs are followed,
//! a name with other records gives NODATA, an unknown one NXDOMAIN. Everything may be changed while
//! it runs, and records live for no time at all by default, so that a change shows at once. DNSSEC
//! signatures are not made; [`Names::authenticate`] sets the AD bit as a validating resolver does, and
//! [`Fault::Bogus`] says what one says of a forgery.

mod resolver;
mod resolver_behaviour;
mod server;
#[cfg(test)]
mod tests;
mod zone;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::rr::rdata::tlsa::{CertUsage, Matching, Selector};
use hickory_proto::rr::rdata::{A, AAAA, CNAME, MX, NS, PTR, TLSA, TXT};
use hickory_proto::rr::{Name, RData};
use tokio::sync::watch;
use tokio::time::timeout;

use self::server::Answerer;
use self::zone::{Zone, absolute};
use crate::tasks::Tasks;

pub use self::resolver::Resolver;
pub use self::resolver_behaviour::ResolverBehaviour;
pub use self::zone::Fault;

/// The most bytes in one character-string (RFC 1035 §3.3).
const CHARACTER_STRING: usize = 255;

/// The types of records a world knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RecordType {
    /// An IPv4 address.
    A,
    /// An IPv6 address.
    Aaaa,
    /// Another name for the same thing.
    Cname,
    /// A mail exchanger.
    Mx,
    /// A certificate association (RFC 6698).
    Tlsa,
    /// Text.
    Txt,
}

/// The names of a world.
#[derive(Clone, Debug)]
pub struct Names {
    zone: Arc<watch::Sender<Zone>>,
    address: SocketAddr,
}

impl Names {
    /// Starts the DNS server at `ip`, on a port of its own, over UDP and TCP.
    pub(crate) async fn serve(ip: IpAddr, tasks: &Tasks) -> io::Result<Self> {
        let zone = Arc::new(watch::Sender::new(Zone::default()));
        let sockets = server::sockets(ip).await?;
        let address = sockets.0.local_addr()?;
        let answerer = Answerer {
            zone: Arc::clone(&zone),
            behaviour: watch::Sender::new(ResolverBehaviour::Validates).subscribe(),
            questions: Arc::default(),
        };
        server::start(answerer, sockets, tasks);
        Ok(Self { zone, address })
    }

    /// Starts a second server at `ip`, on a port of its own.
    pub(crate) async fn resolver(
        &self,
        ip: IpAddr,
        behaviour: ResolverBehaviour,
        tasks: &Tasks,
    ) -> io::Result<Resolver> {
        Resolver::start(Arc::clone(&self.zone), ip, behaviour, tasks).await
    }

    /// Where the DNS server listens, over UDP and TCP.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Adds an A or AAAA record.
    pub fn add_address(&self, name: &str, ip: IpAddr) {
        self.add(
            name,
            match ip {
                IpAddr::V4(ip) => RData::A(A(ip)),
                IpAddr::V6(ip) => RData::AAAA(AAAA(ip)),
            },
        );
    }

    /// Adds a CNAME record.
    pub fn add_cname(&self, name: &str, target: &str) {
        self.add(name, RData::CNAME(CNAME(absolute(target))));
    }

    /// Adds an MX record; the exchange `.` makes the null MX of RFC 7505.
    pub fn add_mx(&self, name: &str, preference: u16, exchange: &str) {
        self.add(name, RData::MX(MX::new(preference, absolute(exchange))));
    }

    /// Adds a TXT record, cut into character-strings of the greatest length.
    pub fn add_txt(&self, name: &str, text: &str) {
        let strings: Vec<&[u8]> = text.as_bytes().chunks(CHARACTER_STRING).collect();
        self.add_txt_strings(name, &strings);
    }

    /// Adds a TXT record of these character-strings.
    pub fn add_txt_strings(&self, name: &str, strings: &[&[u8]]) {
        self.add(name, RData::TXT(TXT::from_bytes(strings.to_vec())));
    }

    /// Adds a TLSA record, its first three fields as numbers (RFC 6698 §2.1).
    pub fn add_tlsa(&self, name: &str, (usage, selector, matching): (u8, u8, u8), data: &[u8]) {
        let (usage, selector) = (CertUsage::from(usage), Selector::from(selector));
        let tlsa = TLSA::new(usage, selector, Matching::from(matching), data.to_vec());
        self.add(name, RData::TLSA(tlsa));
    }

    /// Adds an NS record.
    pub fn add_name_server(&self, name: &str, host: &str) {
        self.add(name, RData::NS(NS(absolute(host))));
    }

    /// Adds a PTR record for an address (RFC 1035 §3.5).
    pub fn add_pointer(&self, ip: IpAddr, host: &str) {
        self.add(&Name::from(ip).to_ascii(), RData::PTR(PTR(absolute(host))));
    }

    /// Removes the records of one type at a name.
    pub fn remove(&self, name: &str, record_type: RecordType) {
        self.zone.send_modify(|zone| zone.remove(name, Some(record_type.wire())));
    }

    /// Removes all records at a name.
    pub fn remove_all(&self, name: &str) {
        self.zone.send_modify(|zone| zone.remove(name, None));
    }

    /// Makes every question for a name go wrong.
    pub fn fail(&self, name: &str, fault: Fault) {
        self.zone.send_modify(|zone| zone.fail(name, None, fault));
    }

    /// Makes questions for one type at a name go wrong.
    pub fn fail_type(&self, name: &str, record_type: RecordType, fault: Fault) {
        self.zone.send_modify(|zone| zone.fail(name, Some(record_type.wire()), fault));
    }

    /// Takes back every fault of a name.
    pub fn mend(&self, name: &str) {
        self.zone.send_modify(|zone| zone.mend(name));
    }

    /// How long records added from now on may be kept, and answers that say there is none.
    pub fn keep_for(&self, time_to_live: Duration) {
        let seconds = u32::try_from(time_to_live.as_secs()).unwrap_or(u32::MAX);
        self.zone.send_modify(|zone| zone.keep_for(seconds));
    }

    /// Lets answers about a name, and all names below it, carry the AD bit. The root is signed from the
    /// beginning, as for every resolver that validates.
    pub fn authenticate(&self, name: &str) {
        self.zone.send_modify(|zone| zone.authenticate(name));
    }

    /// Lets answers about a name, and all names below it, carry no AD bit: an unsigned zone below a
    /// signed one; or, for `.`, a resolver that does not validate.
    pub fn leave_unsigned(&self, name: &str) {
        self.zone.send_modify(|zone| zone.leave_unsigned(name));
    }

    /// How often a name was asked for, whatever the type and whatever the answer.
    #[must_use]
    pub fn queries(&self, name: &str) -> usize {
        self.zone.borrow().queries(name, None)
    }

    /// How often one type was asked for at a name.
    #[must_use]
    pub fn queries_of(&self, name: &str, record_type: RecordType) -> usize {
        self.zone.borrow().queries(name, Some(record_type.wire()))
    }

    /// How often a name, and all names below it, were asked for, whatever the type.
    #[must_use]
    pub fn questions_below(&self, name: &str) -> usize {
        self.zone.borrow().questions_below(name)
    }

    /// Waits until a name was asked for at least `count` times; the number seen if it was not.
    ///
    /// # Errors
    /// The time was up; the error is how often it was asked for.
    pub async fn wait_for_queries(
        &self,
        name: &str,
        count: usize,
        within: Duration,
    ) -> Result<(), usize> {
        let mut changes = self.zone.subscribe();
        let asked = changes.wait_for(|zone| zone.queries(name, None) >= count);
        let in_time = timeout(within, asked).await.is_ok();
        if in_time { Ok(()) } else { Err(self.queries(name)) }
    }

    fn add(&self, name: &str, data: RData) {
        self.zone.send_modify(|zone| zone.add(name, data));
    }
}

impl RecordType {
    const fn wire(self) -> hickory_proto::rr::RecordType {
        match self {
            Self::A => hickory_proto::rr::RecordType::A,
            Self::Aaaa => hickory_proto::rr::RecordType::AAAA,
            Self::Cname => hickory_proto::rr::RecordType::CNAME,
            Self::Mx => hickory_proto::rr::RecordType::MX,
            Self::Tlsa => hickory_proto::rr::RecordType::TLSA,
            Self::Txt => hickory_proto::rr::RecordType::TXT,
        }
    }
}
