//! One connection, from its greeting to its end: reads lines, does what the session says, writes
//! replies (RFC 5321 §3.1, RFC 2920 §3.2).
//!
//! It works over any stream, so that TLS is a matter of which stream it is given.

mod login;
mod message;

use std::sync::Arc;
use std::time::Duration;

use smtp::{Line, LineFault, LineFramer, Reply, ReplyCode};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use self::message::Begun;
use crate::connections::{Place, Standing};
use crate::host::Host;
use crate::observer::Refused;
use crate::refusal::Refusal;
use crate::session::{Session, Step};
use crate::settings::Timeouts;
use crate::wire::{Wire, WireFault, after, from_now};

/// How many bytes are read at once while commands are awaited.
const COMMAND_ROOM: usize = 2 << 10;

/// One connection.
#[derive(Debug)]
pub(crate) struct Connection<S> {
    wire: Wire<S>,
    framer: LineFramer,
    session: Session,
    /// The message that is being sent in chunks.
    begun: Option<Begun>,
    host: Arc<Host>,
    stop: CancellationToken,
    place: Place,
}

/// How many waits of a client that is not admitted its connection lasts at most.
const UNADMITTED_WAITS: u32 = 6;

/// What part of the wait counts for a client that cannot log in, or that is one of many.
const UNADMITTED_HURRY: u32 = 3;

/// What is said first.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Opening {
    /// We greet.
    Greeting,
    /// The client goes on, after STARTTLS.
    None,
}

/// Whether the dialogue goes on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Onward {
    Close,
    Continue,
    /// TLS goes on with the stream.
    Secure,
}

/// What came instead of a wait's end.
#[derive(Debug)]
enum Heard {
    /// A line, or what is no line.
    Line(Result<Line, LineFault>),
    /// Nothing, and nothing is waited for any more.
    Nothing(Refusal),
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// A connection that was just accepted, or that has just come under TLS.
    pub(crate) fn new(
        stream: S,
        session: Session,
        host: Arc<Host>,
        stop: CancellationToken,
        place: Place,
    ) -> Self {
        Self {
            wire: Wire::new(stream),
            framer: LineFramer::new(LineFramer::COMMAND_LIMIT),
            session,
            begun: None,
            host,
            stop,
            place,
        }
    }

    /// Talks with the client until one of both goes, or until TLS is to go on with the stream.
    pub(crate) async fn run(mut self, opening: Opening) -> Option<(S, Session, Place)> {
        let talked = self.talk(opening).await;
        let farewell = self.timeouts().farewell;
        let ended = match talked {
            Ok(Onward::Secure) => {
                return Some((self.wire.into_stream(), self.session, self.place));
            }
            Ok(Onward::Close | Onward::Continue) => self.wire.close(farewell).await,
            Err(fault) => Err(fault),
        };
        match ended {
            Ok(()) => debug!("connection closed"),
            Err(error) => debug!(%error, "connection aborted"),
        }
        None
    }

    /// Refuses the client before it has said a word.
    pub(crate) async fn turn_away(mut self, refusal: Refusal) {
        self.refuse_connection(&refusal);
        let farewell = self.timeouts().farewell;
        if let Err(error) = self.wire.close(farewell).await {
            debug!(%error, "connection aborted");
        }
    }

    /// The greeting, then line by line.
    async fn talk(&mut self, opening: Opening) -> Result<Onward, WireFault> {
        let mut onward = match opening {
            Opening::Greeting => self.greet().await?,
            Opening::None => Onward::Continue,
        };
        while onward == Onward::Continue {
            onward = match self.listen().await? {
                Heard::Line(line) => {
                    let step = self.session.hear(line, self.host.queue.health());
                    let onward = self.act(step).await?;
                    if !self.session.in_chunks() {
                        self.begun = None;
                    }
                    onward
                }
                Heard::Nothing(why) => self.end(&why),
            };
            self.wire.flush_if_full(self.waits_until()).await?;
        }
        Ok(onward)
    }

    /// Greets a client that waits for it. One that does not is no mail client, or speaks for
    /// someone who cannot hear us (RFC 5321 §3.1, §4.3.1).
    async fn greet(&mut self) -> Result<Onward, WireFault> {
        let delay = self.timeouts().greeting_delay;
        match self.wire.read(COMMAND_ROOM, from_now(delay)).await {
            Ok(()) => {
                self.refuse_connection(&Refusal::SpokeFirst);
                return Ok(Onward::Close);
            }
            Err(WireFault::TimedOut) => {}
            Err(fault) => return Err(fault),
        }
        self.wire.queue(&self.session.greeting());
        Ok(Onward::Continue)
    }

    /// The next line. Replies are written before it is waited for (RFC 2920 §3.2).
    async fn listen(&mut self) -> Result<Heard, WireFault> {
        let (patience, end) = (from_now(self.patience()), self.end_at_latest());
        loop {
            if self.stop.is_cancelled() {
                return Ok(Heard::Nothing(Refusal::ShuttingDown));
            }
            if Instant::now() >= end {
                return Ok(Heard::Nothing(Refusal::ConnectionTooOld));
            }
            match self.framer.next(self.wire.input()) {
                Ok(Some(line)) => return Ok(Heard::Line(Ok(line))),
                Ok(None) => {}
                Err(fault) => return Ok(Heard::Line(Err(fault))),
            }
            self.wire.flush(patience.min(end)).await?;
            self.wire.rest();
            let read = tokio::select! {
                biased;
                () = self.stop.cancelled() => continue,
                read = self.wire.read(COMMAND_ROOM, patience.min(end)) => read,
            };
            match read {
                Ok(()) => {}
                Err(WireFault::TimedOut) if patience < end => {
                    return Ok(Heard::Nothing(Refusal::TimedOut));
                }
                Err(WireFault::TimedOut) => return Ok(Heard::Nothing(Refusal::ConnectionTooOld)),
                Err(fault) => return Err(fault),
            }
        }
    }

