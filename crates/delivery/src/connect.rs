//! TCP connections to the addresses of a host.

use std::collections::HashSet;
use std::io;
use std::net::{IpAddr, SocketAddr};

use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, timeout};

use crate::endpoints::Endpoints;
use crate::failure::SessionFailure;
use crate::limit::SourceAddresses;
use crate::ourselves::is_ours;
use crate::settings::{DeliverySettings, IpPreference};

/// The addresses of a host in the order in which they are tried: the families by turns, the preferred
/// one first, so that a family that is of no use does not take the place of the other (RFC 8305 §4).
/// Each address comes once, in the form in which it is dialled.
pub(crate) fn in_order(addresses: Vec<IpAddr>, settings: &DeliverySettings) -> Vec<IpAddr> {
    let mut seen = HashSet::new();
    let addresses = addresses.into_iter().map(|address| address.to_canonical());
    let (v4, v6): (Vec<_>, Vec<_>) =
        addresses.filter(|address| seen.insert(*address)).partition(IpAddr::is_ipv4);
    match settings.ip_preference {
        IpPreference::Ipv4 => by_turns(v4, v6),
        IpPreference::Ipv4Only => v4,
        IpPreference::Ipv6 => by_turns(v6, v4),
        IpPreference::Ipv6Only => v6,
    }
}

/// One of each by turns, and then what is left of either.
fn by_turns(first: Vec<IpAddr>, second: Vec<IpAddr>) -> Vec<IpAddr> {
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut all = Vec::new();
    loop {
        let before = all.len();
        all.extend(first.next());
        all.extend(second.next());
        if all.len() == before {
            return all;
        }
    }
}

/// Connects to an address of a host from one of these, unless it is our own: then nothing is dialled.
pub(crate) async fn connect(
    address: SocketAddr,
    settings: &DeliverySettings,
    source: SourceAddresses,
) -> Result<(TcpStream, Endpoints), SessionFailure> {
    let address = canonical(address);
    if is_ours(address, &settings.own_addresses) {
        return Err(SessionFailure::Ourselves);
    }
    let stream = match timeout(settings.timeouts.connect, dial(address, source)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(SessionFailure::Connect(error)),
        Err(_elapsed) => return Err(SessionFailure::ConnectTimedOut),
    };
    let own = stream.local_addr().map_err(SessionFailure::Connect)?;
    let since = Some(Instant::now());
    Ok((stream, Endpoints { receiving: Some(address), sending: Some(own.ip()), since }))
}

/// The address that is meant: an IPv4 one may come as an IPv6 one (RFC 4291 §2.5.5.2).
pub(crate) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

