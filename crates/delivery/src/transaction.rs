//! One mail transaction: MAIL, RCPT and DATA (RFC 5321 §3.3), with a reply for every recipient.
//!
//! A transaction is begun on a [`Session`](crate::session::established::Session), which says whether anything
//! may be sent at all; here it is only a matter of how. Where the peer offers PIPELINING the
//! envelope goes out before the first reply is read (RFC 2920).

use std::borrow::Borrow;
use std::mem;
use std::time::Duration;

use mail::{Recipient, Reports};
use smtp::{BodyType, ReplyCode, RequireTls, Severity, Smtputf8};
use tokio::io::AsyncRead;

use crate::body::{BodyError, Pace, write_body, write_chunk};
use crate::capabilities::{Capabilities, Extension};
use crate::dialogue::{Dialogue, DialogueError};
use crate::envelope::{Command, Mail, Pipelining, Progress, commands, windows};
use crate::line_io::Stream;
use crate::recipient_reply::{RecipientReply, Step, Unfit, is_negative};
use crate::settings::Timeouts;

/// How long a peer that stopped reading may take to say why.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// A transaction that can be carried out.
#[derive(Debug)]
pub struct Transaction<'s, S: Stream> {
    dialogue: &'s mut Dialogue<S>,
    capabilities: &'s Capabilities,
    timeouts: &'s Timeouts,
    opening: Opening,
    /// Whether the host is held to proven TLS on the further way: for a session with proof alone.
    requiretls: RequireTls,
}

/// What a transaction begins with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Opening {
    /// With MAIL: it is the first one of its session.
    Fresh,
    /// With RSET, which ends whatever came of the one before (RFC 5321 §4.1.1.5).
    Reset,
}

impl Opening {
    /// What is said, CRLF included.
    const fn line(self) -> &'static str {
        match self {
            Self::Fresh => "",
            Self::Reset => "RSET\r\n",
        }
    }
}

/// What became of a transaction.
#[derive(Debug)]
pub(crate) struct Sent<R> {
    /// The recipients, each with the reply for it.
    pub(crate) replies: Vec<(R, RecipientReply)>,
    /// How the connection stands.
    pub(crate) connection: Connection,
    /// Who answers for reports on those whom the peer has taken.
    pub(crate) reports: Reports,
}

/// How a connection stands behind a transaction.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Connection {
    /// The transaction is over.
    Clean,
    /// It can only be closed.
    Lost,
    /// A transaction has begun in which no message was sent: RSET comes before the next.
    Open,
}

impl<'s, S: Stream> Transaction<'s, S> {
    /// For [`crate::session`] alone, which knows that mail may be sent here.
    pub(crate) const fn new(
        dialogue: &'s mut Dialogue<S>,
        capabilities: &'s Capabilities,
        timeouts: &'s Timeouts,
    ) -> Self {
        let (opening, requiretls) = (Opening::Fresh, RequireTls::NotRequested);
        Self { dialogue, capabilities, timeouts, opening, requiretls }
    }

    /// The same, begun in this way.
    pub(crate) const fn opened(mut self, opening: Opening) -> Self {
        self.opening = opening;
        self
    }

    /// The same, for a message that asks for proven TLS all its way (RFC 8689 §4.2.1). For
    /// [`crate::session`] alone, which knows that the peer has proved itself and offers the keyword.
    pub(crate) const fn requiring_tls(mut self) -> Self {
        self.requiretls = RequireTls::Requested;
        self
    }

    /// What the peer lacks for this message.
    pub(crate) fn unfit(&self, mail: &Mail<'_>) -> Option<Unfit> {
        let lacks = |extension| !self.capabilities.offers(extension);
        let limit = self.capabilities.size_limit().filter(|limit| *limit < mail.size);
        if let Some(limit) = limit {
            Some(Unfit::TooLarge { size: mail.size, limit })
        } else if mail.smtputf8 == Smtputf8::Requested && lacks(Extension::Smtputf8) {
            Some(Unfit::Smtputf8)
        } else {
            match mail.body {
                BodyType::BinaryMime
                    if lacks(Extension::BinaryMime) || lacks(Extension::Chunking) =>
                {
                    Some(Unfit::Binary)
                }
                BodyType::EightBitMime if lacks(Extension::EightBitMime) => Some(Unfit::EightBit),
                BodyType::BinaryMime | BodyType::EightBitMime | BodyType::SevenBit => None,
            }
        }
    }

