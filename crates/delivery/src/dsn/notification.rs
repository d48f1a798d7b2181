//! What a notification is made of.

use std::time::SystemTime;

use mail::{Message, QueueId};
use smtp::{Domain, Mailbox};

use super::news::About;

/// How much of a message's header a notification returns, in bytes.
pub(crate) const RETURNED_HEADER_MAX: usize = 16 * 1024;

/// The largest message that is returned whole, in bytes; of others the header is (RFC 3461 §4.3:
/// what is asked for by RET=FULL is no duty).
pub(crate) const RETURNED_MESSAGE_MAX: usize = 64 * 1024;

/// Tells a sender what became of recipients of a message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Notification<'a> {
    /// The relay's own name.
    pub(crate) hostname: &'a Domain,
    /// The queue id of the notification itself, for its Message-ID.
    pub(crate) id: QueueId,
    /// A word that stands nowhere else in the notification (RFC 2046 §5.1.1).
    pub(crate) boundary: &'a str,
    /// When it is written.
    pub(crate) now: SystemTime,
    /// Who is told.
    pub(crate) sender: &'a Mailbox,
    /// The queue id of the message.
    pub(crate) message_id: QueueId,
    /// The message: what its sender wishes, and whether it is internationalised.
    pub(crate) message: &'a Message,
    /// Until when attempts go on for those whose mail is late.
    pub(crate) retry_until: Option<SystemTime>,
    /// What became of whom; never empty.
    pub(crate) about: &'a [About<'a>],
    /// What is returned of the message.
    pub(crate) returned: Returned<'a>,
}

/// What is returned of a message.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Returned<'a> {
    /// Its header: the message's beginning, as much of the header as there is, and perhaps more.
    Header(&'a [u8]),
    /// All of it.
    Whole(&'a [u8]),
}

impl Returned<'_> {
    /// Whether it can be sent without 8BITMIME; a header is made ASCII where it must be.
    pub(crate) fn is_ascii(&self) -> bool {
        match self {
            Returned::Header(_) => true,
            Returned::Whole(message) => message.is_ascii(),
        }
    }
}
