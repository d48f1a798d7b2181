//! How a message comes in: after 354 up to a dot, or in counted chunks (RFC 5321 §4.1.1.4,
//! RFC 3030).

use std::time::Duration;

use smtp::{Chunk, Class, EnhancedCode, Reply, ReplyCode, ReversePath, in_a_row};
use submission::{Edits, Staged};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use tracing::info;

use super::dialogue::{Dialogue, Onward};
use crate::intake::{Intake, Kept, MessageRules, Reach, SignedDraft, edits};
use crate::observer::{Channel, Refused, Taken};
use crate::protocol::Protocol;
use crate::received_field::ReceivedField;
use crate::refusal::Refusal;
use crate::session::Incoming;
use crate::settings::{CheckFrom, Limits, Timeouts};
use crate::wire::{WireFault, from_now};

/// How many bytes are read at once at the beginning of a message; doubled while they are filled.
const FIRST_DATA_ROOM: usize = 8 << 10;

/// How many bytes of a message are read at once at most.
const MAX_DATA_ROOM: usize = 64 << 10;

/// A message that is being taken, and what is logged of it.
#[derive(Debug)]
pub(super) struct Begun {
    intake: Intake,
    /// Who it is from.
    from: ReversePath,
    /// Who it is from as the client said, where that was rewritten.
    rewritten_from: Option<ReversePath>,
    recipients: usize,
    /// The first of the recipients.
    to: String,
    /// What staging has made of it.
    staged: Staged,
    protocol: Protocol,
}

/// So many recipients are named when a message is accepted; each is when it is tried.
const NAMED: usize = 100;

/// How fast a message must come.
#[derive(Debug)]
struct DataRate {
    begun: Instant,
    /// When it must be there.
    end: Instant,
    /// How long nothing may come.
    silence: Duration,
    grace: Duration,
    /// Bytes in a second.
    least: u64,
    received: u64,
}

/// Takes a message: its draft, the 354, its bytes, its end.
pub(super) async fn receive<S: AsyncRead + AsyncWrite + Unpin>(
    dialogue: &mut Dialogue<S>,
    incoming: Incoming,
) -> Result<Onward, WireFault> {
    let mut begun = match begin(dialogue, incoming, Intake::by_dot).await {
        Ok(begun) => begun,
        Err(refusal) => return Ok(dialogue.refuse_data(&refusal)),
    };
    dialogue.wire.queue(&go_ahead());
    dialogue.wire.flush(dialogue.waits_until()).await?;
    let read = read_message(dialogue, &mut begun.intake).await;
    end_message(dialogue, begun, read).await
}

/// A message that comes in chunks.
pub(super) async fn begin_chunks<S: AsyncRead + AsyncWrite + Unpin>(
    dialogue: &Dialogue<S>,
    incoming: Incoming,
) -> Result<Begun, Refusal> {
    begin(dialogue, incoming, Intake::in_chunks).await
}

/// Takes one chunk, which may be the last (RFC 3030 §2); the message, if more of it is to come.
pub(super) async fn take_chunk<S: AsyncRead + AsyncWrite + Unpin>(
    dialogue: &mut Dialogue<S>,
    mut begun: Begun,
    size: u64,
    chunk: Chunk,
) -> Result<(Onward, Option<Begun>), WireFault> {
    let read = read_chunk(dialogue, Some(&mut begun.intake), size).await;
    if chunk == Chunk::More && matches!(read, Ok(Ok(()))) && !begun.intake.is_refused() {
        dialogue.wire.queue(&octets_received(size));
        return Ok((Onward::Continue, Some(begun)));
    }
    dialogue.session.end_chunks();
    Ok((end_message(dialogue, begun, read).await?, None))
}

/// Drops the octets of a chunk that nobody wants: they are no commands.
pub(super) async fn discard<S: AsyncRead + AsyncWrite + Unpin>(
    dialogue: &mut Dialogue<S>,
    size: u64,
    refusal: &Refusal,
) -> Result<Onward, WireFault> {
    match read_chunk(dialogue, None, size).await? {
        Ok(()) => Ok(dialogue.refuse(refusal)),
        Err(refusal) => Ok(dialogue.refuse(&refusal)),
    }
}

