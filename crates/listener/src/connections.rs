//! How many connections there are, in all and from each client.
//!
//! Half of the room is kept for clients that are admitted: those of listed networks, and users once
//! they have logged in. Anybody else gets at most the other half, and from one address a tenth of
//! what an admitted client may have. So strangers, however many addresses they have, keep nobody out
//! whose network is listed, and one address keeps few of the others out.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use access::Peer;
use tokio::time::Instant;

/// Of so many connections one is for clients that are not admitted.
const UNADMITTED_IN_ALL: usize = 2;

/// Of so many connections of one client one may be of a client that is not admitted.
const UNADMITTED_PER_CLIENT: usize = 10;

/// Counts connections and gives out permits for them.
#[derive(Clone, Debug)]
pub(crate) struct Connections {
    counts: Arc<Mutex<Counts>>,
}

/// Whether a client may hand in mail.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ClientClass {
    /// Its network is listed, or it has logged in.
    Admitted,
    /// Neither, or not yet.
    Unadmitted,
}

/// Who has how many permits, and how many there may be.
#[derive(Debug, Default)]
struct Counts {
    most_in_all: usize,
    most_per_client: usize,
    in_all: Taken,
    clients: HashMap<Client, Taken>,
}

/// How many permits are taken.
#[derive(Clone, Copy, Debug, Default)]
struct Taken {
    all: usize,
    /// Those of clients that are not admitted.
    unadmitted: usize,
}

/// Who a connection is counted for. A host on IPv6 commonly has a network of 64 bits to itself.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Client {
    /// A user of this machine, by number.
    Local(u32),
    V4(Ipv4Addr),
    V6Network(u128),
}

/// A connection's permit, given back when dropped.
#[derive(Debug)]
pub(crate) struct ConnectionPermit {
    counts: Arc<Mutex<Counts>>,
    client: Client,
    class: ClientClass,
    since: Instant,
}

/// There is no permit left.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum NoPermit {
    /// The client has as many connections as it may.
    ForClient,
    /// There are as many connections as there may be.
    InAll,
}

impl Connections {
    /// Counts from zero, up to the limits.
    pub(crate) fn new(in_all: usize, per_client: usize) -> Self {
        let connections = Self { counts: Arc::default() };
        connections.limit(in_all, per_client);
        connections
    }

    /// Counts up to other limits from now on; who has a permit keeps it.
    pub(crate) fn limit(&self, in_all: usize, per_client: usize) {
        let mut counts = lock(&self.counts);
        (counts.most_in_all, counts.most_per_client) = (in_all, per_client);
    }

    /// A permit for one more connection from `peer`.
    pub(crate) fn take(
        &self,
        peer: Peer,
        class: ClientClass,
    ) -> Result<ConnectionPermit, NoPermit> {
        let client = Client::of(peer);
        let mut counts = lock(&self.counts);
        let own = counts.clients.get(&client).copied().unwrap_or_default();
        if counts.in_all.is_full(class, counts.most_in_all, UNADMITTED_IN_ALL) {
            return Err(NoPermit::InAll);
        }
        if own.is_full(class, counts.most_per_client, UNADMITTED_PER_CLIENT) {
            return Err(NoPermit::ForClient);
        }
        counts.in_all.add(class);
        counts.clients.entry(client).or_default().add(class);
        drop(counts);
        Ok(ConnectionPermit {
            counts: Arc::clone(&self.counts),
            client,
            class,
            since: Instant::now(),
        })
    }
}

impl ConnectionPermit {
    /// Whether the client may hand in mail.
    pub(crate) const fn class(&self) -> ClientClass {
        self.class
    }

    /// When the permit was taken.
    pub(crate) const fn since(&self) -> Instant {
        self.since
    }

    /// The client has logged in: its connection is one of those that room is kept for.
    pub(crate) fn admit(&mut self) {
        if self.class == ClientClass::Unadmitted {
            self.class = ClientClass::Admitted;
            let mut counts = lock(&self.counts);
            counts.in_all.admit();
            counts.clients.entry(self.client).or_default().admit();
        }
    }

    /// Whether more than half of the room for clients that are not admitted is taken.
    pub(crate) fn is_crowded(&self) -> bool {
        let counts = lock(&self.counts);
        counts.in_all.unadmitted > share(counts.most_in_all, UNADMITTED_IN_ALL) / 2
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        let mut counts = lock(&self.counts);
        counts.in_all.remove(self.class);
        let own = counts.clients.entry(self.client).or_default();
        own.remove(self.class);
        if own.all == 0 {
            counts.clients.remove(&self.client);
        }
    }
}

impl Taken {
    /// Whether one more is too many, where there may be `most` and one in `of` unadmitted.
    fn is_full(self, class: ClientClass, most: usize, of: usize) -> bool {
        let all = self.all >= most;
        match class {
            ClientClass::Admitted => all,
            ClientClass::Unadmitted => all || self.unadmitted >= share(most, of),
        }
    }

    const fn add(&mut self, class: ClientClass) {
        self.all = self.all.saturating_add(1);
        if matches!(class, ClientClass::Unadmitted) {
            self.unadmitted = self.unadmitted.saturating_add(1);
        }
    }

