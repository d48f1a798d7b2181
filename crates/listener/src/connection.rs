//! One connection, from its greeting to its end: reads lines, does what the session says, writes
//! replies (RFC 5321 §3.1, RFC 2920 §3.2).
//!
//! It works over any stream, so that TLS is a matter of which stream it is given.

use std::net::IpAddr;
use std::sync::Arc;

use clock::Clock;
use queue::{Draft, Queue};
use smtp::{Line, LineFault, LineFramer, Reply, ReplyCode, ReversePath};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use crate::intake::{Intake, Reach};
use crate::refusal::Refusal;
use crate::session::{Incoming, Rules, Session, Step};
use crate::settings::Timeouts;
use crate::trace::ReceivedField;
use crate::wire::{Wire, WireFault, from_now};

/// How many bytes are read at once while commands are awaited.
const COMMAND_ROOM: usize = 2 << 10;

/// How many bytes are read at once at the beginning of a message; doubled while they are filled.
const FIRST_DATA_ROOM: usize = 4 << 10;

/// How many bytes of a message are read at once at most.
const MAX_DATA_ROOM: usize = 64 << 10;

/// What all connections of a listener share.
#[derive(Debug)]
pub(crate) struct Host {
    /// What sessions are judged by.
    pub(crate) rules: Arc<Rules>,
    /// Where messages go.
    pub(crate) queue: Queue,
    /// What Received header fields are dated by.
    pub(crate) clock: Arc<dyn Clock>,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Connection<S> {
    wire: Wire<S>,
    framer: LineFramer,
    session: Session,
    peer: IpAddr,
    host: Arc<Host>,
    stop: CancellationToken,
    /// When the connection has lasted as long as it may.
    end: Instant,
}

/// Whether the dialogue goes on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Onward {
    Close,
    Continue,
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
    /// A connection that was just accepted.
    pub(crate) fn new(stream: S, peer: IpAddr, host: Arc<Host>, stop: CancellationToken) -> Self {
        let timeouts = host.rules.settings.timeouts;
        Self {
            wire: Wire::new(stream, timeouts.command),
            framer: LineFramer::new(LineFramer::COMMAND_LIMIT),
            session: Session::new(Arc::clone(&host.rules), peer),
            peer,
            host,
            stop,
            end: from_now(timeouts.connection),
        }
    }

    /// Talks with the client until one of both goes.
    pub(crate) async fn run(mut self) {
        let talked = self.talk().await;
        let farewell = self.timeouts().farewell;
        let ended = match talked {
            Ok(()) => self.wire.close(farewell).await,
            Err(fault) => Err(fault),
        };
        match ended {
            Ok(()) => debug!("connection closed"),
            Err(error) => debug!(%error, "connection broken off"),
        }
    }

    /// Refuses the client before it has said a word.
    pub(crate) async fn turn_away(mut self, refusal: Refusal) {
        self.refuse_connection(&refusal);
        let farewell = self.timeouts().farewell;
        if let Err(error) = self.wire.close(farewell).await {
            debug!(%error, "connection broken off");
        }
    }

