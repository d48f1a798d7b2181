//! A message on its way in: from the bytes after 354, or those that BDAT counts, to the queue
//! (RFC 5321 §4.1.1.4, RFC 3030).
//!
//! Once it is clear that the message is refused, its draft is dropped and the rest is read only to
//! find its end, so that no line of it is ever taken for a command.

mod framing;
mod held_header;
mod signed_draft;

use access::AllowedSenders;
use bytes::BytesMut;
use queue::Committed;
use submission::{Edited, Edits};

use self::framing::Framing;
pub(crate) use self::framing::Reach;
pub(crate) use self::held_header::{HeldHeader, edits};
pub(crate) use self::signed_draft::SignedDraft;
use crate::header::HeaderScan;
use crate::message_id::MessageIdScan;
use crate::refusal::Refusal;
use crate::settings::{BareNewlines, Limits};

/// A message on its way in.
#[derive(Debug)]
pub(crate) struct Intake {
    /// The draft, or why the message is refused.
    draft: Result<SignedDraft, Refusal>,
    framing: Framing,
    header: HeaderScan,
    message_id: MessageIdScan,
    /// The header section, where something is to be done once it is whole.
    held: Option<HeldHeader>,
    /// The Message-ID that the message got because it had none.
    given_id: Option<String>,
    /// Who the From field may name, until it has been looked at.
    allowed: Option<AllowedSenders>,
    size: u64,
    limits: Limits,
    /// The piece at hand without the dots added for transparency.
    piece: Vec<u8>,
    /// What the header section has become so far and is not yet in the draft.
    head: Vec<u8>,
}

/// What is looked at and changed in a message.
#[derive(Debug)]
pub(crate) struct MessageRules {
    /// What becomes of line ends that lack their CR.
    pub(crate) bare_newlines: BareNewlines,
    /// Who the From field may name, where that is looked at.
    pub(crate) allowed: Option<AllowedSenders>,
    /// What is done once the header is whole.
    pub(crate) edits: Edits,
}

/// A message that is in the queue.
#[derive(Debug)]
pub(crate) struct Kept {
    /// The promise to keep it.
    pub(crate) committed: Committed,
    /// Its Message-ID, for the log.
    pub(crate) message_id: Option<String>,
}

/// Whether the header section has ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum HeaderEnd {
    /// More of it may come.
    Ahead,
    /// It is whole.
    Reached,
}

impl Intake {
    /// A message that goes into `draft` and ends with a dot.
    pub(crate) fn by_dot(draft: SignedDraft, limits: Limits, rules: MessageRules) -> Self {
        let framing = Framing::by_dot(limits, rules.bare_newlines);
        Self::new(draft, framing, limits, rules)
    }

    /// A message that goes into `draft` and comes in chunks.
    pub(crate) fn in_chunks(draft: SignedDraft, limits: Limits, rules: MessageRules) -> Self {
        let body = draft.body_type();
        let framing = Framing::in_chunks(limits, rules.bare_newlines, body);
        Self::new(draft, framing, limits, rules)
    }

    fn new(draft: SignedDraft, framing: Framing, limits: Limits, rules: MessageRules) -> Self {
        let MessageRules { bare_newlines: _, allowed, edits } = rules;
        let header = if allowed.is_some() { HeaderScan::keeping_from() } else { HeaderScan::new() };
        Self {
            draft: Ok(draft),
            framing,
            header,
            message_id: MessageIdScan::new(),
            held: HeldHeader::until_whole(edits),
            given_id: None,
            allowed,
            size: 0,
            limits,
            piece: Vec::new(),
            head: Vec::new(),
        }
    }

    /// Takes the message's bytes from the front of `input`.
    pub(crate) async fn take(&mut self, input: &mut BytesMut) -> Reach {
        let reach = self.framing.take(input, &mut self.piece);
        self.keep().await;
        reach
    }

    /// The size of the message so far, without our own header fields.
    pub(crate) const fn size(&self) -> u64 {
        self.size
    }

    /// Whether the message is refused already, whatever comes.
    pub(crate) const fn is_refused(&self) -> bool {
        self.draft.is_err()
    }

