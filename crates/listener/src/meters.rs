//! How often each client does something, held against what it may.
//!
//! A client that was quiet may do a whole period's worth at once; from then on it is held to the
//! pace (the generic cell rate algorithm: one moment is kept for each client and each thing).

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use access::Peer;
use tokio::time::Instant;

use crate::connections::Client;
use crate::settings::Rates;

/// From this many clients on, those that are quiet again are forgotten.
const SWEEP_FROM: usize = 1 << 10;

/// How long the table is not looked through again.
const SWEEP_PAUSE: Duration = Duration::from_secs(1);

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

/// What all clients did lately.
#[derive(Debug)]
pub(crate) struct Meters {
    clients: Mutex<Table>,
}

/// The clients that were seen lately.
#[derive(Debug)]
struct Table {
    rates: Rates,
    clients: HashMap<Client, Moments>,
    sweep_at: usize,
    /// A table of clients that are all busy is not looked through for each of them.
    sweep_after: Instant,
}

/// For each thing the moment until which the client has used up its pace.
#[derive(Clone, Copy, Debug, Default)]
struct Moments([Option<Instant>; 5]);

impl Meters {
    /// Counts from zero.
    pub(crate) fn new(rates: Rates) -> Self {
        let table = Table {
            rates,
            clients: HashMap::new(),
            sweep_at: SWEEP_FROM,
            sweep_after: Instant::now(),
        };
        Self { clients: Mutex::new(table) }
    }

    /// Holds clients to other rates from now on.
    pub(crate) fn pace(&self, rates: Rates) {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner).rates = rates;
    }

    /// One thing that was counted was none.
    pub(crate) fn give_back(&self, peer: Peer, what: Metered) {
        let mut table = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let pace = what.pace(&table.rates);
        let moments = table.clients.get_mut(&Client::of(peer));
        if let Some(moment) = moments.and_then(|moments| moments.0.get_mut(what.place())) {
            *moment = moment.and_then(|used| pace.before(used));
        }
    }

    /// How many wrong passwords one client may send in how long.
    pub(crate) fn auth_failures(&self) -> Pace {
        Metered::AuthFailure
            .pace(&self.clients.lock().unwrap_or_else(PoisonError::into_inner).rates)
    }

    /// Counts one thing that `peer` does, unless it does so too often.
    pub(crate) fn take(&self, peer: Peer, what: Metered) -> Result<(), TooOften> {
        self.measure(peer, what, Keep::Counted)
    }

    /// Whether `peer` may do one thing more.
    pub(crate) fn ask(&self, peer: Peer, what: Metered) -> Result<(), TooOften> {
        self.measure(peer, what, Keep::Asked)
    }

    fn measure(&self, peer: Peer, what: Metered, keep: Keep) -> Result<(), TooOften> {
        let mut table = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let (pace, now) = (what.pace(&table.rates), Instant::now());
        let client = Client::of(peer);
        let mut moments = table.clients.get(&client).copied().unwrap_or_default();
        let Some(moment) = moments.0.get_mut(what.place()) else { return Ok(()) };
        let used = pace.after(*moment, now)?;
        if keep == Keep::Counted && used.is_some() {
            *moment = used;
            table.keep(client, moments, now);
        }
        Ok(())
    }
}

/// How many things there may be in how long; none is no limit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    most: u32,
    period: Duration,
}

impl Pace {
    /// The same for so many times as many.
    pub(crate) const fn times(self, factor: u32) -> Self {
        Self { most: self.most.saturating_mul(factor), ..self }
    }

    /// Until when the pace is used up after one thing more; none where there is no limit.
    pub(crate) fn after(
        self,
        moment: Option<Instant>,
        now: Instant,
    ) -> Result<Option<Instant>, TooOften> {
        let Some(step) = self.step() else { return Ok(None) };
        let used = moment.map_or(now, |used| used.max(now));
        if used.duration_since(now).saturating_add(step) > self.period {
            return Err(TooOften);
        }
        Ok(Some(used + step))
    }

    /// Until when it is used up with one thing less.
    pub(crate) fn before(self, used: Instant) -> Option<Instant> {
        used.checked_sub(self.step().unwrap_or_default())
    }

    fn step(self) -> Option<Duration> {
        self.period.checked_div(self.most)
    }
}

/// Whether a thing is counted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Keep {
    Asked,
    Counted,
}

impl Metered {
    /// How many there may be in how long.
    const fn pace(self, rates: &Rates) -> Pace {
        let minute = Duration::from_secs(60);
        let (most, period) = match self {
            Self::AuthFailure => (rates.auth_failures, Duration::from_secs(900)),
            Self::Connection => (rates.connections, minute),
            Self::Handshake => (rates.tls_handshakes, minute),
            Self::Message => (rates.messages, minute),
            Self::Recipient => (rates.recipients, minute),
        };
        Pace { most, period }
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
        if self.clients.len() >= self.sweep_at && now >= self.sweep_after {
            self.clients.retain(|_, moments| moments.0.iter().flatten().any(|used| *used > now));
            // Never beyond the most: a table that was full once would stay so.
            self.sweep_at = self.clients.len().saturating_mul(2).clamp(SWEEP_FROM, MOST_CLIENTS);
            self.sweep_after = now + SWEEP_PAUSE;
        }
        if self.clients.len() < MOST_CLIENTS || self.clients.contains_key(&client) {
            self.clients.insert(client, moments);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn ip(text: &str) -> Peer {
        Peer::Network(text.parse().unwrap())
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
    async fn what_is_given_back_was_not_done() {
        let (meters, peer) = (meters(), ip("192.0.2.1"));
        meters.give_back(peer, Metered::Message);
        for _ in 0..3 {
            assert_eq!(meters.take(peer, Metered::Message), Ok(()));
        }
        meters.give_back(peer, Metered::Message);
        assert_eq!(meters.take(peer, Metered::Message), Ok(()));
        assert_eq!(meters.take(peer, Metered::Message), Err(TooOften));
        meters.give_back(peer, Metered::Connection);
    }

    #[tokio::test(start_paused = true)]
    async fn a_table_that_was_full_measures_new_clients_again() {
        let meters = meters();
        let client = |number: usize| {
            Peer::Network(IpAddr::from((u128::try_from(number).unwrap() << 64).to_be_bytes()))
        };
        for number in 0..=MOST_CLIENTS {
            assert_eq!(meters.take(client(number), Metered::Message), Ok(()));
        }
        tokio::time::advance(Duration::from_secs(61)).await;
        for _ in 0..3 {
            assert_eq!(meters.take(client(MOST_CLIENTS), Metered::Message), Ok(()));
        }
        assert_eq!(meters.take(client(MOST_CLIENTS), Metered::Message), Err(TooOften));
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_of_zero_is_no_limit() {
        let meters = meters();
        assert!((0..9).all(|_| meters.take(ip("::1"), Metered::Connection).is_ok()));
    }

    #[tokio::test(start_paused = true)]
    async fn clients_that_are_quiet_again_are_forgotten() {
        let meters = meters();
        for number in 0..4 * SWEEP_FROM {
            let peer =
                Peer::Network(IpAddr::from((u128::try_from(number).unwrap() << 64).to_be_bytes()));
            assert_eq!(meters.take(peer, Metered::Message), Ok(()));
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert!(meters.clients.lock().unwrap().clients.len() <= 2 * SWEEP_FROM);
    }
}
