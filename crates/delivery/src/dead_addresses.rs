//! Addresses that did not answer, remembered for a while.
//!
//! Waiting for a host that is gone costs a worker the whole time-out, and many domains may share
//! the host. Whoever comes next learns at once what the first one waited for; when the time is
//! over, one attempt looks again while the others go on believing it. Messages are not put to rest
//! meanwhile: each is deferred in its turn, so that its delay is told of and its lifetime ends.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use crate::failure::SessionFailure;

/// How many addresses are remembered.
const MOST: usize = 10_000;

/// The addresses that did not answer.
#[derive(Debug, Default)]
pub(crate) struct DeadAddresses {
    known: Mutex<HashMap<SocketAddr, Dead>>,
}

/// An address that did not answer.
#[derive(Clone, Debug)]
struct Dead {
    since: SystemTime,
    /// What went wrong, in words.
    why: Arc<str>,
    until: SystemTime,
    /// How often an operator had asked for mail to be tried at once: another wish ends this.
    retry_epoch: u64,
}

impl DeadAddresses {
    /// How long ago an address did not answer and what went wrong, if it is to be left alone; if not,
    /// whoever asks tries it, and has `trial` to do so before others do.
    pub(crate) fn left_alone(
        &self,
        address: SocketAddr,
        now: SystemTime,
        trial: Duration,
        retry_epoch: impl FnOnce() -> u64,
    ) -> Option<(Duration, Arc<str>)> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let dead = known.get_mut(&address)?;
        let ago = now.duration_since(dead.since).ok();
        match ago {
            Some(ago) if now < dead.until && dead.retry_epoch == retry_epoch() => {
                Some((ago, Arc::clone(&dead.why)))
            }
            Some(_) if now >= dead.until => {
                dead.until = now.checked_add(trial).unwrap_or(now);
                None
            }
            // An operator wants it tried, or the clock was set back.
            Some(_) | None => {
                known.remove(&address);
                None
            }
        }
    }

    /// Remembers what came of trying an address.
    pub(crate) fn tried(
        &self,
        address: SocketAddr,
        failure: Option<&SessionFailure>,
        (now, memory): (SystemTime, Duration),
        retry_epoch: impl FnOnce() -> u64,
    ) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let silence = failure.filter(|failure| is_silence(failure) && !memory.is_zero());
        let Some(failure) = silence else {
            known.remove(&address);
            return;
        };
        if known.len() >= MOST {
            known.retain(|_, dead| now < dead.until);
        }
        let until = now.checked_add(memory).unwrap_or(now);
        if known.len() < MOST {
            let why = failure.to_string().into();
            known.insert(address, Dead { since: now, why, until, retry_epoch: retry_epoch() });
        }
    }
}

/// Whether there is nobody at an address, as far as can be told, or nobody who talks to us; what is
/// missing on our own side is no fault of the host's.
fn is_silence(failure: &SessionFailure) -> bool {
    match failure {
        SessionFailure::ConnectTimedOut => true,
        SessionFailure::Connect(error) => matches!(
            error.kind(),
            ErrorKind::ConnectionRefused
                | ErrorKind::HostUnreachable
                | ErrorKind::NetworkUnreachable
                | ErrorKind::TimedOut
        ),
        SessionFailure::Dialogue { error, .. } => error.is_silence(),
        SessionFailure::LeftAlone { .. }
        | SessionFailure::Ourselves
        | SessionFailure::Refused { .. }
        | SessionFailure::Silent { .. }
        | SessionFailure::Login(_)
        | SessionFailure::Tls(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMORY: Duration = Duration::from_secs(120);
    const TRIAL: Duration = Duration::from_secs(30);

    fn after(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 + seconds)
    }

    fn address() -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], 25))
    }

    fn silent() -> DeadAddresses {
        let hosts = DeadAddresses::default();
        let failure = SessionFailure::ConnectTimedOut;
        hosts.tried(address(), Some(&failure), (after(0), MEMORY), || 0);
        hosts
    }

    fn ask(hosts: &DeadAddresses, seconds: u64, retry_epoch: u64) -> Option<u64> {
        let left_alone = hosts.left_alone(address(), after(seconds), TRIAL, || retry_epoch);
        left_alone.map(|(ago, why)| {
            assert_eq!(&*why, SessionFailure::ConnectTimedOut.to_string());
            ago.as_secs()
        })
    }

    #[test]
    fn an_address_that_did_not_answer_is_left_alone_and_then_tried_by_one() {
        let hosts = silent();
        assert_eq!(ask(&hosts, 5, 0), Some(5));
        assert_eq!(ask(&hosts, 119, 0), Some(119));
        assert_eq!(ask(&hosts, 120, 0), None, "one tries it");
        assert_eq!(ask(&hosts, 121, 0), Some(121), "the others wait for what becomes of that");
        assert_eq!(ask(&hosts, 150, 0), None, "unless it takes too long");
    }

    #[test]
    fn an_address_that_answers_again_is_forgotten() {
        let hosts = silent();
        hosts.tried(address(), None, (after(120), MEMORY), || 0);
        assert_eq!(ask(&hosts, 121, 0), None);
    }

    #[test]
    fn an_operator_who_wants_mail_tried_is_obeyed() {
        assert_eq!(ask(&silent(), 5, 1), None);
    }

    #[test]
    fn a_clock_that_was_set_back_leaves_no_address_dead_for_ever() {
        let hosts = silent();
        let before = after(0) - Duration::from_secs(10);
        assert_eq!(hosts.left_alone(address(), before, TRIAL, || 0), None);
    }

    #[test]
    fn what_we_lack_ourselves_makes_no_host_dead() {
        let hosts = DeadAddresses::default();
        let failure = SessionFailure::Connect(std::io::Error::from_raw_os_error(24));
        hosts.tried(address(), Some(&failure), (after(0), MEMORY), || 0);
        assert_eq!(ask(&hosts, 1, 0), None);
    }
}
