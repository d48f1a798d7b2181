//! How often somebody may give a wrong password: counted before it is checked, so that many at once are
//! no way around it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use tokio::time::Instant;

/// So many wrong passwords of one client for one name within [`WINDOW`].
const MOST: u32 = 5;

/// For so long they are counted, and so long lasts the wait.
const WINDOW: Duration = Duration::from_secs(15 * 60);

/// So many clients and names are told apart; those beyond share one count.
const APART: usize = 4_096;

/// Wrong passwords.
#[derive(Debug, Default)]
pub(crate) struct FailedLogins {
    counts: HashMap<Key, Count>,
}

/// Whose wrong passwords.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
enum Key {
    Of(IpAddr, String),
    /// All for whom there is no room.
    Others,
}

#[derive(Clone, Copy, Debug)]
struct Count {
    tries: u32,
    since: Instant,
}

impl FailedLogins {
    /// Counts a try that may turn out to be wrong; how long to wait where there were too many.
    pub(crate) fn count(
        &mut self,
        client: IpAddr,
        name: &str,
        now: Instant,
    ) -> Result<(), Duration> {
        self.counts.retain(|_, count| now.saturating_duration_since(count.since) < WINDOW);
        let own = key(client, name);
        let is_room = self.counts.contains_key(&own) || self.counts.len() < APART;
        let key = if is_room { own } else { Key::Others };
        let count = self.counts.entry(key).or_insert(Count { tries: 0, since: now });
        if count.tries >= MOST {
            return Err(WINDOW.saturating_sub(now.saturating_duration_since(count.since)));
        }
        count.tries = count.tries.saturating_add(1);
        Ok(())
    }

    /// The password was right.
    pub(crate) fn forget(&mut self, client: IpAddr, name: &str) {
        self.counts.remove(&key(client, name));
    }
}

/// A client is its address, or of IPv6 its network of 64 bits: one client has all of those.
fn key(client: IpAddr, name: &str) -> Key {
    let client = match client.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() & (u128::MAX << 64)).into()),
    };
    Key::Of(client, name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_wrong_passwords_make_one_client_wait_for_one_name() {
        let begun = Instant::now();
        let mut failed = FailedLogins::default();
        let client: IpAddr = "192.0.2.7".parse().unwrap();
        assert!((0..5).all(|_| failed.count(client, "ann", begun).is_ok()));
        assert_eq!(failed.count(client, "ann", begun), Err(WINDOW));
        assert!(failed.count(client, "bob", begun).is_ok());
        assert!(failed.count("192.0.2.8".parse().unwrap(), "ann", begun).is_ok());
        let later = begun + Duration::from_secs(14 * 60);
        assert_eq!(failed.count(client, "ann", later), Err(Duration::from_secs(60)));
        assert!(failed.count(client, "ann", begun + WINDOW).is_ok());
    }

    #[test]
    fn the_addresses_of_one_network_are_one_client_and_a_right_password_ends_the_count() {
        let now = Instant::now();
        let mut failed = FailedLogins::default();
        for last in 1..=5 {
            let client = format!("2001:db8::{last}").parse().unwrap();
            assert!(failed.count(client, "ann", now).is_ok());
        }
        let client: IpAddr = "2001:db8::9".parse().unwrap();
        assert!(failed.count(client, "ann", now).is_err());
        failed.forget(client, "ann");
        assert!(failed.count(client, "ann", now).is_ok());
    }

    #[test]
    fn more_names_than_are_told_apart_share_a_count() {
        let now = Instant::now();
        let mut failed = FailedLogins::default();
        let client: IpAddr = "192.0.2.7".parse().unwrap();
        for number in 0..APART {
            assert!(failed.count(client, &number.to_string(), now).is_ok());
        }
        assert!((0..5).all(|number| failed.count(client, &format!("new{number}"), now).is_ok()));
        assert!(failed.count(client, "another", now).is_err());
        assert_eq!(failed.counts.len(), APART + 1);
    }
}