    /// Sends one message to `recipients`.
    pub(crate) async fn send<R: Borrow<Recipient>, B: AsyncRead + Unpin>(
        mut self,
        mail: &Mail<'_>,
        recipients: Vec<R>,
        body: B,
    ) -> Sent<R> {
        let passes = self.capabilities.offers(Extension::Dsn);
        let reports = if passes { Reports::Passed } else { Reports::Ours };
        if let Some(unfit) = self.unfit(mail) {
            let reply = |recipient| (recipient, RecipientReply::Unfit(unfit));
            let replies = recipients.into_iter().map(reply).collect();
            return Sent { replies, connection: Connection::Clean, reports };
        }
        let mut progress = Progress::new(recipients.len());
        let commands = {
            let recipients: Vec<&Recipient> = recipients.iter().map(Borrow::borrow).collect();
            commands(mail, &recipients, self.capabilities, self.requiretls)
        };
        self.envelope(&commands, &mut progress).await;
        let (accepted, connection) = self.message(mail, &progress, body).await;
        let reply = |(place, recipient)| (recipient, progress.reply_to(place, &accepted));
        let replies = recipients.into_iter().enumerate().map(reply).collect();
        Sent { replies, connection, reports }
    }

    /// Sends the envelope up to DATA, as far as it makes sense.
    async fn envelope(&mut self, commands: &[Command], progress: &mut Progress) {
        let pipelining = if self.capabilities.offers(Extension::Pipelining) {
            Pipelining::Offered
        } else {
            Pipelining::NotOffered
        };
        if pipelining == Pipelining::NotOffered
            && let Err(error) = self.reset().await
        {
            return progress.failed(error);
        }
        for window in windows(commands, pipelining) {
            if progress.is_hopeless(window) {
                return;
            }
            if let Err(error) = self.exchange(window, progress).await {
                return progress.failed(error);
            }
        }
    }

    /// Says RSET, where the transaction begins with it, and waits for the reply.
    async fn reset(&mut self) -> Result<(), DialogueError> {
        match mem::replace(&mut self.opening, Opening::Fresh) {
            Opening::Fresh => Ok(()),
            Opening::Reset => {
                self.dialogue.send(Opening::Reset.line().as_bytes(), self.timeouts.hello).await?;
                self.hear_reset().await
            }
        }
    }

    /// Reads the reply to RSET. A peer that has anything against it does not want to go on.
    async fn hear_reset(&mut self) -> Result<(), DialogueError> {
        let reply = self.dialogue.reply(self.timeouts.hello).await?;
        match reply.severity() {
            Severity::PositiveCompletion => Ok(()),
            Severity::PositiveIntermediate
            | Severity::TransientNegative
            | Severity::PermanentNegative => Err(DialogueError::Closed),
        }
    }

    /// Writes these commands, then reads their replies one by one.
    async fn exchange(
        &mut self,
        window: &[Command],
        progress: &mut Progress,
    ) -> Result<(), DialogueError> {
        let opening = mem::replace(&mut self.opening, Opening::Fresh);
        let octets = window.iter().map(|command| command.line.len()).sum::<usize>();
        let mut lines = String::with_capacity(octets + opening.line().len());
        lines.push_str(opening.line());
        lines.extend(window.iter().map(|command| command.line.as_str()));
        self.dialogue.send(lines.as_bytes(), self.timeouts.mail).await?;
        if opening == Opening::Reset {
            self.hear_reset().await?;
        }
        for command in window {
            let reply = self.dialogue.reply(command.step.limit(self.timeouts)).await?;
            if !command.step.may_hear(reply.severity()) {
                return Err(DialogueError::Garbled);
            }
            let closing = reply.code() == ReplyCode::NOT_AVAILABLE;
            progress.heard(reply);
            if closing {
                return Err(DialogueError::Closed);
            }
        }
        Ok(())
    }

