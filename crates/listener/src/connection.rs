//! One connection, from its greeting to its end: reads lines, does what the session says, writes
//! replies (RFC 5321 §3.1, RFC 2920 §3.2).
//!
//! It works over any stream, so that TLS is a matter of which stream it is given.

mod dialogue;
mod login;
mod message;

use std::sync::Arc;

use smtp::{Chunk, Line, LineFault, LineFramer, Reply};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use self::dialogue::{Dialogue, Onward};
use self::login::verify;
use self::message::{Begun, begin_chunks, discard, receive, take_chunk};
use crate::connections::ConnectionPermit;
use crate::host::Host;
use crate::refusal::Refusal;
use crate::session::{Incoming, Session, Step};
use crate::wire::{Wire, WireFault, from_now};

/// How many bytes are read at once while commands are awaited.
const COMMAND_ROOM: usize = 2 << 10;

/// One connection.
#[derive(Debug)]
pub(crate) struct Connection<S> {
    dialogue: Dialogue<S>,
    framer: LineFramer,
    /// The message that is being sent in chunks.
    begun: Option<Begun>,
    stop: CancellationToken,
}

/// What is said first.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Opening {
    /// We greet.
    Greeting,
    /// The client goes on, after STARTTLS.
    None,
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
        permit: ConnectionPermit,
    ) -> Self {
        let dialogue = Dialogue { wire: Wire::new(stream), session, host, permit };
        let framer = LineFramer::new(LineFramer::COMMAND_LIMIT);
        Self { dialogue, framer, begun: None, stop }
    }

    /// Talks with the client until one of both goes, or until TLS is to go on with the stream.
    pub(crate) async fn run(mut self, opening: Opening) -> Option<(S, Session, ConnectionPermit)> {
        let talked = self.talk(opening).await;
        let farewell = self.dialogue.timeouts().farewell;
        let ended = match talked {
            Ok(Onward::Secure) => {
                let Dialogue { wire, session, permit, .. } = self.dialogue;
                return Some((wire.into_stream(), session, permit));
            }
            Ok(Onward::Close | Onward::Continue) => self.dialogue.wire.close(farewell).await,
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
        self.dialogue.refuse_connection(&refusal);
        let farewell = self.dialogue.timeouts().farewell;
        if let Err(error) = self.dialogue.wire.close(farewell).await {
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
                    let step = self.dialogue.session.hear(line, self.dialogue.host.queue.health());
                    let onward = self.act(step).await?;
                    if !self.dialogue.session.in_chunks() {
                        self.begun = None;
                    }
                    onward
                }
                Heard::Nothing(why) => self.dialogue.end(&why),
            };
            self.dialogue.wire.flush_if_full(self.dialogue.waits_until()).await?;
        }
        Ok(onward)
    }

    /// Greets a client that waits for it. One that does not is no mail client, or speaks for
    /// someone who cannot hear us (RFC 5321 §3.1, §4.3.1).
    async fn greet(&mut self) -> Result<Onward, WireFault> {
        let delay = self.dialogue.timeouts().greeting_delay;
        match self.dialogue.wire.read(COMMAND_ROOM, from_now(delay)).await {
            Ok(()) => {
                self.dialogue.refuse_connection(&Refusal::SpokeFirst);
                return Ok(Onward::Close);
            }
            Err(WireFault::TimedOut) => {}
            Err(fault) => return Err(fault),
        }
        self.dialogue.wire.queue(&self.dialogue.session.greeting());
        Ok(Onward::Continue)
    }

    /// The next line. Replies are written before it is waited for (RFC 2920 §3.2).
    async fn listen(&mut self) -> Result<Heard, WireFault> {
        let (patience, end) = (from_now(self.dialogue.patience()), self.dialogue.end_at_latest());
        loop {
            if self.stop.is_cancelled() {
                return Ok(Heard::Nothing(Refusal::ShuttingDown));
            }
            if Instant::now() >= end {
                return Ok(Heard::Nothing(Refusal::ConnectionTooOld));
            }
            match self.framer.next(self.dialogue.wire.input()) {
                Ok(Some(line)) => return Ok(Heard::Line(Ok(line))),
                Ok(None) => {}
                Err(fault) => return Ok(Heard::Line(Err(fault))),
            }
            self.dialogue.wire.flush(patience.min(end)).await?;
            self.dialogue.wire.rest();
            let read = tokio::select! {
                biased;
                () = self.stop.cancelled() => continue,
                read = self.dialogue.wire.read(COMMAND_ROOM, patience.min(end)) => read,
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
                self.dialogue.wire.queue(&reply);
                Ok(Onward::Continue)
            }
            Step::Leave(reply) => {
                self.dialogue.wire.queue(&reply);
                Ok(Onward::Close)
            }
            Step::Refuse(refusal) => Ok(self.dialogue.refuse(&refusal)),
            Step::RefuseAndLeave(refusal) => {
                self.dialogue.refuse(&refusal);
                Ok(Onward::Close)
            }
            Step::RefuseData(refusal) => Ok(self.dialogue.refuse_data(&refusal)),
            Step::Receive(incoming) => Box::pin(receive(&mut self.dialogue, *incoming)).await,
            Step::Chunk { size, chunk, incoming } => {
                Box::pin(self.chunk(size, chunk, incoming)).await
            }
            Step::Discard { size, refusal } => {
                Box::pin(discard(&mut self.dialogue, size, &refusal)).await
            }
            Step::StartTls(reply) => self.start_tls(&reply).await,
            Step::Verify(credentials) => verify(&mut self.dialogue, credentials).await,
        }
    }

    /// Takes a chunk, into the message that is being sent in chunks or into a new one.
    async fn chunk(
        &mut self,
        size: u64,
        chunk: Chunk,
        incoming: Option<Box<Incoming>>,
    ) -> Result<Onward, WireFault> {
        let begun = match incoming {
            Some(incoming) => begin_chunks(&self.dialogue, *incoming).await,
            None => self.begun.take().ok_or(Refusal::MailFirst),
        };
        match begun {
            Ok(begun) => {
                let (onward, begun) = take_chunk(&mut self.dialogue, begun, size, chunk).await?;
                self.begun = begun;
                Ok(onward)
            }
            Err(refusal) => {
                self.dialogue.session.end_chunks();
                discard(&mut self.dialogue, size, &refusal).await
            }
        }
    }

    /// Says that TLS may begin, unless something was said behind STARTTLS already: it came in
    /// clear, and would be obeyed as if it had come under TLS (CVE-2011-0411).
    async fn start_tls(&mut self, reply: &Reply) -> Result<Onward, WireFault> {
        if !self.dialogue.wire.input().is_empty() {
            return Ok(self.dialogue.refuse(&Refusal::PipelinedStartTls));
        }
        self.dialogue.wire.queue(reply);
        self.dialogue.wire.flush(self.dialogue.waits_until()).await?;
        Ok(Onward::Secure)
    }
}

#[cfg(test)]
mod tests;