/// The message is there, or will not come.
async fn end_message<S: AsyncRead + AsyncWrite + Unpin>(
    dialogue: &mut Dialogue<S>,
    begun: Begun,
    read: Result<Result<(), Refusal>, WireFault>,
) -> Result<Onward, WireFault> {
    let Begun { intake, from, rewritten_from, recipients, to, staged, protocol } = begun;
    let (size, peer) = (intake.size(), dialogue.session.peer());
    let sender = rewritten_from.as_ref().unwrap_or(&from);
    match read {
        Ok(Ok(())) => {}
        Ok(Err(refusal)) => return Ok(refuse_message(dialogue, &refusal, sender)),
        Err(error) => {
            info!(%peer, from = %sender, size, %error, "connection lost during message");
            dialogue.host.observer.refused(Refused::Message, "cut-off");
            return Err(error);
        }
    }
    match intake.commit().await {
        Ok(Kept { committed, message_id }) => {
            let (queue_id, user) = (committed.id(), dialogue.session.user());
            let tls = protocol.tls.as_ref().map(|tls| tls.version);
            info!(
                %queue_id, %peer, user, %from, to, recipients, size, tls, message_id,
                staged = staged_word(staged), rewritten_from = rewritten_from.as_ref().map(tracing::field::display),
                "message accepted"
            );
            info!(target: "maillog", %queue_id, %peer, %from, recipients, size, "taken");
            let channel = tls.map_or(Channel::Plaintext, |_version| Channel::Tls);
            dialogue.host.observer.accepted(Taken { recipients, size, channel });
            dialogue.session.accepted();
            dialogue.wire.queue(&committed.reply());
            Ok(Onward::Continue)
        }
        Err(refusal) => {
            dialogue.session.count(&refusal);
            Ok(refuse_message(dialogue, &refusal, sender))
        }
    }
}

/// A draft that begins with our Received header field (RFC 5321 §4.4).
async fn begin<S: AsyncRead + AsyncWrite + Unpin>(
    dialogue: &Dialogue<S>,
    incoming: Incoming,
    intake: fn(SignedDraft, Limits, MessageRules) -> Intake,
) -> Result<Begun, Refusal> {
    let Incoming { submitter, envelope, rewritten_from, client_name, protocol, staged, .. } =
        incoming;
    let (from, recipients) = (envelope.reverse_path().clone(), envelope.recipients().len());
    let named = envelope.recipients().iter().take(NAMED);
    let to = in_a_row(named.map(|one| &one.mailbox));
    let settings = &dialogue.host.rules.settings;
    let mut draft = dialogue.host.queue.begin(submitter, envelope)?;
    let received = ReceivedField {
        client_name: &client_name,
        peer: dialogue.session.peer(),
        hostname: &settings.hostname,
        protocol: &protocol,
        id: draft.id(),
        at: dialogue.host.clock.wall(),
    };
    draft.write(received.text().as_bytes()).await?;
    let session = &dialogue.session;
    let (at, user) = (received.at, session.user_address());
    let rules = MessageRules {
        bare_newlines: settings.submission.bare_newlines,
        allowed: session.senders().filter(|_| settings.check_from == CheckFrom::Yes),
        edits: Edits {
            original_recipients: incoming.original_recipients,
            rewriting: incoming.rewriting,
            ..edits(&settings.submission, at, draft.id(), &settings.hostname, user)
        },
    };
    let draft = SignedDraft::new(draft, &settings.signing, at);
    let intake = intake(draft, settings.limits, rules);
    Ok(Begun { intake, from, rewritten_from, recipients, to, staged, protocol })
}

/// Reads a message to its end.
async fn read_message<S: AsyncRead + AsyncWrite + Unpin>(
    dialogue: &mut Dialogue<S>,
    intake: &mut Intake,
) -> Result<Result<(), Refusal>, WireFault> {
    let mut rate = rate(dialogue);
    let mut room = FIRST_DATA_ROOM;
    loop {
        rate.count(dialogue.wire.input().len());
        if intake.take(dialogue.wire.input()).await == Reach::End {
            return Ok(Ok(()));
        }
        if let Err(refusal) = read_more(dialogue, &rate, room).await? {
            return Ok(Err(refusal));
        }
        if dialogue.wire.input().len() >= room {
            room = room.saturating_mul(2).min(MAX_DATA_ROOM);
        }
    }
}

