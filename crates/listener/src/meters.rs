//! How often each client does something, held against what it may.
//!
//! A client that was quiet may do a whole period's worth at once; from then on it is held to the
//! pace (the generic cell rate algorithm: one moment is kept for each client and each thing).

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::connections::Client;
use crate::settings::Rates;

/// From this many clients on, those that are quiet again are forgotten.
const SWEEP_FROM: usize = 1 << 10;

/// More clients are not kept: the newest go unmeasured rather than cost memory without end.
const MOST_CLIENTS: usize = 1 << 18;

/// Something that is counted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Metered {
    /// A wrong password.
    AuthFailure,
    /// A connection.
    Connection,
    /// A TLS handshake.
    Handshake,
    /// A message begun by MAIL.
    Message,
    /// A recipient named by RCPT.
    Recipient,
}

/// The client does something too often.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct TooOften;

/// What all clients did of late.
#[derive(Debug)]
pub(crate) struct Meters {
    clients: Mutex<Table>,
}

/// The clients that were seen of late.
#[derive(Debug)]
struct Table {
    rates: Rates,
    clients: HashMap<Client, Moments>,
    sweep_at: usize,
}

/// For each thing the moment until which the client has used up its pace.
#[derive(Clone, Copy, Debug, Default)]
struct Moments([Option<Instant>; 5]);

impl Meters {
    /// Counts from nought.
    pub(crate) fn new(rates: Rates) -> Self {
        let table = Table { rates, clients: HashMap::new(), sweep_at: SWEEP_FROM };
        Self { clients: Mutex::new(table) }
    }

    /// Holds clients to other rates from now on.
    pub(crate) fn pace(&self, rates: Rates) {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner).rates = rates;
    }

    /// Counts one thing that `peer` does, unless it does so too often.
    pub(crate) fn take(&self, peer: IpAddr, what: Metered) -> Result<(), TooOften> {
        self.measure(peer, what, Keep::Counted)
    }

    /// Whether `peer` may do one thing more.
    pub(crate) fn ask(&self, peer: IpAddr, what: Metered) -> Result<(), TooOften> {
        self.measure(peer, what, Keep::Asked)
    }

    fn measure(&self, peer: IpAddr, what: Metered, keep: Keep) -> Result<(), TooOften> {
        let mut table = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let (most, period) = what.pace(&table.rates);
        if most == 0 {
            return Ok(());
        }
        let (step, now) = (period / most, Instant::now());
        let client = Client::of(peer);
        let mut moments = table.clients.get(&client).copied().unwrap_or_default();
        let Some(moment) = moments.0.get_mut(what.place()) else { return Ok(()) };
        let used = moment.map_or(now, |used| used.max(now));
        if used.duration_since(now).saturating_add(step) > period {
            return Err(TooOften);
        }
        if keep == Keep::Counted {
            *moment = Some(used + step);
            table.keep(client, moments, now);
        }
        Ok(())
    }
}

/// Whether a thing is counted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Keep {
    Asked,
    Counted,
}

impl Metered {
    /// How many there may be in how long; none is no limit.
    const fn pace(self, rates: &Rates) -> (u32, Duration) {
        let minute = Duration::from_secs(60);
        match self {
            Self::AuthFailure => (rates.auth_failures, Duration::from_secs(900)),
            Self::Connection => (rates.connections, minute),
            Self::Handshake => (rates.tls_handshakes, minute),
            Self::Message => (rates.messages, minute),
            Self::Recipient => (rates.recipients, minute),
        }
    }

    /// Its place among the moments.
    const fn place(self) -> usize {
        match self {
            Self::AuthFailure => 0,
            Self::Connection => 1,
            Self::Handshake => 2,
            Self::Message => 3,
            Self::Recipient => 4,
        }
    }
}

impl Table {
    /// Keeps a client's moments.
    fn keep(&mut self, client: Client, moments: Moments, now: Instant) {
        if self.clients.len() >= self.sweep_at {
            self.clients.retain(|_, moments| moments.0.iter().flatten().any(|used| *used > now));
            self.sweep_at = self.clients.len().saturating_mul(2).max(SWEEP_FROM);
        }
        if self.clients.len() < MOST_CLIENTS || self.clients.contains_key(&client) {
            self.clients.insert(client, moments);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn meters() -> Meters {
        Meters::new(Rates { messages: 3, connections: 0, ..Rates::default() })
    }

    #[tokio::test(start_paused = true)]
    async fn a_quiet_client_may_do_a_minutes_worth_at_once_and_then_keeps_the_pace() {
        let (meters, peer) = (meters(), ip("192.0.2.1"));
        for _ in 0..3 {
            assert_eq!(meters.ask(peer, Metered::Message), Ok(()));
            assert_eq!(meters.take(peer, Metered::Message), Ok(()));
        }
        assert_eq!(meters.ask(peer, Metered::Message), Err(TooOften));
        assert_eq!(meters.take(peer, Metered::Message), Err(TooOften));
        assert_eq!(meters.take(ip("192.0.2.2"), Metered::Message), Ok(()));
        tokio::time::advance(Duration::from_secs(20)).await;
        assert_eq!(meters.take(peer, Metered::Message), Ok(()));
        assert_eq!(meters.take(peer, Metered::Message), Err(TooOften));
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_of_nought_is_no_limit() {
        let meters = meters();
        assert!((0..9).all(|_| meters.take(ip("::1"), Metered::Connection).is_ok()));
    }

    #[tokio::test(start_paused = true)]
    async fn clients_that_are_quiet_again_are_forgotten() {
        let meters = meters();
        for number in 0..4 * SWEEP_FROM {
            let peer = IpAddr::from((u128::try_from(number).unwrap() << 64).to_be_bytes());
            assert_eq!(meters.take(peer, Metered::Message), Ok(()));
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert!(meters.clients.lock().unwrap().clients.len() <= 2 * SWEEP_FROM);
    }
}
