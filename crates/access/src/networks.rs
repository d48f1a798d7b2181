//! The networks whose hosts may submit.
//!
//! Closed by default: a relay that lists no network admits nobody, and a list that would admit
//! every address there is is refused, for that is an open relay.

use std::net::{IpAddr, Ipv4Addr};

use smtp::ReversePath;

use crate::senders::AllowedSenders;
use crate::submitter::Submitter;

/// The networks whose hosts may submit.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Networks {
    networks: Vec<Network>,
    /// Addresses that may stand for anybody, and so are admitted only when listed by themselves.
    gateways: Vec<IpAddr>,
}

/// Whether a host may submit for the address it has.
#[derive(Debug)]
pub enum Admission {
    /// It may.
    Admitted(Host),
    /// A listed network holds it, but it is a gateway, behind which anybody may be.
    Gateway,
    /// No listed network holds it.
    Unlisted,
}

/// A host that a listed network holds.
///
/// Only [`Networks::judge`] makes one; nothing else can:
///
/// ```compile_fail,E0451
/// fn anybody(peer: std::net::IpAddr) -> access::Host {
///     access::Host { peer, ..todo!() }
/// }
/// ```
///
/// and where it is stays readable:
///
/// ```
/// fn whence(host: &access::Host) -> std::net::IpAddr {
///     host.peer()
/// }
/// ```
#[derive(Debug)]
pub struct Host {
    peer: IpAddr,
    senders: AllowedSenders,
}

/// One network: the addresses that share a prefix, and what their hosts may send from.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Network {
    address: IpAddr,
    prefix: u32,
    senders: AllowedSenders,
}

/// The list of networks cannot be used.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NetworksError {
    /// A network, or all of them together, admit every address of a family.
    #[error("{0}: every address would be admitted, which makes an open relay")]
    AllAddresses(String),
    /// Bits are set beyond the prefix, so it is not clear which network is meant.
    #[error("{given}: bits are set beyond the prefix; {meant} may be meant")]
    HostBits {
        /// What was written.
        given: String,
        /// The network that holds the address.
        meant: String,
    },
    /// A network is listed twice with different senders.
    #[error("{0}: is listed twice, and its senders differ")]
    Senders(String),
    /// Not an address, or an address and a prefix length.
    #[error("{0}: not a network such as 192.0.2.0/24 or 2001:db8::/32")]
    Syntax(String),
}

impl Networks {
    /// Reads networks in CIDR form; a bare address is a network of one.
    ///
    /// # Errors
    ///
    /// [`NetworksError`] for the first entry that is wrong, or for the list that admits everyone.
    pub fn parse<I>(list: I) -> Result<Self, NetworksError>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let all = AllowedSenders::all();
        Self::with_senders(list.into_iter().map(|entry| (entry, all.clone())))
    }

    /// The same for networks whose hosts send from listed addresses alone. Where several networks hold
    /// a host, the smallest of them counts.
    ///
    /// # Errors
    ///
    /// [`NetworksError`] for the first entry that is wrong, or for the list that admits everyone.
    pub fn with_senders<S: AsRef<str>>(
        list: impl IntoIterator<Item = (S, AllowedSenders)>,
    ) -> Result<Self, NetworksError> {
        let mut networks: Vec<Network> = Vec::new();
        for (entry, senders) in list {
            let network = Network { senders, ..Network::parse(entry.as_ref())? };
            let same = networks
                .iter()
                .find(|other| other.address == network.address && other.prefix == network.prefix);
            if same.is_some_and(|other| *other != network) {
                return Err(NetworksError::Senders(entry.as_ref().to_owned()));
            }
            networks.push(network);
        }
        for (family, most) in [("0.0.0.0/0", u128::from(u32::MAX)), ("::/0", u128::MAX)] {
            let is_four = family.contains('.');
            let spans =
                networks.iter().filter(|n| n.address.is_ipv4() == is_four).map(Network::span);
            if covers(spans.collect(), most) {
                return Err(NetworksError::AllAddresses(family.to_owned()));
            }
        }
        Ok(Self { networks, gateways: Vec::new() })
    }

    /// The same, with gateways: where addresses are translated, as in front of containers, clients
    /// from anywhere come with the gateway's address. It is admitted when it is listed by itself,
    /// not for being in a network.
    #[must_use]
    pub fn with_gateways(mut self, gateways: impl IntoIterator<Item = IpAddr>) -> Self {
        self.gateways = gateways.into_iter().map(|address| address.to_canonical()).collect();
        self
    }

    /// Licence for the host at `peer` to submit from any address, if one of the networks holds it and
    /// does not say from which addresses.
    #[must_use]
    pub fn admit(&self, peer: IpAddr) -> Option<Submitter> {
        match self.judge(peer) {
            Admission::Admitted(host) if host.senders.are_all() => {
                Some(Submitter::admitted(host.peer.into(), None))
            }
            Admission::Admitted(_) | Admission::Gateway | Admission::Unlisted => None,
        }
    }

    /// Whether the host at `peer` may submit, with the reason why not.
    #[must_use]
    pub fn judge(&self, peer: IpAddr) -> Admission {
        let address = peer.to_canonical();
        let alone = |network: &&Network| network.prefix == width(network.address);
        let holding = self.networks.iter().filter(|network| network.holds(address));
        match holding.max_by_key(|network| network.prefix) {
            None => Admission::Unlisted,
            Some(network) if self.gateways.contains(&address) && !alone(&network) => {
                Admission::Gateway
            }
            Some(network) => {
                Admission::Admitted(Host { peer: address, senders: network.senders.clone() })
            }
        }
    }

    /// Whether one of the networks holds `peer`.
    #[must_use]
    pub fn hold(&self, peer: IpAddr) -> bool {
        let address = peer.to_canonical();
        self.networks.iter().any(|network| network.holds(address))
    }
}

