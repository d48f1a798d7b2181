//! The header section of a message, held back until it is whole.
//!
//! This is the one place where a message's header is complete before its body goes on. What is held
//! is bounded by `limits.header_size`: a message with a longer header is refused.

use std::time::SystemTime;

use queue::QueueId;
use smtp::{Domain, Mailbox};
use submission::{Additions, Edited, Edits};

use crate::received_field::date_time;
use crate::settings::{AddedField, Submission};

/// The header section of a message, held back until it is whole.
#[derive(Debug)]
pub(crate) struct HeldHeader {
    edits: Edits,
    held: Vec<u8>,
}

impl HeldHeader {
    /// Holds nothing yet; none where nothing is to be done once the header is whole.
    pub(crate) fn until_whole(edits: Edits) -> Option<Self> {
        (!edits.are_none()).then(|| Self { edits, held: Vec::new() })
    }

    /// Holds the next piece too.
    pub(crate) fn hold(&mut self, piece: &[u8]) {
        self.held.extend_from_slice(piece);
    }

    /// The header section is whole.
    pub(crate) fn edited(self) -> Edited {
        self.edits.apply(&self.held)
    }
}

/// What is done to the header of a message received at `at`; `id` and `hostname` make a Message-ID,
/// and `user` is the address of the user who submits it.
pub(crate) fn edits(
    submission: &Submission,
    at: SystemTime,
    id: QueueId,
    hostname: &Domain,
    user: Option<Mailbox>,
) -> Edits {
    let adds = |field| submission.add.contains(&field).then_some(());
    Edits {
        additions: Additions {
            date: adds(AddedField::Date).map(|()| date_time(at)),
            // A header beyond ASCII is asked for by SMTPUTF8 (RFC 6531 §3.6), and nobody did.
            from: adds(AddedField::From).and(user).filter(Mailbox::is_ascii),
            message_id: adds(AddedField::MessageId).map(|()| format!("<{id}@{hostname}>")),
        },
        bcc: submission.bcc,
        ..Edits::default()
    }
}
