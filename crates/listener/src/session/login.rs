//! The dialogue of AUTH (RFC 4954).

use smtp::{Exchange, InitialResponse, Line, LineFault, Mechanism, SaslError, Turn};

use super::step::Step;
use crate::refusal::Refusal;

/// What was tried by AUTH on one connection.
#[derive(Debug, Default)]
pub(super) struct Login {
    /// The dialogue, while it lasts.
    exchange: Option<Exchange>,
    /// How many passwords were wrong.
    pub(super) failures: usize,
}

impl Login {
    /// Nothing but so many wrong passwords.
    pub(super) const fn after(failures: usize) -> Self {
        Self { exchange: None, failures }
    }

    /// Takes the dialogue out, if there is one; its next answer puts it back.
    pub(super) const fn take_exchange(&mut self) -> Option<Exchange> {
        self.exchange.take()
    }

    /// Begins the dialogue.
    pub(super) fn begin(
        &mut self,
        mechanism: &str,
        initial: Option<&InitialResponse>,
    ) -> Result<Step, Refusal> {
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
