//! TCP connections to the addresses of a host.

use std::cmp::Reverse;
use std::io;
use std::net::{IpAddr, SocketAddr};

use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::failure::SessionFailure;
use crate::session::Ends;
use crate::settings::{DeliverySettings, IpPreference};

/// The addresses an attempt tries, best first.
pub(crate) fn in_order(mut addresses: Vec<IpAddr>, settings: &DeliverySettings) -> Vec<IpAddr> {
    match settings.ip_preference {
        IpPreference::Ipv4 => addresses.sort_by_key(IpAddr::is_ipv6),
        IpPreference::Ipv4Only => addresses.retain(IpAddr::is_ipv4),
        IpPreference::Ipv6 => addresses.sort_by_key(|address| Reverse(address.is_ipv6())),
        IpPreference::Ipv6Only => addresses.retain(IpAddr::is_ipv6),
    }
    addresses.truncate(settings.addresses_per_host);
    addresses
}

/// Connects to an address of a host, unless it is our own.
pub(crate) async fn connect(
    address: SocketAddr,
    settings: &DeliverySettings,
) -> Result<(TcpStream, Ends), SessionFailure> {
    if settings.own_addresses.contains(&address) {
        return Err(SessionFailure::Ourselves);
    }
    let stream = match timeout(settings.timeouts.connect, dial(address, settings)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(SessionFailure::Connect(error)),
        Err(_elapsed) => return Err(SessionFailure::ConnectTimedOut),
    };
    let own = stream.local_addr().map_err(SessionFailure::Connect)?;
    if is_ours(address, own.ip(), settings) {
        return Err(SessionFailure::Ourselves);
    }
    Ok((stream, Ends { receiving: Some(address), sending: Some(own.ip()) }))
}

/// Whether `address` is one we listen on, told by our own end of a connection to it: a listener on
/// all addresses does not know which they are.
fn is_ours(address: SocketAddr, own: IpAddr, settings: &DeliverySettings) -> bool {
    let listens =
        |listener: &SocketAddr| listener.port() == address.port() && listener.ip().is_unspecified();
    own == address.ip() && settings.own_addresses.iter().any(listens)
}

async fn dial(address: SocketAddr, settings: &DeliverySettings) -> io::Result<TcpStream> {
    let (socket, source) = match address {
        SocketAddr::V4(_) => (TcpSocket::new_v4()?, settings.source_address4.map(IpAddr::V4)),
        SocketAddr::V6(_) => (TcpSocket::new_v6()?, settings.source_address6.map(IpAddr::V6)),
    };
    if let Some(source) = source {
        socket.bind(SocketAddr::new(source, 0))?;
    }
    let stream = socket.connect(address).await?;
    // Commands are short and waited for.
    stream.set_nodelay(true)?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use smtp::Domain;
    use tokio::net::TcpListener;
    use tokio::task::JoinSet;
    use tokio::time::Instant;

    use super::*;

    fn settings() -> DeliverySettings {
        DeliverySettings::new(Domain::parse("relay.example.com").unwrap())
    }

    #[test]
    fn the_preferred_family_comes_first_and_the_rest_keeps_its_order() {
        let all: Vec<IpAddr> = ["192.0.2.1", "2001:db8::1", "192.0.2.2", "2001:db8::2"]
            .map(|text| text.parse().unwrap())
            .into();
        for (ip_preference, expected) in [
            (IpPreference::Ipv4, &["192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2"][..]),
            (IpPreference::Ipv6, &["2001:db8::1", "2001:db8::2", "192.0.2.1", "192.0.2.2"]),
            (IpPreference::Ipv4Only, &["192.0.2.1", "192.0.2.2"]),
            (IpPreference::Ipv6Only, &["2001:db8::1", "2001:db8::2"]),
        ] {
            let settings = DeliverySettings { ip_preference, ..settings() };
            let found = in_order(all.clone(), &settings);
            let found: Vec<String> = found.iter().map(ToString::to_string).collect();
            assert_eq!(found, expected);
        }
        let settings = DeliverySettings { addresses_per_host: 1, ..settings() };
        assert_eq!(in_order(all, &settings).len(), 1);
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
        let settings =
            DeliverySettings { source_address4: Some([127, 0, 0, 9].into()), ..settings() };
        let (_stream, ends) = connect(address, &settings).await.unwrap();
        assert_eq!(ends.sending, Some(IpAddr::from([127, 0, 0, 9])));
        assert_eq!(listener.accept().await.unwrap().1.ip(), IpAddr::from([127, 0, 0, 9]));
    }
    /// A listener on the IPv6 loopback address, unless this machine has none.
    #[expect(clippy::print_stderr, reason = "a test says so when it cannot run")]
    async fn over_ipv6() -> Option<TcpListener> {
        let listener = TcpListener::bind("[::1]:0").await;
        if let Err(error) = &listener {
            eprintln!("not tested without IPv6: {error}");
        }
        listener.ok()
    }

    #[tokio::test]
    async fn a_connection_over_ipv6_comes_from_the_source_address_that_is_set_for_it() {
        let Some(listener) = over_ipv6().await else { return };
        let address = listener.local_addr().unwrap();
        let own = Ipv6Addr::LOCALHOST;
        let settings = DeliverySettings {
            source_address4: Some([127, 0, 0, 9].into()),
            source_address6: Some(own),
            ..settings()
        };
        let (_stream, ends) = connect(address, &settings).await.unwrap();
        assert_eq!(ends.receiving, Some(address));
        assert_eq!(ends.sending, Some(own.into()));
        assert_eq!(listener.accept().await.unwrap().1.ip(), IpAddr::from(own));
        // Loopback connections come from that address anyway; one that is not ours shows the bind.
        let settings = DeliverySettings { source_address6: "2001:db8::9".parse().ok(), ..settings };
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