    /// The greeting, then line by line.
    async fn talk(&mut self) -> Result<(), WireFault> {
        let mut onward = self.greet().await?;
        while onward == Onward::Continue {
            onward = match self.listen().await? {
                Heard::Line(line) => {
                    let step = self.session.hear(line, self.host.queue.health());
                    self.act(step).await?
                }
                Heard::Nothing(why) => self.end(&why),
            };
            self.wire.flush_if_full().await?;
        }
        Ok(())
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
        let patience = from_now(self.timeouts().command);
        loop {
            if self.stop.is_cancelled() {
                return Ok(Heard::Nothing(Refusal::ShuttingDown));
            }
            if Instant::now() >= self.end {
                return Ok(Heard::Nothing(Refusal::ConnectionTooOld));
            }
            match self.framer.next(self.wire.input()) {
                Ok(Some(line)) => return Ok(Heard::Line(Ok(line))),
                Ok(None) => {}
                Err(fault) => return Ok(Heard::Line(Err(fault))),
            }
            self.wire.flush().await?;
            self.wire.rest();
            let read = tokio::select! {
                biased;
                () = self.stop.cancelled() => continue,
                read = self.wire.read(COMMAND_ROOM, patience.min(self.end)) => read,
            };
            match read {
                Ok(()) => {}
                Err(WireFault::TimedOut) if patience < self.end => {
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
            Step::RefuseData(refusal) => Ok(self.refuse_data(&refusal)),
            Step::Receive(incoming) => Box::pin(self.receive(*incoming)).await,
        }
    }

    /// Takes a message: its draft, the 354, its bytes, its end.
    async fn receive(&mut self, incoming: Incoming) -> Result<Onward, WireFault> {
        let from = incoming.envelope.reverse_path().clone();
        let recipients = incoming.envelope.recipients().len();
        let draft = match self.begin(incoming).await {
            Ok(draft) => draft,
            Err(refusal) => return Ok(self.refuse_data(&refusal)),
        };
        let mut intake = Intake::new(draft, self.host.rules.settings.limits);
        self.wire.queue(&go_ahead());
        self.wire.flush().await?;
        match self.read_message(&mut intake).await {
            Ok(()) => {}
            Err(WireFault::TimedOut) => {
                return Ok(self.refuse_message(&Refusal::TimedOut, &from));
            }
            Err(error) => {
                info!(peer = %self.peer, %from, size = intake.size(), %error, "message cut off");
                return Err(error);
            }
        }
        let size = intake.size();
        match intake.commit().await {
            Ok(committed) => {
                let (queue_id, peer) = (committed.id(), self.peer);
                info!(%queue_id, %peer, %from, recipients, size, "message accepted");
                self.session.accepted();
                self.wire.queue(&committed.reply());
                Ok(Onward::Continue)
            }
            Err(refusal) => {
                self.session.count(&refusal);
                Ok(self.refuse_message(&refusal, &from))
            }
        }
    }

    /// A draft that begins with our Received header field (RFC 5321 §4.4).
    async fn begin(&self, incoming: Incoming) -> Result<Draft, Refusal> {
        let Incoming { submitter, envelope, client_name, protocol } = incoming;
        let mut draft = self.host.queue.begin(submitter, envelope)?;
        let received = ReceivedField {
            client_name: &client_name,
            peer: self.peer,
            hostname: &self.host.rules.settings.hostname,
            protocol,
            id: draft.id(),
            at: self.host.clock.now(),
        };
        draft.write(received.to_string().as_bytes()).await?;
        Ok(draft)
    }

    /// Reads a message to its end.
    async fn read_message(&mut self, intake: &mut Intake) -> Result<(), WireFault> {
        let Timeouts { data, message, .. } = *self.timeouts();
        let end = from_now(message);
        let mut room = FIRST_DATA_ROOM;
        while intake.take(self.wire.input()).await == Reach::Midst {
            self.wire.read(room, end.min(from_now(data))).await?;
            if self.wire.input().len() >= room {
                room = room.saturating_mul(2).min(MAX_DATA_ROOM);
            }
        }
        Ok(())
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

    /// Refuses a message that was read.
    fn refuse_message(&mut self, refusal: &Refusal, from: &ReversePath) -> Onward {
        let reply = self.reply(refusal);
        let (peer, reason) = (self.peer, refusal.label());
        info!(%peer, %from, reason, reply = reply.one_line(), "message refused");
        self.tell(&reply)
    }

    /// Refuses the whole connection.
    fn refuse_connection(&mut self, refusal: &Refusal) {
        let reply = self.reply(refusal);
        let (peer, reason) = (self.peer, refusal.label());
        info!(%peer, reason, reply = reply.one_line(), "connection refused");
        self.wire.queue(&reply);
    }

    /// Ends the connection between two commands.
    fn end(&mut self, why: &Refusal) -> Onward {
        let reply = self.reply(why);
        debug!(reason = why.label(), "connection ended");
        self.wire.queue(&reply);
        Onward::Close
    }

    /// Refuses a command.
    fn refuse(&mut self, refusal: &Refusal) -> Onward {
        let reply = self.reply(refusal);
        let from = self.session.reverse_path().map(tracing::field::display);
        let (peer, reason) = (self.peer, refusal.label());
        info!(%peer, from, reason, reply = reply.one_line(), "command refused");
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

    /// How long things may take.
    fn timeouts(&self) -> &Timeouts {
        &self.host.rules.settings.timeouts
    }
}

/// 354; it has no enhanced code (RFC 2034 §4).
fn go_ahead() -> Reply {
    Reply::new(ReplyCode::START_MAIL_INPUT, None, "end the message with a dot on a line of its own")
}

#[cfg(test)]
mod tests;
