//! Logging in (RFC 4954): only a session whose peer has proved its name can.
//!
//! ```compile_fail,E0599
//! # async fn f(session: delivery::Session<delivery::Unverified>, login: &delivery::Login) {
//! let session = session.log_in(login).await;
//! # drop(session); }
//! ```
//!
//! ```
//! # async fn f(session: delivery::Session<delivery::Demanded>, login: &delivery::Login) {
//! let session = session.log_in(login).await;
//! # drop(session); }
//! ```
//!
//! ```
//! # async fn f(session: delivery::Session<delivery::Verified>, login: &delivery::Login) {
//! let session = session.log_in(login).await;
//! # drop(session); }
//! ```

use smtp::{Reply, ReplyCode, to_base64};
use tls_policy::Trust;

use super::established::Session;
use super::opening::at;
use super::strict::Strict;
use crate::account::{Age, Login, LoginMechanism};
use crate::dialogue::DialogueError;
use crate::failure::{LoginFailure, SessionFailure, Stage};
use crate::line_io::Stream;

/// The longest command line (RFC 5321 §4.5.3.1.4); a response that does not fit in is sent by
/// itself (RFC 4954 §4).
const COMMAND_MAX: usize = 512;

impl<T, S> Session<T, S>
where
    T: Trust<Route: Strict>,
    S: Stream,
{
    /// Says who we are and proves it.
    ///
    /// A token that is refused is asked for once more, and tried again if there is a new one: the
    /// usual reason is that it has expired.
    ///
    /// # Errors
    ///
    /// [`SessionFailure`]: the session is over. It says nothing about any message.
    pub async fn log_in(mut self, login: &Login) -> Result<Self, SessionFailure> {
        match self.try_log_in(login).await {
            Ok(()) => Ok(self),
            Err(failure) => {
                self.quit().await;
                Err(failure)
            }
        }
    }

    async fn try_log_in(&mut self, login: &Login) -> Result<(), SessionFailure> {
        let offers = |name: &str| self.capabilities.logs_in_by(name);
        let mechanism = login.mechanism(offers).ok_or(LoginFailure::NotOffered)?;
        let secret = login.secret().read(Age::Any).await.map_err(LoginFailure::Secret)?;
        let mut reply = self.authenticate(mechanism, login.name(), &secret).await?;
        if mechanism == LoginMechanism::Xoauth2 && reply.code() != ReplyCode::AUTHENTICATED {
            let again = login.secret().read(Age::New).await.map_err(LoginFailure::Secret)?;
            if again != secret {
                reply = self.authenticate(mechanism, login.name(), &again).await?;
            }
        }
        if reply.code() == ReplyCode::AUTHENTICATED {
            return Ok(());
        }
        let (mechanism, name) = (mechanism.as_str(), login.name().to_owned());
        Err(LoginFailure::Refused { mechanism, name, reply }.into())
    }

    /// One exchange, to its end: the last reply.
    async fn authenticate(
        &mut self,
        mechanism: LoginMechanism,
        name: &str,
        secret: &str,
    ) -> Result<Reply, SessionFailure> {
        let responses = match mechanism {
            LoginMechanism::Login => vec![to_base64(name.as_bytes()), to_base64(secret.as_bytes())],
            LoginMechanism::Plain => vec![to_base64(format!("\0{name}\0{secret}").as_bytes())],
            LoginMechanism::Xoauth2 => {
                let said = format!("user={name}\x01auth=Bearer {secret}\x01\x01");
                // The second, empty one asks for the refusal behind a challenge with its reason.
                vec![to_base64(said.as_bytes()), String::new()]
            }
        };
        let auth = format!("AUTH {}", mechanism.as_str());
        let mut rest = responses.into_iter().peekable();
        let initial = |response: &String| {
            mechanism != LoginMechanism::Login && auth.len() + response.len() + 3 <= COMMAND_MAX
        };
        let line = match rest.next_if(initial) {
            Some(response) => format!("{auth} {response}\r\n"),
            None => format!("{auth}\r\n"),
        };
        let mut reply = self.say(&line).await?;
        for response in rest {
            if reply.code() != ReplyCode::CHALLENGE {
                return Ok(reply);
            }
            reply = self.say(&format!("{response}\r\n")).await?;
        }
        Ok(reply)
    }

    async fn say(&mut self, line: &str) -> Result<Reply, SessionFailure> {
        let said = self.dialogue.command(line, self.settings.timeouts.mail).await;
        said.map_err(|error: DialogueError| at(Stage::Login, error))
    }
}
