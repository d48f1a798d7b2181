//! All resolvers together: who is asked when, and for how long.
//!
//! A resolver whose word on DNSSEC counts is asked alone. What it does not answer for, or calls forged,
//! is not asked of another that does not validate: whoever holds its answers up, or forges them, would
//! decide that nothing is secure. Only once it fails its own test are the others asked.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use smtp::Domain;
use tokio::sync::{Notify, OnceCell, Semaphore, watch};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tracing::debug;

use crate::answer::{AdBit, Answer, Reading};
use crate::error::{LookupError, Malformation};
use crate::known_secure::KnownSecure;
use crate::lookup::Security;
use crate::question::Question;
use crate::self_test;
use crate::server::{Edns, Server};
use crate::settings::DnsSettings;
use crate::standing::{Change, FAILURES, ServerState};

/// The most questions under way at once; each holds a socket.
const MOST_QUESTIONS: usize = 4096;

/// The longest that a lookup may be allowed to take.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(300);

/// The most times that a server's aliases are followed by asking again.
const MOST_DETOURS: usize = 8;

/// How long the first test of a server may take; it may have just been started.
const FIRST_TEST: Duration = Duration::from_secs(5);

/// How much less than one try of a lookup a further test may take, and the pause after it: three tests
/// with their pauses end before a lookup does in which a server was silent, and others may be asked.
const OF_A_TRY: (u32, u32) = (3, 5);
const PAUSE_OF_A_TRY: (u32, u32) = (3, 10);

/// The least time between a test and one before its time.
const SPACING: Duration = Duration::from_secs(2);

/// How long servers are left alone that validate.
pub(crate) const LONGEST_REST: Duration = Duration::from_secs(10 * 60);

/// How long one is left alone at first that does not: it may only just have been started.
pub(crate) const SHORTEST_REST: Duration = Duration::from_secs(30);

/// The resolvers that are asked, in order, until one knows.
pub(crate) struct Servers {
    servers: Vec<Server>,
    bogus_probe: Option<Domain>,
    timeout: Duration,
    attempts: u32,
    places: Semaphore,
    tests: Tests,
    known_secure: KnownSecure,
}

/// When the servers are tested.
#[derive(Default)]
struct Tests {
    /// Every question waits for it.
    first: OnceCell<()>,
    /// Somebody looks after further ones.
    kept: AtomicBool,
    /// Asks for one before its time.
    wanted: Notify,
    /// The number of the one that began last.
    begun: AtomicU64,
    /// The number of the one that ended last.
    ended: watch::Sender<u64>,
}

impl Servers {
    /// The servers that `settings` name, asked as they say.
    pub(crate) fn new(settings: &DnsSettings) -> Self {
        let DnsSettings { servers, dnssec, bogus_probe, timeout, attempts } = settings;
        let new = |address: &SocketAddr| {
            let trusted = dnssec.trusts(*address);
            let state = if trusted { ServerState::Untested } else { ServerState::Distrusted };
            Server::new(*address, state)
        };
        let servers: Vec<Server> = servers.iter().map(new).collect();
        Self {
            servers,
            bogus_probe: bogus_probe.clone(),
            timeout: (*timeout).min(LONGEST_TIMEOUT),
            attempts: (*attempts).max(1),
            places: Semaphore::new(MOST_QUESTIONS),
            tests: Tests::default(),
            known_secure: KnownSecure::new(),
        }
    }

