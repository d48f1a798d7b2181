//! Which servers are asked, for how long, and whom to believe.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use hickory_resolver::system_conf::parse_resolv_conf;
use smtp::Domain;
use tracing::warn;

/// The port of the DNS (RFC 1035 §4.2).
const DNS_PORT: u16 = 53;

/// Where Docker has its forwarder in each container.
const DOCKER_FORWARDER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 11));

/// Where the machine keeps the addresses of its resolvers.
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// How a [`Resolver`](crate::Resolver) finds its answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsSettings {
    /// The recursive resolvers, in the order in which they are tried; none means those of
    /// `/etc/resolv.conf`.
    pub servers: Vec<SocketAddr>,
    /// Whose word on DNSSEC counts.
    pub dnssec: Dnssec,
    /// A name whose signatures are known to be wrong, which a resolver that validates does not resolve;
    /// none: it is not asked for.
    pub bogus_probe: Option<Domain>,
    /// The longest that one lookup takes, whatever happens; more than five minutes count as five.
    pub timeout: Duration,
    /// How often a silent server is tried within that time; 0 counts as 1.
    pub attempts: u32,
}

impl DnsSettings {
    /// The default of [`Self::bogus_probe`]: a domain that is kept for this purpose.
    pub const BOGUS_PROBE: &str = "dnssec-failed.org";
}

impl Default for DnsSettings {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            dnssec: Dnssec::Auto,
            bogus_probe: Domain::parse(Self::BOGUS_PROBE).ok(),
            timeout: Duration::from_secs(10),
            attempts: 2,
        }
    }
}

/// When an answer's AD bit (RFC 4035 §3.2.3) is believed.
///
/// The bit is worth as much as the path to the resolver: on the way from another machine, anyone may
/// set it (RFC 4035 §4.9.3). Validation in this process is not offered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Dnssec {
    /// That of servers on this machine's loopback, but Docker's: at 127.0.0.11 in every container is a
    /// forwarder, which validates nothing and passes on what any resolver says. While one of them
    /// validates, no other is asked: otherwise whoever silences it would decide that nothing is secure.
    #[default]
    Auto,
    /// Never, and no signatures are asked for.
    Off,
    /// Always: the operator vouches for the path to the servers.
    TrustAd,
}

impl Dnssec {
    /// Whether the AD bit of this server counts, once it has passed the self-test.
    #[must_use]
    pub fn trusts(self, server: SocketAddr) -> bool {
        match self {
            Self::Auto => is_near(server.ip().to_canonical()),
            Self::Off => false,
            Self::TrustAd => true,
        }
    }
}

/// Whether a resolver at `address` is a program of this machine that may have validated.
fn is_near(address: IpAddr) -> bool {
    address.is_loopback() && address != DOCKER_FORWARDER
}

/// Why there is no resolver.
#[derive(Debug, thiserror::Error)]
pub enum ResolverError {
    /// The machine's own settings cannot be read.
    #[error("cannot read {RESOLV_CONF}: {source}")]
    Unreadable {
        /// What the system says.
        source: io::Error,
    },
    /// The machine's own settings make no sense.
    #[error("cannot parse {RESOLV_CONF}: {reason}")]
    Unintelligible {
        /// What is wrong with them.
        reason: String,
    },
}

/// The machine's own resolvers.
pub(crate) fn system_servers() -> Result<Vec<SocketAddr>, ResolverError> {
    read_servers(Path::new(RESOLV_CONF))
}

/// The resolvers that a file in the format of resolv.conf(5) names; the one on this machine if the
/// file is missing or names none, as that page has it.
fn read_servers(file: &Path) -> Result<Vec<SocketAddr>, ResolverError> {
    let text = match std::fs::read(file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(source) => return Err(ResolverError::Unreadable { source }),
    };
    if !names_a_server(&text) {
        warn!(file = %file.display(), "no resolver configured: using the one on this machine");
        return Ok(vec![SocketAddr::from((Ipv4Addr::LOCALHOST, DNS_PORT))]);
    }
    let (config, _) = parse_resolv_conf(text)
        .map_err(|error| ResolverError::Unintelligible { reason: error.to_string() })?;
    Ok(config.name_servers().iter().map(|server| at_dns_port(server.ip)).collect())
}

fn names_a_server(text: &[u8]) -> bool {
    text.split(|octet| *octet == b'\n').any(|line| line.trim_ascii().starts_with(b"nameserver"))
}

const fn at_dns_port(ip: IpAddr) -> SocketAddr {
    SocketAddr::new(ip, DNS_PORT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers(text: &str) -> Result<Vec<SocketAddr>, ResolverError> {
        let file = std::env::temp_dir().join(format!("resolv-{:x}.conf", rand::random::<u64>()));
        std::fs::write(&file, text).unwrap();
        let servers = read_servers(&file);
        std::fs::remove_file(&file).unwrap();
        servers
    }

    #[test]
    fn the_servers_of_resolv_conf_are_asked_in_their_order() {
        let text = "# by hand\nsearch -- lan\nnameserver 192.0.2.53\noptions trust-ad ndots:5\n\
                    nameserver 2001:db8::53\n";
        assert_eq!(
            servers(text).unwrap(),
            ["192.0.2.53:53".parse().unwrap(), "[2001:db8::53]:53".parse().unwrap()]
        );
    }

    #[test]
    fn without_a_server_in_resolv_conf_the_one_on_this_machine_is_asked() {
        let local: SocketAddr = "127.0.0.1:53".parse().unwrap();
        assert_eq!(servers("search example.org\n").unwrap(), [local]);
        assert_eq!(read_servers(Path::new("/nonexistent/resolv.conf")).unwrap(), [local]);
    }

    #[test]
    fn a_resolv_conf_that_cannot_be_read_is_an_error() {
        assert!(matches!(read_servers(Path::new("/")), Err(ResolverError::Unreadable { .. })));
        assert!(matches!(
            servers("nameserver nonsense\n"),
            Err(ResolverError::Unintelligible { .. })
        ));
    }

    #[test]
    fn the_ad_bit_counts_from_loopback_alone_unless_the_operator_says_so() {
        let near: SocketAddr = "127.0.0.53:53".parse().unwrap();
        let near6: SocketAddr = "[::1]:53".parse().unwrap();
        let far: SocketAddr = "192.0.2.53:53".parse().unwrap();
        assert!(Dnssec::Auto.trusts(near) && Dnssec::Auto.trusts(near6));
        assert!(!Dnssec::Auto.trusts(far));
        let docker: SocketAddr = "127.0.0.11:53".parse().unwrap();
        let docker6: SocketAddr = "[::ffff:127.0.0.11]:53".parse().unwrap();
        assert!(!Dnssec::Auto.trusts(docker) && !Dnssec::Auto.trusts(docker6));
        assert!(Dnssec::TrustAd.trusts(docker) && Dnssec::TrustAd.trusts(far));
        assert!(!Dnssec::Off.trusts(near));
    }
}
