//! AUTH within a session: the dialogue, its limits and what it leads to (RFC 4954).

use access::Authenticated;
use smtp::{Credentials, Exchange, InitialResponse, Line, LineFault, Mechanism, SaslError, Turn};

use super::replies::reply;
use super::{Session, Step};
use crate::meters::Metered;
use crate::refusal::Refusal;
use crate::rules::Rules;
use crate::service::AuthMode;
use smtp::ReplyCode;

impl Session {
    /// AUTH begins a dialogue. It is offered under TLS alone: both mechanisms send the password.
    pub(super) fn auth(
        &mut self,
        mechanism: &str,
        initial: Option<&InitialResponse>,
    ) -> Result<Step, Refusal> {
        self.may_log_in()?;
        let mechanism = Mechanism::parse(mechanism).ok_or(Refusal::UnknownMechanism)?;
        Ok(self.turn(Exchange::begin(mechanism, initial)))
    }

    /// A line within the dialogue.
    pub(super) fn answer(&mut self, exchange: Exchange, line: &Result<Line, LineFault>) -> Step {
        match line {
            Ok(line) => self.turn(exchange.answer(line.as_bytes())),
            Err(_fault) => Step::Refuse(SaslError::Malformed.into()),
        }
    }

    /// The password was right.
    pub(crate) fn logged_in(&mut self, user: Authenticated) -> smtp::Reply {
        self.user = Some(user);
        reply(ReplyCode::AUTHENTICATED, (7, 0), "authenticated")
    }

    /// Counts a password before it is looked at: were it counted once it is found wrong, as many
    /// could be looked at as connections send them at once. `user` is the name, if there is such a
    /// user.
    pub(crate) fn count_guess(&self, user: Option<&str>) -> Result<(), Refusal> {
        let Rules { meters, guesses, .. } = &*self.rules;
        let too_often = |_often| Refusal::TooOften(Metered::AuthFailure);
        meters.take(self.peer(), Metered::AuthFailure).map_err(too_often)?;
        let Some(user) = user else { return Ok(()) };
        guesses.take(user, self.peer(), self.standing(), meters.auth_failures()).map_err(too_often)
    }

    /// The password that was counted was no guess.
    pub(crate) fn uncount_guess(&self, user: &str) {
        let Rules { meters, guesses, .. } = &*self.rules;
        meters.give_back(self.peer(), Metered::AuthFailure);
        guesses.give_back(user, self.peer(), self.standing(), meters.auth_failures());
    }

    /// The password was wrong.
    pub(crate) fn not_logged_in(&mut self) -> Refusal {
        self.auth_failures = self.auth_failures.saturating_add(1);
        self.count(&Refusal::AuthenticationFailed);
        Refusal::AuthenticationFailed
    }

    /// Whether AUTH has its place here.
    fn may_log_in(&self) -> Result<(), Refusal> {
        match self.service.auth {
            AuthMode::Off => return Err(Refusal::NotOffered { command: "AUTH" }),
            AuthMode::Optional | AuthMode::Required => {}
        }
        if self.tls.is_none() {
            return Err(Refusal::AuthenticationNeedsTls);
        }
        if self.client.is_none() {
            return Err(Refusal::HelloFirst);
        }
        if self.user.is_some() {
            return Err(Refusal::AuthenticatedAlready);
        }
        if self.transaction.is_some() || self.in_chunks() {
            return Err(Refusal::NestedMail);
        }
        if self.auth_failures >= self.rules.settings.limits.auth_failures_per_connection {
            return Err(Refusal::TooManyAuthFailures);
        }
        self.rules
            .meters
            .ask(self.peer(), Metered::AuthFailure)
            .map_err(|_often| Refusal::TooOften(Metered::AuthFailure))
    }

    /// Goes on with the dialogue, or hands over what it brought.
    fn turn(&mut self, turn: Result<Turn, SaslError>) -> Step {
        match turn {
            Ok(Turn::Challenge(exchange)) => {
                let challenge = exchange.challenge();
                self.exchange = Some(exchange);
                Step::Reply(challenge)
            }
            Ok(Turn::Complete(credentials)) => Step::Verify(credentials),
            Err(error) => Step::Refuse(error.into()),
        }
    }
}

/// What a password is checked by: it takes a while and much memory, so not many at once.
pub(crate) fn verify(rules: &Rules, credentials: &Credentials) -> Option<Authenticated> {
    rules.users().authenticate(credentials)
}
