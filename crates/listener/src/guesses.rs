//! How often a user's password is guessed, from wherever that is done.
//!
//! A client is held to its own limit by its address ([`Meters`](crate::meters)); many addresses
//! together are held to this one. It must not become a way to keep the user out: a client from where
//! the user has logged in before, and one of a listed network, is not counted.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use access::Peer;
use tokio::time::Instant;

use crate::connections::{Client, ClientClass};
use crate::meters::{Pace, TooOften};

/// How many clients' worth of wrong passwords one user may be sent.
const CLIENTS_WORTH: u32 = 10;

/// From how many clients a user is remembered to have logged in; those used last are.
const MOST_HOMES: usize = 32;

/// The guesses at the passwords of users that there are; so there are no more than users.
#[derive(Debug, Default)]
pub(crate) struct Guesses(Mutex<HashMap<String, Guessed>>);

/// What was guessed of one user.
#[derive(Debug, Default)]
struct Guessed {
    /// Until when the pace is used up.
    used: Option<Instant>,
    /// From where the user has logged in, those used last at the end.
    homes: Vec<Client>,
}

impl Guesses {
    /// Counts a password that is sent for a user before it is looked at, unless there were too many
    /// wrong ones.
    pub(crate) fn take(
        &self,
        user: &str,
        peer: Peer,
        class: ClientClass,
        of_one_client: Pace,
    ) -> Result<(), TooOften> {
        let mut users = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let guessed = users.entry(user.to_owned()).or_default();
        if class == ClientClass::Admitted || guessed.homes.contains(&Client::of(peer)) {
            return Ok(());
        }
        guessed.used = of_one_client.times(CLIENTS_WORTH).after(guessed.used, Instant::now())?;
        Ok(())
    }

    /// The password that was counted is right.
    pub(crate) fn give_back(
        &self,
        user: &str,
        peer: Peer,
        class: ClientClass,
        of_one_client: Pace,
    ) {
        let mut users = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let guessed = users.entry(user.to_owned()).or_default();
        let client = Client::of(peer);
        let known = guessed.homes.iter().position(|home| *home == client);
        if class == ClientClass::Unadmitted && known.is_none() {
            let pace = of_one_client.times(CLIENTS_WORTH);
            guessed.used = guessed.used.and_then(|used| pace.before(used));
        }
        if let Some(place) = known {
            guessed.homes.remove(place);
        } else if guessed.homes.len() >= MOST_HOMES {
            guessed.homes.remove(0);
        }
        guessed.homes.push(client);
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::time::Duration;

    use super::*;
    use crate::meters::Meters;
    use crate::settings::Rates;

    fn stranger(number: u8) -> Peer {
        IpAddr::from([192, 0, 2, number]).into()
    }

    #[tokio::test(start_paused = true)]
    async fn many_addresses_together_guess_as_much_as_ten_and_lock_nobody_out() {
        let guesses = Guesses::default();
        let pace = Meters::new(Rates { auth_failures: 2, ..Rates::default() }).auth_failures();
        let take = |number, class| guesses.take("ann", stranger(number), class, pace);
        let home = 200;
        assert_eq!(take(home, ClientClass::Unadmitted), Ok(()));
        guesses.give_back("ann", stranger(home), ClientClass::Unadmitted, pace);
        let taken =
            (0..100).filter(|number| take(*number, ClientClass::Unadmitted).is_ok()).count();
        assert_eq!(taken, 20);
        assert_eq!(take(home, ClientClass::Unadmitted), Ok(()));
        assert_eq!(take(101, ClientClass::Admitted), Ok(()));
        assert_eq!(guesses.take("bob", stranger(1), ClientClass::Unadmitted, pace), Ok(()));
        tokio::time::advance(Duration::from_secs(900 / 20)).await;
        assert_eq!(take(102, ClientClass::Unadmitted), Ok(()));
        assert_eq!(take(102, ClientClass::Unadmitted), Err(TooOften));
    }
}