impl Host {
    /// Its address.
    #[must_use]
    pub const fn peer(&self) -> IpAddr {
        self.peer
    }

    /// The addresses that it may send from.
    #[must_use]
    pub const fn senders(&self) -> &AllowedSenders {
        &self.senders
    }

    /// Licence to submit a message from `path`, if the host may send from there.
    #[must_use]
    pub fn submit(&self, path: &ReversePath) -> Option<Submitter> {
        self.senders.allow(path).then(|| Submitter::admitted(self.peer.into(), None))
    }
}

impl Network {
    /// Reads one network, whose hosts send from any address.
    fn parse(text: &str) -> Result<Self, NetworksError> {
        let syntax = || NetworksError::Syntax(text.to_owned());
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.trim().parse().map_err(|_cause| syntax())?;
        let prefix = match prefix {
            Some(prefix) if prefix.bytes().all(|b| b.is_ascii_digit()) => {
                prefix.parse().map_err(|_cause| syntax())?
            }
            Some(_) => return Err(syntax()),
            None => width(address),
        };
        if prefix > width(address) {
            return Err(syntax());
        }
        Self { address, prefix, senders: AllowedSenders::all() }.canonical().checked(text)
    }

    /// The IPv4 network that an IPv4-mapped one stands for.
    fn canonical(self) -> Self {
        match (self.address.to_canonical(), self.prefix.checked_sub(96)) {
            (IpAddr::V4(address), Some(prefix)) if self.address.is_ipv6() => {
                Self { address: address.into(), prefix, ..self }
            }
            (IpAddr::V4(_) | IpAddr::V6(_), _) => self,
        }
    }

    /// Refuses all addresses and stray bits.
    fn checked(self, text: &str) -> Result<Self, NetworksError> {
        if self.prefix == 0 {
            return Err(NetworksError::AllAddresses(text.to_owned()));
        }
        let (first, _) = self.span();
        if first == bits(self.address) {
            return Ok(self);
        }
        let address = match self.address {
            IpAddr::V4(_) => {
                IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(first).unwrap_or_default()))
            }
            IpAddr::V6(_) => IpAddr::V6(first.into()),
        };
        Err(NetworksError::HostBits {
            given: text.to_owned(),
            meant: format!("{address}/{}", self.prefix),
        })
    }

    /// The first and the last address, as numbers.
    fn span(&self) -> (u128, u128) {
        let free = width(self.address).saturating_sub(self.prefix);
        let mask = u128::MAX.checked_shl(free).unwrap_or(0);
        let first = bits(self.address) & mask;
        (first, first | !mask)
    }

    /// Whether `address` is one of the network's.
    fn holds(&self, address: IpAddr) -> bool {
        let (first, last) = self.span();
        address.is_ipv4() == self.address.is_ipv4() && (first..=last).contains(&bits(address))
    }
}

/// How many bits an address has.
const fn width(address: IpAddr) -> u32 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