    /// Sends the message to those who were accepted, and tells what became of them all.
    async fn message<B: AsyncRead + Unpin>(
        &mut self,
        mail: &Mail<'_>,
        progress: &Progress,
        body: B,
    ) -> (RecipientReply, Connection) {
        if progress.failure().is_some() {
            return (progress.lost(Step::Data), Connection::Lost);
        }
        match progress.data() {
            Some(reply) if is_negative(reply.severity()) => (
                RecipientReply::Refused { step: Step::Data, reply: reply.clone() },
                Connection::Open,
            ),
            Some(_) if progress.accepted() > 0 => self.data(body, mail.size).await,
            // A peer that wants the message although it refused everyone gets an empty one, for
            // nobody (RFC 2920 §3.1).
            Some(_) => self.data(tokio::io::empty(), 0).await,
            None if mail.body == BodyType::BinaryMime && progress.accepted() > 0 => {
                self.dialogue.patience().message_begins();
                let pace = Pace::new(self.timeouts);
                let written = write_chunk(self.dialogue, body, mail.size, pace).await;
                self.written(written).await
            }
            None => (progress.lost(Step::Data), Connection::Open),
        }
    }

    /// Sends the message and the final dot, and reads the reply to it.
    async fn data<B: AsyncRead + Unpin>(
        &mut self,
        body: B,
        size: u64,
    ) -> (RecipientReply, Connection) {
        self.dialogue.patience().message_begins();
        let written = write_body(self.dialogue, body, size, Pace::new(self.timeouts)).await;
        self.written(written).await
    }

    /// What became of a message that was written, as far as it was.
    async fn written(&mut self, written: Result<(), BodyError>) -> (RecipientReply, Connection) {
        let ended = match written {
            Ok(()) => self.completion().await,
            Err(BodyError::Cut(error)) => (self.last_words(error).await, Connection::Lost),
            Err(BodyError::InDoubt(error)) => (RecipientReply::InDoubt(error), Connection::Lost),
            Err(BodyError::Unreadable(kind)) => {
                (RecipientReply::Unreadable(kind), Connection::Lost)
            }
        };
        self.dialogue.patience().message_ended();
        ended
    }

    /// Reads the reply to the final dot. Only a positive one moves the message out of our hands
    /// (RFC 5321 §6.1).
    ///
    /// Here, and nowhere else, a reply that breaks off or does not end is believed as far as it
    /// went, if its code is known: the host has decided, and to send the message again would double
    /// it at each attempt.
    async fn completion(&mut self) -> (RecipientReply, Connection) {
        let step = Step::Message;
        let (reply, connection) = match self.dialogue.reply(step.limit(self.timeouts)).await {
            Ok(reply) if reply.code() == ReplyCode::NOT_AVAILABLE => (reply, Connection::Lost),
            Ok(reply) => (reply, Connection::Clean),
            Err(error) => match self.dialogue.begun() {
                Some(reply) => (reply, Connection::Lost),
                None => return (RecipientReply::InDoubt(error), Connection::Lost),
            },
        };
        match reply.severity() {
            Severity::PositiveCompletion => (RecipientReply::Taken(reply), connection),
            Severity::PositiveIntermediate => {
                (RecipientReply::InDoubt(DialogueError::Garbled), Connection::Lost)
            }
            Severity::TransientNegative | Severity::PermanentNegative => {
                (RecipientReply::Refused { step, reply }, connection)
            }
        }
    }

    /// A peer that stops reading a message may have said why before it hung up.
    async fn last_words(&mut self, error: DialogueError) -> RecipientReply {
        match self.dialogue.reply(LAST_WORDS).await {
            Ok(reply) if is_negative(reply.severity()) => {
                RecipientReply::Refused { step: Step::Message, reply }
            }
            Ok(_) | Err(_) => RecipientReply::Cut { step: Step::Message, error },
        }
    }
}

#[cfg(test)]
mod tests;