async fn dial(address: SocketAddr, source: SourceAddresses) -> io::Result<TcpStream> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    if let Some(source) = source.towards(address) {
        socket.bind(SocketAddr::new(source, 0))?;
    }
    let stream = socket.connect(address).await?;
    // Commands are short and waited for.
    stream.set_nodelay(true)?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use smtp::Domain;
    use tokio::net::TcpListener;
    use tokio::task::JoinSet;
    use tokio::time::Instant;

    use super::*;

    fn settings() -> DeliverySettings {
        DeliverySettings::new(Domain::parse("relay.example.com").unwrap())
    }

    async fn connect(
        address: SocketAddr,
        settings: &DeliverySettings,
    ) -> Result<(TcpStream, Endpoints), SessionFailure> {
        super::connect(address, settings, settings.source).await
    }

    fn from(v4: Option<Ipv4Addr>, v6: Option<Ipv6Addr>) -> DeliverySettings {
        DeliverySettings { source: SourceAddresses { v4, v6 }, ..settings() }
    }

    #[test]
    fn the_families_come_by_turns_the_preferred_one_first() {
        let found = |ip_preference, all: &[&str]| -> Vec<String> {
            let settings = DeliverySettings { ip_preference, ..settings() };
            let all = all.iter().map(|text| text.parse().unwrap()).collect();
            in_order(all, &settings).iter().map(ToString::to_string).collect()
        };
        let many = &["192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8::1"];
        let mapped = &["::ffff:192.0.2.1", "192.0.2.1", "2001:db8::1", "2001:db8::1"];
        for (preference, all, expected) in [
            (IpPreference::Ipv4, many, &["192.0.2.1", "2001:db8::1", "192.0.2.2", "192.0.2.3"][..]),
            (IpPreference::Ipv6, many, &["2001:db8::1", "192.0.2.1", "192.0.2.2", "192.0.2.3"]),
            (IpPreference::Ipv4Only, many, &["192.0.2.1", "192.0.2.2", "192.0.2.3"]),
            (IpPreference::Ipv6Only, many, &["2001:db8::1"]),
            (IpPreference::Ipv6, mapped, &["2001:db8::1", "192.0.2.1"]),
            (IpPreference::Ipv4Only, mapped, &["192.0.2.1"]),
        ] {
            assert_eq!(found(preference, all), expected, "{preference:?} {all:?}");
        }
        assert_eq!(found(IpPreference::Ipv6, &[]), Vec::<String>::new());
    }

    #[tokio::test]
    async fn the_relay_does_not_connect_to_itself() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut settings = settings();
        assert!(connect(address, &settings).await.is_ok());
        settings.own_addresses = vec![address];
        let found = connect(address, &settings).await;
        assert!(matches!(found, Err(SessionFailure::Ourselves)), "{found:?}");
        settings.own_addresses = vec![SocketAddr::from(([0, 0, 0, 0], address.port()))];
        let found = connect(address, &settings).await;
        assert!(matches!(found, Err(SessionFailure::Ourselves)), "{found:?}");
    }

    #[tokio::test]
    async fn an_ipv4_address_in_ipv6_form_is_dialled_and_told_of_as_what_it_is() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mapped = SocketAddr::new("::ffff:127.0.0.1".parse().unwrap(), address.port());
        let source = Ipv4Addr::new(127, 0, 0, 9);
        let mut settings = from(Some(source), None);
        let (_stream, ends) = connect(mapped, &settings).await.unwrap();
        assert_eq!((ends.receiving, ends.sending), (Some(address), Some(source.into())));
        settings.own_addresses = vec![address];
        let found = connect(mapped, &settings).await;
        assert!(matches!(found, Err(SessionFailure::Ourselves)), "{found:?}");
    }

    #[tokio::test]
    async fn a_port_where_nobody_listens_is_no_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let found = connect(address, &settings()).await;
        assert!(matches!(found, Err(SessionFailure::Connect(_))), "{found:?}");
    }

    #[tokio::test]
    async fn a_connection_comes_from_the_source_address_that_is_set() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let settings = from(Some([127, 0, 0, 9].into()), None);
        let (_stream, ends) = connect(address, &settings).await.unwrap();
        assert_eq!(ends.sending, Some(IpAddr::from([127, 0, 0, 9])));
        assert_eq!(listener.accept().await.unwrap().1.ip(), IpAddr::from([127, 0, 0, 9]));
    }

    #[tokio::test]
    async fn a_connection_over_ipv6_comes_from_the_source_address_that_is_set_for_it() {
        let listener = TcpListener::bind("[::1]:0").await;
        let listener = listener.expect("this test needs the IPv6 loopback address");
        let address = listener.local_addr().unwrap();
        let own = Ipv6Addr::LOCALHOST;
        let settings = from(Some([127, 0, 0, 9].into()), Some(own));
        let (_stream, ends) = connect(address, &settings).await.unwrap();
        assert_eq!(ends.receiving, Some(address));
        assert_eq!(ends.sending, Some(own.into()));
        assert_eq!(listener.accept().await.unwrap().1.ip(), IpAddr::from(own));
        // Loopback connections come from that address anyway; one that is not ours shows the bind.
        let settings = from(settings.source.v4, "2001:db8::9".parse().ok());
        let found = connect(address, &settings).await;
        let Err(SessionFailure::Connect(error)) = found else { panic!("{found:?}") };
        assert_eq!(error.kind(), io::ErrorKind::AddrNotAvailable);
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_that_does_not_take_the_connection_is_given_up_when_its_time_is_over() {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        // Nobody accepts: behind a few connections the listener's backlog is full.
        let mut waiting = JoinSet::new();
        for _ in 0..16 {
            waiting.spawn(TcpStream::connect(address));
        }
        tokio::task::yield_now().await;
        let settings = settings();
        let began = Instant::now();
        let found = connect(address, &settings).await;
        assert!(matches!(found, Err(SessionFailure::ConnectTimedOut)), "{found:?}");
        assert_eq!(began.elapsed().as_secs(), settings.timeouts.connect.as_secs());
        drop(listener);
    }
}
