//! How many connections there are, in all and from each client.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Counts connections and gives out places for them.
#[derive(Clone, Debug)]
pub(crate) struct Connections {
    counts: Arc<Mutex<Counts>>,
}

/// Who has how many places, and how many there may be.
#[derive(Debug, Default)]
struct Counts {
    most_in_all: usize,
    most_per_client: usize,
    in_all: usize,
    clients: HashMap<Client, usize>,
}

/// Who a connection is counted for. A host on IPv6 commonly has a network of 64 bits to itself.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Client {
    V4(Ipv4Addr),
    V6Network(u128),
}

/// A connection's place, given back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    counts: Arc<Mutex<Counts>>,
    client: Client,
}

/// There is no place left.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum NoPlace {
    /// The client has as many connections as it may.
    ForClient,
    /// There are as many connections as there may be.
    InAll,
}

impl Connections {
    /// Counts from nought, up to the limits.
    pub(crate) fn new(in_all: usize, per_client: usize) -> Self {
        let connections = Self { counts: Arc::default() };
        connections.limit(in_all, per_client);
        connections
    }

    /// Counts up to other limits from now on; who has a place keeps it.
    pub(crate) fn limit(&self, in_all: usize, per_client: usize) {
        let mut counts = lock(&self.counts);
        (counts.most_in_all, counts.most_per_client) = (in_all, per_client);
    }

    /// A place for one more connection from `peer`.
    pub(crate) fn take(&self, peer: IpAddr) -> Result<Place, NoPlace> {
        let client = Client::of(peer);
        let mut counts = lock(&self.counts);
        if counts.in_all >= counts.most_in_all {
            return Err(NoPlace::InAll);
        }
        let own = counts.clients.get(&client).copied().unwrap_or_default();
        if own >= counts.most_per_client {
            return Err(NoPlace::ForClient);
        }
        counts.in_all = counts.in_all.saturating_add(1);
        counts.clients.insert(client, own.saturating_add(1));
        Ok(Place { counts: Arc::clone(&self.counts), client })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = lock(&self.counts);
        counts.in_all = counts.in_all.saturating_sub(1);
        let left = counts.clients.get(&self.client).copied().unwrap_or_default().saturating_sub(1);
        if left == 0 {
            counts.clients.remove(&self.client);
        } else {
            counts.clients.insert(self.client, left);
        }
    }
}

impl Client {
    /// The client that has the address `peer`.
    pub(crate) const fn of(peer: IpAddr) -> Self {
        match peer.to_canonical() {
            IpAddr::V4(address) => Self::V4(address),
            IpAddr::V6(address) => Self::V6Network(address.to_bits() >> 64),
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

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_place_given_back_can_be_taken_again() {
        let connections = Connections::new(1, 1);
        let place = connections.take(ip("192.0.2.1")).unwrap();
        assert_eq!(connections.take(ip("192.0.2.2")).unwrap_err(), NoPlace::InAll);
        drop(place);
        assert!(connections.take(ip("192.0.2.2")).is_ok());
        assert!(lock(&connections.counts).clients.is_empty());
    }

    #[test]
    fn one_client_cannot_take_the_places_of_the_others() {
        let connections = Connections::new(3, 2);
        let first = connections.take(ip("192.0.2.1"));
        let second = connections.take(ip("::ffff:192.0.2.1"));
        assert!(first.is_ok() && second.is_ok());
        assert_eq!(connections.take(ip("192.0.2.1")).unwrap_err(), NoPlace::ForClient);
        assert!(connections.take(ip("192.0.2.2")).is_ok());
    }

    #[test]
    fn a_network_of_64_bits_is_one_client() {
        let connections = Connections::new(9, 1);
        let first = connections.take(ip("2001:db8:0:1::1"));
        assert!(first.is_ok());
        assert_eq!(connections.take(ip("2001:db8:0:1:ffff::2")).unwrap_err(), NoPlace::ForClient);
        assert!(connections.take(ip("2001:db8:0:2::1")).is_ok());
    }
}