    const fn remove(&mut self, class: ClientClass) {
        self.all = self.all.saturating_sub(1);
        if matches!(class, ClientClass::Unadmitted) {
            self.unadmitted = self.unadmitted.saturating_sub(1);
        }
    }

    const fn admit(&mut self) {
        self.unadmitted = self.unadmitted.saturating_sub(1);
    }
}

/// One in `of`, at least one: whoever must log in has to be able to connect.
fn share(most: usize, of: usize) -> usize {
    most.checked_div(of).unwrap_or(most).max(1)
}

impl Client {
    /// The client at `peer`.
    pub(crate) const fn of(peer: Peer) -> Self {
        match peer {
            Peer::Local(uid) => Self::Local(uid),
            Peer::Network(address) => match address.to_canonical() {
                IpAddr::V4(address) => Self::V4(address),
                IpAddr::V6(address) => Self::V6Network(address.to_bits() >> 64),
            },
        }
    }
}

/// A count is right even when a task panicked while it held the lock: each change is one step.
fn lock(counts: &Mutex<Counts>) -> MutexGuard<'_, Counts> {
    counts.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> Peer {
        Peer::Network(text.parse().unwrap())
    }

    #[test]
    fn a_place_given_back_can_be_taken_again() {
        let connections = Connections::new(1, 1);
        let permit = connections.take(ip("192.0.2.1"), ClientClass::Admitted).unwrap();
        assert_eq!(
            connections.take(ip("192.0.2.2"), ClientClass::Admitted).unwrap_err(),
            NoPermit::InAll
        );
        drop(permit);
        assert!(connections.take(ip("192.0.2.2"), ClientClass::Admitted).is_ok());
        assert!(lock(&connections.counts).clients.is_empty());
    }

    #[test]
    fn one_client_cannot_take_the_places_of_the_others() {
        let connections = Connections::new(3, 2);
        let first = connections.take(ip("192.0.2.1"), ClientClass::Admitted);
        let second = connections.take(ip("::ffff:192.0.2.1"), ClientClass::Admitted);
        assert!(first.is_ok() && second.is_ok());
        assert_eq!(
            connections.take(ip("192.0.2.1"), ClientClass::Admitted).unwrap_err(),
            NoPermit::ForClient
        );
        assert!(connections.take(ip("192.0.2.2"), ClientClass::Admitted).is_ok());
    }

    #[test]
    fn a_network_of_64_bits_is_one_client() {
        let connections = Connections::new(9, 1);
        let first = connections.take(ip("2001:db8:0:1::1"), ClientClass::Admitted);
        assert!(first.is_ok());
        assert_eq!(
            connections.take(ip("2001:db8:0:1:ffff::2"), ClientClass::Admitted).unwrap_err(),
            NoPermit::ForClient
        );
        assert!(connections.take(ip("2001:db8:0:2::1"), ClientClass::Admitted).is_ok());
    }

    #[test]
    fn strangers_from_any_number_of_addresses_leave_half_of_the_room() {
        let connections = Connections::new(100, 50);
        let mut permits = Vec::new();
        for address in 0..200_u32 {
            let peer = Peer::Network(Ipv4Addr::from_bits(0xc000_0200 + address).into());
            while let Ok(permit) = connections.take(peer, ClientClass::Unadmitted) {
                permits.push(permit);
            }
        }
        assert_eq!(permits.len(), 50);
        let refused = connections.take(ip("198.51.100.1"), ClientClass::Unadmitted);
        assert_eq!(refused.unwrap_err(), NoPermit::InAll);
        for _ in 0..50 {
            permits.push(connections.take(ip("198.51.100.1"), ClientClass::Admitted).unwrap());
        }
    }

    #[test]
    fn one_stranger_has_a_tenth_of_what_an_admitted_client_has() {
        let connections = Connections::new(100, 50);
        let permits: Vec<_> =
            (0..5).map(|_| connections.take(ip("::1"), ClientClass::Unadmitted).unwrap()).collect();
        let refused = connections.take(ip("::2"), ClientClass::Unadmitted).unwrap_err();
        assert_eq!(refused, NoPermit::ForClient);
        assert!(!permits[0].is_crowded());
        // Whoever shares the address and is admitted is not kept out by it.
        assert!(connections.take(ip("::3"), ClientClass::Admitted).is_ok());
    }

    #[test]
    fn who_logs_in_leaves_the_room_of_strangers() {
        let connections = Connections::new(4, 20);
        let mut first = connections.take(ip("192.0.2.1"), ClientClass::Unadmitted).unwrap();
        let second = connections.take(ip("192.0.2.1"), ClientClass::Unadmitted).unwrap();
        assert!(second.is_crowded());
        assert!(connections.take(ip("192.0.2.2"), ClientClass::Unadmitted).is_err());
        first.admit();
        first.admit();
        assert!(!second.is_crowded());
        assert!(connections.take(ip("192.0.2.2"), ClientClass::Unadmitted).is_ok());
        drop((first, second));
        assert!(lock(&connections.counts).clients.is_empty());
        assert_eq!(lock(&connections.counts).in_all.all, 0);
    }
}