    /// Makes the message durable, if it is to be kept.
    pub(crate) async fn commit(mut self) -> Result<Kept, Refusal> {
        if self.draft.is_ok()
            && let Err(refusal) = self.judge_from()
        {
            self.draft = Err(refusal);
        }
        self.header.finish(&mut self.head);
        self.edit_head(HeaderEnd::Reached);
        self.tag().await;
        let mut draft = self.draft?;
        if let Some(fault) = self.framing.finish().gravest() {
            return Err(fault.into());
        }
        if !self.head.is_empty() {
            draft.write(&self.head).await?;
        }
        let committed = draft.commit().await?;
        Ok(Kept { committed, message_id: self.message_id.id().or(self.given_id) })
    }

    /// Judges the piece at hand and puts it into the draft.
    async fn keep(&mut self) {
        if self.draft.is_err() {
            return;
        }
        let length = u64::try_from(self.piece.len()).unwrap_or(u64::MAX);
        self.size = self.size.saturating_add(length);
        let taken = self.header.take(&self.piece, &mut self.head);
        self.message_id.feed(&self.piece);
        self.framing.header(self.piece.get(..taken).unwrap_or(&self.piece));
        if let Err(refusal) = self.judge() {
            self.draft = Err(refusal);
        }
        let end = if self.header.has_ended() { HeaderEnd::Reached } else { HeaderEnd::Ahead };
        self.edit_head(end);
        if end == HeaderEnd::Reached {
            self.tag().await;
        }
        let Ok(draft) = &mut self.draft else { return };
        let body = self.piece.get(taken..).unwrap_or_default();
        let mut written = Ok(());
        for part in [&self.head, body] {
            if written.is_ok() && !part.is_empty() {
                written = draft.write(part).await;
            }
        }
        self.head.clear();
        if let Err(error) = written {
            self.draft = Err(error);
        }
    }

    /// Tags the message with what its header, which is whole, says about TLS (RFC 8689 §4.1).
    async fn tag(&mut self) {
        let fields = self.header.take_tls_required();
        if let Ok(draft) = &mut self.draft
            && let Err(refusal) = draft.tag(&fields).await
        {
            self.draft = Err(refusal);
        }
    }

    /// Holds the piece of the header at hand back until the header is whole, and then edits it.
    fn edit_head(&mut self, end: HeaderEnd) {
        let Some(mut held) = self.held.take().filter(|_| self.draft.is_ok()) else { return };
        held.hold(&self.head);
        self.head.clear();
        match end {
            HeaderEnd::Ahead => self.held = Some(held),
            HeaderEnd::Reached => {
                let Edited { bytes, given_id } = held.edited();
                (self.head, self.given_id) = (bytes, given_id);
                if let Err(refusal) = self.judge_head() {
                    self.draft = Err(refusal);
                }
            }
        }
    }

    /// Says whether the header section has become too large: short addresses may have become long.
    fn judge_head(&self) -> Result<(), Refusal> {
        let limit = self.limits.header_size;
        let size = u64::try_from(self.head.len()).unwrap_or(u64::MAX);
        if size > limit { Err(Refusal::HeaderTooLarge { limit }) } else { Ok(()) }
    }

    /// Says why the message so far is refused, if it is.
    fn judge(&mut self) -> Result<(), Refusal> {
        let Limits { message_size, header_size, received_fields, .. } = self.limits;
        if let Some(fault) = self.framing.faults().gravest() {
            return Err(fault.into());
        }
        if !self.framing.is_binary() && memchr::memchr(0, &self.piece).is_some() {
            return Err(Refusal::NulInMessage);
        }
        if self.size > message_size {
            return Err(Refusal::MessageTooLarge { limit: message_size });
        }
        if self.header.size() > header_size {
            return Err(Refusal::HeaderTooLarge { limit: header_size });
        }
        if self.header.received() >= received_fields {
            return Err(Refusal::Loop { limit: received_fields });
        }
        if self.header.has_ended() { self.judge_from() } else { Ok(()) }
    }

    /// Says whether the From field of a header that is whole names somebody else than it may. There
    /// is one such field and everybody in it is meant (RFC 5322 §3.6.2); without any, readers are
    /// shown the sender of the envelope.
    fn judge_from(&mut self) -> Result<(), Refusal> {
        let Some(allowed) = self.allowed.take() else { return Ok(()) };
        let mut fields = self.header.said_by_from();
        let (field, second) = (fields.next().unwrap_or_default(), fields.next());
        let named = smtp::mailboxes(field).filter(|_| second.is_none());
        match named {
            None => Err(Refusal::FromUnclear),
            Some(named) => match named.iter().find(|mailbox| !allowed.hold(mailbox)) {
                Some(other) => Err(Refusal::FromNotAllowed { mailbox: other.clone() }),
                None => Ok(()),
            },
        }
    }
}