/// The address as a number.
fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// Whether the spans together hold every number up to `most`.
fn covers(mut spans: Vec<(u128, u128)>, most: u128) -> bool {
    spans.sort_unstable();
    let mut next = 0;
    for (first, last) in spans {
        if first > next {
            return false;
        }
        if last >= most {
            return true;
        }
        next = next.max(last.saturating_add(1));
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admits(list: &[&str], peer: &str) -> bool {
        Networks::parse(list).unwrap().admit(peer.parse().unwrap()).is_some()
    }

    #[test]
    fn a_host_is_admitted_by_its_network_alone() {
        for (list, peer, admitted) in [
            (&["127.0.0.0/8"][..], "127.0.0.1", true),
            (&["127.0.0.0/8"], "128.0.0.1", false),
            (&["127.0.0.0/8"], "::1", false),
            (&["127.0.0.0/8"], "::ffff:127.0.0.1", true),
            (&["::ffff:10.0.0.0/104"], "10.1.2.3", true),
            (&["::1"], "::1", true),
            (&["::1"], "::2", false),
            (&["192.0.2.7"], "192.0.2.7", true),
            (&["192.0.2.7"], "192.0.2.8", false),
            (&["2001:db8::/33", "192.0.2.0/31"], "2001:db8:7fff::1", true),
            (&["2001:db8::/33", "192.0.2.0/31"], "2001:db8:8000::1", false),
            (&["2001:db8::/33", "192.0.2.0/31"], "192.0.2.1", true),
            (&[], "127.0.0.1", false),
        ] {
            assert_eq!(admits(list, peer), admitted, "{list:?} {peer}");
            let networks = Networks::parse(list).unwrap();
            assert_eq!(networks.hold(peer.parse().unwrap()), admitted, "{list:?} {peer}");
        }
    }

    #[test]
    fn a_gateway_is_admitted_only_when_it_is_listed_by_itself() {
        let gateway: IpAddr = "172.17.0.1".parse().unwrap();
        for (list, admitted) in [
            (&["172.16.0.0/12"][..], false),
            (&["172.17.0.0/31"], false),
            (&["172.17.0.1"], true),
            (&["172.16.0.0/12", "172.17.0.1/32"], true),
        ] {
            let networks = Networks::parse(list).unwrap().with_gateways([gateway]);
            assert_eq!(networks.admit(gateway).is_some(), admitted, "{list:?}");
            assert_eq!(matches!(networks.judge(gateway), Admission::Gateway), !admitted);
        }
        let networks = Networks::parse(["172.16.0.0/12"]).unwrap().with_gateways([gateway]);
        assert!(networks.admit("172.17.0.2".parse().unwrap()).is_some());
        assert!(matches!(networks.judge("192.0.2.1".parse().unwrap()), Admission::Unlisted));
    }

    #[test]
    fn the_smallest_network_that_holds_a_host_says_what_it_sends_from() {
        let senders = |list: &[&str]| AllowedSenders::parse(list).unwrap();
        let networks = Networks::with_senders([
            ("10.0.0.0/8", senders(&["@example.org"])),
            ("10.1.0.0/16", senders(&["app@example.net", "@example.com"])),
            ("10.1.1.1", senders(&["*"])),
        ])
        .unwrap();
        for (peer, from, allowed) in [
            ("10.0.0.1", "<any@example.org>", true),
            ("10.0.0.1", "<app@example.net>", false),
            ("10.1.0.1", "<app@example.net>", true),
            ("10.1.0.1", "<any@example.com>", true),
            ("10.1.0.1", "<any@example.org>", false),
            ("10.1.0.1", "<>", true),
            ("10.1.1.1", "<anybody@anywhere.example>", true),
        ] {
            let Admission::Admitted(host) = networks.judge(peer.parse().unwrap()) else { panic!() };
            let path = ReversePath::parse(from).unwrap();
            assert_eq!(host.submit(&path).is_some(), allowed, "{peer} {from}");
        }
        assert!(networks.admit("10.1.0.1".parse().unwrap()).is_none(), "not from any address");
        assert!(networks.admit("10.1.1.1".parse().unwrap()).is_some());
        let twice = Networks::with_senders([
            ("10.0.0.0/8", senders(&["@example.org"])),
            ("::ffff:10.0.0.0/104", senders(&["*"])),
        ]);
        assert_eq!(twice, Err(NetworksError::Senders("::ffff:10.0.0.0/104".to_owned())));
    }

    #[test]
    fn a_list_that_admits_everyone_is_refused() {
        for list in [
            &["0.0.0.0/0"][..],
            &["::/0"],
            &["192.0.2.0/24", "::ffff:0:0/96"],
            &["0.0.0.0/1", "128.0.0.0/1"],
            &["128.0.0.0/1", "0.0.0.0/2", "64.0.0.0/2"],
            &["8000::/1", "::/1"],
        ] {
            let refused = Networks::parse(list);
            assert!(matches!(refused, Err(NetworksError::AllAddresses(_))), "{list:?}");
        }
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in ["", "localhost", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/+8", "10/8"] {
            let refused = Networks::parse([text]);
            assert_eq!(refused, Err(NetworksError::Syntax(text.to_owned())), "{text}");
        }
    }

    #[test]
    fn stray_bits_are_refused_with_the_network_that_may_be_meant() {
        let refused = Networks::parse(["192.0.2.9/24"]).unwrap_err();
        assert!(refused.to_string().contains("192.0.2.0/24"), "{refused}");
    }
}