    /// Does what the session says.
    async fn act(&mut self, step: Step) -> Result<Onward, WireFault> {
        match step {
            Step::Reply(reply) => {
                self.wire.queue(&reply);
                Ok(Onward::Continue)
            }
            Step::Leave(reply) => {
                self.wire.queue(&reply);
                Ok(Onward::Close)
            }
            Step::Refuse(refusal) => Ok(self.refuse(&refusal)),
            Step::RefuseAndLeave(refusal) => {
                self.refuse(&refusal);
                Ok(Onward::Close)
            }
            Step::RefuseData(refusal) => Ok(self.refuse_data(&refusal)),
            Step::Receive(incoming) => Box::pin(self.receive(*incoming)).await,
            Step::Chunk { size, chunk, incoming } => {
                Box::pin(self.chunk(size, chunk, incoming)).await
            }
            Step::Discard { size, refusal } => Box::pin(self.discard(size, &refusal)).await,
            Step::StartTls(reply) => self.start_tls(&reply).await,
            Step::Verify(credentials) => self.verify(credentials).await,
        }
    }

    /// Says that TLS may begin, unless something was said behind STARTTLS already: it came in
    /// clear, and would be obeyed as if it had come under TLS (CVE-2011-0411).
    async fn start_tls(&mut self, reply: &Reply) -> Result<Onward, WireFault> {
        if !self.wire.input().is_empty() {
            return Ok(self.refuse(&Refusal::PipelinedStartTls));
        }
        self.wire.queue(reply);
        self.wire.flush(self.waits_until()).await?;
        Ok(Onward::Secure)
    }

    /// Refuses DATA. Whatever is at hand behind it was meant as the message, by a client that did
    /// not wait (RFC 2920 §3.1), and must not be taken for commands.
    fn refuse_data(&mut self, refusal: &Refusal) -> Onward {
        let onward = self.refuse(refusal);
        if onward == Onward::Close || self.wire.input().is_empty() {
            return onward;
        }
        self.refuse(&Refusal::MessageBeforeGoAhead)
    }

    /// Refuses the whole connection.
    fn refuse_connection(&mut self, refusal: &Refusal) {
        let reply = self.reply(refusal);
        let (peer, reason) = (self.session.peer(), refusal.label());
        info!(%peer, reason, reply = reply.one_line(), "connection refused");
        self.host.observer.refused(Refused::Connection, reason);
        self.wire.queue(&reply);
    }

    /// Ends the connection between two commands.
    fn end(&mut self, why: &Refusal) -> Onward {
        let reply = self.reply(why);
        debug!(reason = why.label(), "connection ended");
        self.host.observer.refused(Refused::Connection, why.label());
        self.wire.queue(&reply);
        Onward::Close
    }

    /// Refuses a command.
    fn refuse(&mut self, refusal: &Refusal) -> Onward {
        let reply = self.reply(refusal);
        let from = self.session.reverse_path().map(tracing::field::display);
        let (peer, user, reason) = (self.session.peer(), self.session.user(), refusal.label());
        info!(%peer, user, from, reason, reply = reply.one_line(), "command refused");
        self.host.observer.refused(Refused::Command, reason);
        self.tell(&reply)
    }

    /// What the client is told of a refusal.
    fn reply(&self, refusal: &Refusal) -> Reply {
        refusal.reply(&self.host.rules.settings.hostname)
    }

    /// Writes a refusal; 421 says that the connection ends (RFC 5321 §4.2.3).
    fn tell(&mut self, reply: &Reply) -> Onward {
        self.wire.queue(reply);
        if reply.code() == ReplyCode::NOT_AVAILABLE { Onward::Close } else { Onward::Continue }
    }

    /// How long the client may say nothing, or take no reply.
    fn patience(&self) -> Duration {
        let Timeouts { command, .. } = *self.timeouts();
        match self.place.standing() {
            Standing::Admitted => command,
            Standing::Unadmitted => command.min(self.unadmitted_wait()),
        }
    }

    /// When the connection has lasted as long as it may.
    fn end_at_latest(&self) -> Instant {
        let Timeouts { connection, .. } = *self.timeouts();
        let lasts = match self.place.standing() {
            Standing::Admitted => connection,
            Standing::Unadmitted => {
                connection.min(self.unadmitted_wait().saturating_mul(UNADMITTED_WAITS))
            }
        };
        after(self.place.since(), lasts)
    }

    /// Until when the client is waited for.
    fn waits_until(&self) -> Instant {
        from_now(self.patience()).min(self.end_at_latest())
    }

    /// How long a client that is not admitted is waited for.
    fn unadmitted_wait(&self) -> Duration {
        unadmitted_wait(&self.host, &self.session, &self.place)
    }

    /// How long things may take.
    fn timeouts(&self) -> &Timeouts {
        &self.host.rules.settings.timeouts
    }
}

/// How long a client that is not admitted is waited for: less where it could not log in anyway, and
/// while others like it take up much room.
pub(crate) fn unadmitted_wait(host: &Host, session: &Session, place: &Place) -> Duration {
    let Timeouts { unadmitted, .. } = host.rules.settings.timeouts;
    if session.may_log_in_later() && !place.is_crowded() {
        unadmitted
    } else {
        unadmitted / UNADMITTED_HURRY
    }
}

#[cfg(test)]
mod tests;
