//! Who is logged in: in memory, so a restart ends all of it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use access::Role;
use tokio::time::Instant;

use crate::pages::allowance::Allowance;
use crate::pages::secret::Secret;
use crate::server::operator::Operator;

/// So many at a time; one more ends the one that was used the longest time ago.
const MOST: usize = 100;

/// Requests in a second.
const REQUESTS: u32 = 20;

/// Acts in a second.
const ACTS: u32 = 5;

/// How long logins last.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LoginTimes {
    /// So long one may not be used.
    pub idle: Duration,
    /// So long one lasts at most.
    pub longest: Duration,
}

impl Default for LoginTimes {
    fn default() -> Self {
        Self { idle: Duration::from_secs(30 * 60), longest: Duration::from_secs(12 * 60 * 60) }
    }
}

/// Who is logged in, and the codes that log in once.
#[derive(Debug)]
pub(crate) struct Logins {
    times: LoginTimes,
    open: HashMap<Secret, Login>,
    codes: Vec<(Secret, Visitor, Instant)>,
}

/// Somebody who may see pages.
#[derive(Clone, Debug)]
pub(crate) struct Visitor {
    /// Who it is.
    pub(crate) by: Operator,
    /// What they may do.
    pub(crate) role: Role,
}

#[derive(Debug)]
struct Login {
    visitor: Arc<Visitor>,
    /// What a form of this login has to hold.
    token: Secret,
    began: Instant,
    used: Instant,
    requests: Allowance,
    acts: Allowance,
    note: Option<String>,
}

/// A request of somebody who is logged in.
#[derive(Clone, Debug)]
pub(crate) struct Visit {
    /// Who it is, and what they may do.
    pub(crate) visitor: Arc<Visitor>,
    /// The login.
    pub(crate) id: Secret,
    /// What a form of this login has to hold.
    pub(crate) token: Secret,
}

/// What a request is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Purpose {
    /// It changes nothing.
    Read,
    /// It changes something.
    Act,
}

/// Why nobody is let in by a login.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum NoVisit {
    /// There is no such login, or it has ended.
    Nobody,
    /// It is used too often.
    TooFast,
}

impl Logins {
    pub(crate) fn new(times: LoginTimes) -> Self {
        Self { times, open: HashMap::new(), codes: Vec::new() }
    }

    /// A code that logs `visitor` in, once, within this time.
    pub(crate) fn offer(&mut self, visitor: Visitor, within: Duration, now: Instant) -> Secret {
        let code = Secret::new();
        self.codes.retain(|(_, _, ends)| now < *ends);
        if self.codes.len() >= MOST {
            self.codes.remove(0);
        }
        self.codes.push((code, visitor, now.checked_add(within).unwrap_or(now)));
        code
    }

    /// Logs in who has this code, which is worth nothing from now on.
    pub(crate) fn redeem(&mut self, code: &Secret, now: Instant) -> Option<Secret> {
        let place = self.codes.iter().position(|(known, _, _)| known == code)?;
        let (_, visitor, ends) = self.codes.remove(place);
        (now < ends).then(|| self.open(visitor, now))
    }

    /// Logs `visitor` in; the id of the login, which nobody else may know.
    pub(crate) fn open(&mut self, visitor: Visitor, now: Instant) -> Secret {
        let times = self.times;
        self.open.retain(|_, login| login.lasts(times, now));
        if self.open.len() >= MOST {
            let oldest = self.open.iter().min_by_key(|(_, login)| login.used).map(|(id, _)| *id);
            let _ended = oldest.map(|id| self.open.remove(&id));
        }
        let (id, token) = (Secret::new(), Secret::new());
        let (requests, acts) =
            (Allowance::per_second(REQUESTS, now), Allowance::per_second(ACTS, now));
        let visitor = Arc::new(visitor);
        let login = Login { visitor, token, began: now, used: now, requests, acts, note: None };
        self.open.insert(id, login);
        id
    }

    /// Lets in who has a login.
    pub(crate) fn visit(
        &mut self,
        id: &Secret,
        purpose: Purpose,
        now: Instant,
    ) -> Result<Visit, NoVisit> {
        let times = self.times;
        let login = self.open.get_mut(id).filter(|login| login.lasts(times, now));
        let Some(login) = login else {
            self.open.remove(id);
            return Err(NoVisit::Nobody);
        };
        login.used = now;
        let is_allowed = match purpose {
            Purpose::Read => login.requests.take(now),
            Purpose::Act => login.requests.take(now) && login.acts.take(now),
        };
        let visit = Visit { visitor: Arc::clone(&login.visitor), id: *id, token: login.token };
        is_allowed.then_some(visit).ok_or(NoVisit::TooFast)
    }

