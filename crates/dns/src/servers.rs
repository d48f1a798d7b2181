//! All resolvers together: who is asked when, and for how long.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};
use tracing::{debug, info};

use crate::answer::{AdBit, Answer, Reading};
use crate::error::{LookupError, Malformation};
use crate::question::Question;
use crate::server::{Edns, Server};
use crate::settings::{DnsSettings, Dnssec};

/// The most questions under way at once; each holds a socket.
const MOST_QUESTIONS: usize = 4096;

/// The longest that a lookup may be allowed to take.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(300);

/// The most times that a server's aliases are followed by asking again.
const MOST_DETOURS: usize = 8;

/// The resolvers that are asked, in order, until one knows.
pub(crate) struct Servers {
    servers: Vec<Server>,
    ad_bit: AdBit,
    edns: Edns,
    timeout: Duration,
    attempts: u32,
    places: Semaphore,
}

impl Servers {
    /// The servers that `settings` name, asked as they say.
    pub(crate) fn new(settings: &DnsSettings) -> Self {
        let DnsSettings { servers, dnssec, timeout, attempts } = settings;
        let trusted = dnssec.trusts(servers);
        if !trusted && *dnssec == Dnssec::Auto {
            info!(?servers, "resolver not on this machine: its DNSSEC validation is not trusted");
        }
        Self {
            servers: servers.iter().copied().map(Server::new).collect(),
            ad_bit: if trusted { AdBit::Trusted } else { AdBit::Ignored },
            edns: if trusted { Edns::DnssecOk } else { Edns::Plain },
            timeout: (*timeout).min(LONGEST_TIMEOUT),
            attempts: (*attempts).max(1),
            places: Semaphore::new(MOST_QUESTIONS),
        }
    }

    pub(crate) fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.servers.iter().map(Server::address)
    }

    pub(crate) fn trusts_ad(&self) -> bool {
        self.ad_bit == AdBit::Trusted
    }

    /// The answer, asked for under each alias until it comes.
    pub(crate) async fn ask(&self, question: &Question) -> Result<Answer, LookupError> {
        let deadline = Instant::now() + self.timeout;
        let _place = timeout_at(deadline, self.places.acquire())
            .await
            .map_err(|_elapsed| LookupError::TimedOut)?;
        let mut reading = self.ask_all(question, deadline).await?;
        for _ in 0..=MOST_DETOURS {
            match reading {
                Reading::Answered(answer) => return Ok(answer),
                Reading::Alias(alias) => {
                    reading = alias.join(self.ask_all(&alias.next, deadline).await?);
                }
            }
        }
        Err(Malformation::CnameLoop.into())
    }

    /// Asks one server after the other, and the silent ones again.
    ///
    /// A server that answered, but does not know, is not asked twice: it has tried.
    async fn ask_all(
        &self,
        question: &Question,
        deadline: Instant,
    ) -> Result<Reading, LookupError> {
        let mut candidates = self.in_order();
        let mut failure = LookupError::TimedOut;
        for _ in 0..self.attempts {
            let mut silent = Vec::new();
            for server in candidates {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Err(failure);
                }
                let patience = self.share().min(left);
                match server.ask(question, self.ad_bit, self.edns, patience).await {
                    Ok(reading) => return Ok(reading),
                    // Another server might not validate; asking it would undo what this one did.
                    Err(LookupError::Bogus) => return Err(LookupError::Bogus),
                    Err(error) => {
                        debug!(?question, server = %server.address(), %error, "resolver query failed");
                        if error.is_silence() {
                            silent.push(server);
                        }
                        failure = more_telling(failure, error);
                    }
                }
            }
            candidates = silent;
        }
        Err(failure)
    }

    /// As configured, but those that were silent lately come last.
    fn in_order(&self) -> Vec<&Server> {
        let (last, first): (Vec<_>, Vec<_>) =
            self.servers.iter().partition(|server| server.is_last_in_line());
        first.into_iter().chain(last).collect()
    }

    /// What one try may take, so that all together keep to the time-out.
    fn share(&self) -> Duration {
        let servers = u32::try_from(self.servers.len().max(1)).unwrap_or(u32::MAX);
        self.timeout / self.attempts.saturating_mul(servers)
    }
}

/// The first word of a server tells more than any silence.
fn more_telling(first: LookupError, second: LookupError) -> LookupError {
    if first.is_silence() { second } else { first }
}

#[cfg(test)]
mod tests;
