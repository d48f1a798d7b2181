//! A message on its way in: from the bytes after 354 to the queue (RFC 5321 §4.1.1.4).
//!
//! Once it is clear that the message is refused, its draft is dropped and the rest is read only to
//! find its end, so that no line of it is ever taken for a command.

use bytes::{Buf, BytesMut};
use queue::{Committed, Draft};
use smtp::{EndOfData, Progress};

use crate::header::HeaderScan;
use crate::refusal::Refusal;
use crate::settings::Limits;

/// A message on its way in.
#[derive(Debug)]
pub(crate) struct Intake {
    /// The draft, or why the message is refused.
    draft: Result<Draft, Refusal>,
    end: EndOfData,
    header: HeaderScan,
    size: u64,
    limits: Limits,
    /// The piece at hand without the dots added for transparency.
    piece: Vec<u8>,
}

/// Whether the message has ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Reach {
    /// It has; what is left of the input is no part of it.
    End,
    /// It has not, and all input is used up.
    Midst,
}

impl Intake {
    /// A message that goes into `draft`.
    pub(crate) fn new(draft: Draft, limits: Limits) -> Self {
        Self {
            draft: Ok(draft),
            end: EndOfData::with_line_limit(limits.line_length),
            header: HeaderScan::new(),
            size: 0,
            limits,
            piece: Vec::new(),
        }
    }

    /// Takes the message's bytes from the front of `input`.
    pub(crate) async fn take(&mut self, input: &mut BytesMut) -> Reach {
        self.piece.clear();
        let reach = match self.end.feed(input, &mut self.piece) {
            Progress::More => {
                input.clear();
                Reach::Midst
            }
            Progress::Done { consumed } => {
                input.advance(consumed);
                Reach::End
            }
        };
        self.keep().await;
        reach
    }

    /// The size of the message so far, without our own header field.
    pub(crate) const fn size(&self) -> u64 {
        self.size
    }

    /// Makes the message durable, if it is to be kept.
    pub(crate) async fn commit(self) -> Result<Committed, Refusal> {
        Ok(self.draft?.commit().await?)
    }

    /// Judges the piece at hand and puts it into the draft.
    async fn keep(&mut self) {
        if self.draft.is_err() {
            return;
        }
        let length = u64::try_from(self.piece.len()).unwrap_or(u64::MAX);
        self.size = self.size.saturating_add(length);
        self.header.feed(&self.piece);
        if let Err(refusal) = self.judge() {
            self.draft = Err(refusal);
        }
        if let Ok(draft) = &mut self.draft
            && let Err(error) = draft.write(&self.piece).await
        {
            self.draft = Err(error.into());
        }
    }

    /// Says why the message so far is refused, if it is.
    fn judge(&self) -> Result<(), Refusal> {
        let Limits { message_size, header_size, received_fields, .. } = self.limits;
        if let Some(fault) = self.end.faults().gravest() {
            return Err(fault.into());
        }
        if self.piece.contains(&0) {
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
        Ok(())
    }
}