    /// Goes by other times from now on, and ends the logins of all but these.
    pub(crate) fn reload(&mut self, times: LoginTimes, stays: impl Fn(&Visitor) -> bool) {
        self.times = times;
        self.open.retain(|_, login| stays(&login.visitor));
    }

    /// Ends a login.
    pub(crate) fn close(&mut self, id: &Secret) {
        self.open.remove(id);
    }

    /// Says this on the next page of a login.
    pub(crate) fn note(&mut self, id: &Secret, text: String) {
        if let Some(login) = self.open.get_mut(id) {
            login.note = Some(text);
        }
    }

    /// What is to be said on the next page of a login.
    pub(crate) fn take_note(&mut self, id: &Secret) -> Option<String> {
        self.open.get_mut(id)?.note.take()
    }
}

impl Login {
    fn lasts(&self, times: LoginTimes, now: Instant) -> bool {
        now.saturating_duration_since(self.used) < times.idle
            && now.saturating_duration_since(self.began) < times.longest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn visitor() -> Visitor {
        Visitor { by: Operator::of(Some(0)), role: Role::Viewer }
    }

    #[test]
    fn a_login_ends_unused_and_in_any_case() {
        let begun = Instant::now();
        let mut logins = Logins::new(LoginTimes::default());
        let id = logins.open(visitor(), begun);
        let at = |minutes: u32| begun + MINUTE * minutes;
        assert!(logins.visit(&id, Purpose::Read, at(29)).is_ok());
        assert!(logins.visit(&id, Purpose::Read, at(58)).is_ok());
        assert_eq!(logins.visit(&id, Purpose::Read, at(88)).err(), Some(NoVisit::Nobody));
        let id = logins.open(visitor(), begun);
        for minutes in (0..720).step_by(20) {
            assert!(logins.visit(&id, Purpose::Read, at(minutes)).is_ok(), "{minutes}");
        }
        assert_eq!(logins.visit(&id, Purpose::Read, at(720)).err(), Some(NoVisit::Nobody));
    }

    #[test]
    fn a_code_logs_in_once_and_not_after_its_time() {
        let begun = Instant::now();
        let mut logins = Logins::new(LoginTimes::default());
        let code = logins.offer(visitor(), MINUTE, begun);
        assert_eq!(logins.redeem(&Secret::new(), begun), None);
        let id = logins.redeem(&code, begun).unwrap();
        assert_ne!(id, code);
        assert!(logins.visit(&id, Purpose::Act, begun).is_ok());
        assert_eq!(logins.redeem(&code, begun), None);
        let code = logins.offer(visitor(), MINUTE, begun);
        assert_eq!(logins.redeem(&code, begun + MINUTE), None);
    }

    #[test]
    fn one_more_login_ends_the_one_that_was_not_used_the_longest() {
        let begun = Instant::now();
        let mut logins = Logins::new(LoginTimes::default());
        let ids: Vec<_> = (0..100).map(|_| logins.open(visitor(), begun)).collect();
        let later = begun + MINUTE;
        for id in &ids[1..] {
            assert!(logins.visit(id, Purpose::Read, later).is_ok());
        }
        let last = logins.open(visitor(), later);
        assert_eq!(logins.visit(&ids[0], Purpose::Read, later).err(), Some(NoVisit::Nobody));
        assert!(logins.visit(&ids[1], Purpose::Read, later).is_ok());
        assert!(logins.visit(&last, Purpose::Read, later).is_ok());
    }

    #[test]
    fn a_login_reads_20_times_a_second_and_acts_5_times() {
        let begun = Instant::now();
        let mut logins = Logins::new(LoginTimes::default());
        let id = logins.open(visitor(), begun);
        let mut visit = |purpose| logins.visit(&id, purpose, begun).is_ok();
        assert!((0..5).all(|_| visit(Purpose::Act)) && !visit(Purpose::Act));
        assert!((0..14).all(|_| visit(Purpose::Read)) && !visit(Purpose::Read));
    }
}