    pub(crate) fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.servers.iter().map(Server::address)
    }

    /// Whether the word of each server on DNSSEC counts.
    pub(crate) fn states(&self) -> impl Iterator<Item = (SocketAddr, ServerState)> {
        self.servers.iter().map(|server| (server.address(), server.standing().state()))
    }

    /// Whether the word of any server counts.
    pub(crate) fn validate(&self) -> bool {
        self.servers.iter().any(|server| server.standing().validates())
    }

    /// Whether a test could change that of any server.
    pub(crate) fn can_be_tested(&self) -> bool {
        self.servers.iter().any(|server| server.standing().is_trusted())
    }

    /// The answer, asked for under each alias until it comes.
    pub(crate) async fn ask(&self, question: &Question) -> Result<Answer, LookupError> {
        let deadline = Instant::now() + self.timeout;
        let _place = timeout_at(deadline, self.places.acquire())
            .await
            .map_err(|_elapsed| LookupError::TimedOut)?;
        timeout_at(deadline, self.first_test()).await.map_err(|_elapsed| LookupError::TimedOut)?;
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

    /// Asks the servers whose word counts, and all of them where that of none does.
    ///
    /// What keeps those from an answer, or the answer from being secure as it was before, may be their own
    /// fault: they are tested then. If one that was asked counts no longer, the question is put to the
    /// others that do, or to all if there are none.
    async fn ask_all(
        &self,
        question: &Question,
        deadline: Instant,
    ) -> Result<Reading, LookupError> {
        let (validating, others) = self.in_order();
        if validating.is_empty() {
            return self.ask_each(others, question, deadline).await;
        }
        let before = self.tests.begun.load(Ordering::Acquire);
        let answer = self.ask_each(validating, question, deadline).await;
        let has_lost_proof =
            answer.as_ref().is_ok_and(|reading| self.loses_proof(question, reading));
        let is_in_doubt = answer.as_ref().is_err_and(|error| {
            error.may_be_validation() || error.is_silence() && !others.is_empty()
        });
        if !is_in_doubt && !has_lost_proof {
            return answer;
        }
        self.tests.wait(before, deadline).await;
        match self.in_order() {
            (validating, all) if validating.is_empty() => {
                self.ask_each(all, question, deadline).await
            }
            // Whoever clears the AD bit counts no longer by now; if all count, the zone is unsigned.
            (validating, _) if has_lost_proof => {
                self.ask_each(validating, question, deadline).await
            }
            _ => answer,
        }
    }

    /// Whether this answer of a server that validates is insecure and an earlier one was not; a test is
    /// wanted then.
    fn loses_proof(&self, question: &Question, reading: &Reading) -> bool {
        match reading.security() {
            Security::Secure => {
                self.known_secure.note(question);
                false
            }
            Security::Insecure => {
                let is_lost = self.known_secure.was_secure(question);
                if is_lost {
                    self.tests.wanted.notify_one();
                }
                is_lost
            }
        }
    }

    /// Asks one server after the other, and the silent ones again.
    ///
    /// A server that answered, but does not know, is not asked twice: it has tried.
    async fn ask_each(
        &self,
        mut candidates: Vec<&Server>,
        question: &Question,
        deadline: Instant,
    ) -> Result<Reading, LookupError> {
        let mut failure = LookupError::TimedOut;
        for _ in 0..self.attempts {
            let mut silent = Vec::new();
            for server in candidates {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Err(failure);
                }
                match self.ask_one(server, question, self.share().min(left)).await {
                    Ok(reading) => return Ok(reading),
                    // Another server might not validate; asking it would undo what this one did.
                    Err(LookupError::Bogus) if !server.standing().finds_everything_bogus() => {
                        return Err(LookupError::Bogus);
                    }
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

    /// Asks one server in the way that its standing allows.
    async fn ask_one(
        &self,
        server: &Server,
        question: &Question,
        patience: Duration,
    ) -> Result<Reading, LookupError> {
        let standing = server.standing();
        let (ad_bit, edns) = if standing.validates() {
            (AdBit::Trusted, Edns::DnssecOk)
        } else {
            (AdBit::Ignored, Edns::Plain)
        };
        let answer = server.ask(question, ad_bit, edns, patience).await;
        let may_be_bogus = answer.as_ref().is_err_and(LookupError::may_be_validation);
        let is_silent = answer.as_ref().is_err_and(LookupError::is_silence);
        if standing.validates() && (may_be_bogus || is_silent) {
            self.tests.wanted.notify_one();
        }
        if may_be_bogus && standing.finds_everything_bogus() {
            // Not the name is at fault but the server's validation, which holds up no mail.
            return server.ask(question, AdBit::Ignored, Edns::Unchecked, patience).await;
        }
        answer
    }

    /// Those whose word counts, and the others: as configured, but those that were silent lately come
    /// last.
    fn in_order(&self) -> (Vec<&Server>, Vec<&Server>) {
        let (last, first): (Vec<_>, Vec<_>) =
            self.servers.iter().partition(|server| server.is_last_in_line());
        first.into_iter().chain(last).partition(|server| server.standing().validates())
    }

    /// What one try may take, so that all together keep to the time-out.
    fn share(&self) -> Duration {
        let servers = u32::try_from(self.servers.len().max(1)).unwrap_or(u32::MAX);
        self.timeout / self.attempts.saturating_mul(servers)
    }

    /// Tests all servers, unless that was done before.
    pub(crate) async fn first_test(&self) {
        let test = async || {
            self.test(FIRST_TEST.min(self.timeout)).await;
        };
        self.tests.first.get_or_init(test).await;
    }

    /// Tests all servers once more: one that has passed before until it passes or has failed as often
    /// as it takes.
    pub(crate) async fn test_again(&self) -> Change {
        let number = self.tests.begun.fetch_add(1, Ordering::AcqRel).wrapping_add(1);
        let mut change = Change::Unchanged;
        for round in 1..=FAILURES {
            change = change.or(self.test(part(self.share(), OF_A_TRY)).await);
            let doubted = self.servers.iter().any(|server| server.standing().is_doubted());
            if !doubted || round == FAILURES {
                break;
            }
            sleep(part(self.share(), PAUSE_OF_A_TRY)).await;
        }
        self.tests.ended.send_replace(number);
        change
    }

    async fn test(&self, patience: Duration) -> Change {
        let trusted = self.servers.iter().filter(|server| server.standing().is_trusted());
        let tests = trusted.map(async |server| {
            let result = self_test::test(server, self.bogus_probe.as_ref(), patience).await;
            server.standing().tested(server.address(), result)
        });
        let changes = futures_util::future::join_all(tests).await;
        changes.into_iter().fold(Change::Unchanged, Change::or)
    }

    /// Waits until a test is wanted, for so long at most. From the first time on it may be wanted.
    pub(crate) async fn next_test(&self, at_the_latest: Duration) {
        self.tests.kept.store(true, Ordering::Release);
        let wanted = async {
            sleep(SPACING).await;
            self.tests.wanted.notified().await;
        };
        drop(timeout(at_the_latest, wanted).await);
    }
}

impl Tests {
    /// Waits for the end of a test that began after the one of this number, if there are any.
    async fn wait(&self, before: u64, deadline: Instant) {
        if self.kept.load(Ordering::Acquire) {
            let mut ended = self.ended.subscribe();
            drop(timeout_at(deadline, ended.wait_for(|number| *number > before)).await);
        }
    }
}

/// A part of some time.
fn part(whole: Duration, (numerator, denominator): (u32, u32)) -> Duration {
    whole.saturating_mul(numerator) / denominator
}

/// The first word of a server tells more than any silence.
fn more_telling(first: LookupError, second: LookupError) -> LookupError {
    if first.is_silence() { second } else { first }
}

#[cfg(test)]
mod tests;