/// Reads as many octets as the client counted, into a message or into nothing.
async fn read_chunk<S: AsyncRead + AsyncWrite + Unpin>(
    dialogue: &mut Dialogue<S>,
    mut intake: Option<&mut Intake>,
    size: u64,
) -> Result<Result<(), Refusal>, WireFault> {
    let mut rate = rate(dialogue);
    let mut left = size;
    loop {
        let input = dialogue.wire.input();
        let here = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
        let mut piece = input.split_to(here);
        left = left.saturating_sub(u64::try_from(here).unwrap_or(u64::MAX));
        rate.count(here);
        if let Some(intake) = &mut intake
            && !piece.is_empty()
        {
            intake.take(&mut piece).await;
        }
        if left == 0 {
            return Ok(Ok(()));
        }
        let room = usize::try_from(left).unwrap_or(usize::MAX).min(MAX_DATA_ROOM);
        if let Err(refusal) = read_more(dialogue, &rate, room).await? {
            return Ok(Err(refusal));
        }
    }
}

/// Reads the next bytes, or says why they are not waited for.
async fn read_more<S: AsyncRead + AsyncWrite + Unpin>(
    dialogue: &mut Dialogue<S>,
    rate: &DataRate,
    room: usize,
) -> Result<Result<(), Refusal>, WireFault> {
    let silent = from_now(rate.silence).min(rate.end);
    let slow = rate.due();
    match dialogue.wire.read(room, silent.min(slow)).await {
        Ok(()) => Ok(Ok(())),
        Err(WireFault::TimedOut) if slow < silent => Ok(Err(Refusal::TooSlow)),
        Err(WireFault::TimedOut) => Ok(Err(Refusal::TimedOut)),
        Err(fault) => Err(fault),
    }
}

/// How fast the message that begins now must come.
fn rate<S: AsyncRead + AsyncWrite + Unpin>(dialogue: &Dialogue<S>) -> DataRate {
    let Timeouts { data, message, data_grace, .. } = *dialogue.timeouts();
    DataRate {
        begun: Instant::now(),
        end: from_now(message),
        silence: data,
        grace: data_grace,
        least: dialogue.host.rules.settings.limits.data_rate,
        received: 0,
    }
}

/// Refuses a message that was read.
fn refuse_message<S: AsyncRead + AsyncWrite + Unpin>(
    dialogue: &mut Dialogue<S>,
    refusal: &Refusal,
    from: &ReversePath,
) -> Onward {
    let reply = dialogue.reply(refusal);
    let (peer, user, reason) = (dialogue.session.peer(), dialogue.session.user(), refusal.label());
    info!(%peer, user, %from, reason, reply = reply.one_line(), "message refused");
    dialogue.host.observer.refused(Refused::Message, reason);
    dialogue.answer(&reply)
}

impl DataRate {
    /// So many bytes more have come.
    fn count(&mut self, bytes: usize) {
        self.received = self.received.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
    }

    /// When the next byte must have come for the rate to be kept in the mean.
    fn due(&self) -> Instant {
        match self.received.checked_div(self.least) {
            // No more than a day: nobody sends for longer, and the clock does not reach further.
            Some(seconds) => self.begun + self.grace + Duration::from_secs(seconds.min(86_400)),
            None => self.end,
        }
    }
}

/// What staging has made of a message, for the log; nothing where it leaves as usual.
const fn staged_word(staged: Staged) -> Option<&'static str> {
    match staged {
        Staged::Held => Some("held"),
        Staged::Redirected => Some("redirected"),
        Staged::Sent => None,
    }
}

/// 354; it has no enhanced code (RFC 2034 §4).
fn go_ahead() -> Reply {
    Reply::new(ReplyCode::START_MAIL_INPUT, None, "end the message with a dot on a line of its own")
}

/// The 250 to a chunk that is not the last.
fn octets_received(size: u64) -> Reply {
    let octets = if size == 1 { "octet" } else { "octets" };
    let text = format!("{size} {octets} received");
    let ok = EnhancedCode::new(Class::Success, 0, 0);
    Reply::new(ReplyCode::OK, Some(ok), &text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_octet_is_not_many() {
        assert_eq!(octets_received(0).to_string(), "250 2.0.0 0 octets received\r\n");
        assert_eq!(octets_received(1).to_string(), "250 2.0.0 1 octet received\r\n");
        assert_eq!(octets_received(2).to_string(), "250 2.0.0 2 octets received\r\n");
    }
}
