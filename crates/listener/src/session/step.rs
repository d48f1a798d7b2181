//! What a session asks for: what is to be done about a line.

use access::Submitter;
use queue::Envelope;
use smtp::{Chunk, ClientName, Credentials, Mailbox, Reply, ReversePath};
use submission::{Rewriting, Staged};

use crate::protocol::Protocol;
use crate::refusal::Refusal;

/// What is to be done about a line.
#[derive(Debug)]
pub(crate) enum Step {
    /// Take so many octets of a message, the first ones of it when there is a transaction.
    Chunk {
        /// How many octets.
        size: u64,
        /// Whether more are to come.
        chunk: Chunk,
        /// The transaction, when these are the first.
        incoming: Option<Box<Incoming>>,
    },
    /// Drop so many octets, then refuse.
    Discard {
        /// How many octets.
        size: u64,
        /// Why.
        refusal: Refusal,
    },
    /// The client wants to go: reply and close.
    Leave(Reply),
    /// Take the message.
    Receive(Box<Incoming>),
    /// Refuse the line; log why.
    Refuse(Refusal),
    /// Refuse the line and close: what follows it may be anything.
    RefuseAndLeave(Refusal),
    /// Refuse DATA: what the client may have sent behind it is no command (RFC 2920 §3.1).
    RefuseData(Refusal),
    /// Reply.
    Reply(Reply),
    /// Reply, then shake hands.
    StartTls(Reply),
    /// Check whether the password is right.
    Verify(Credentials),
}

/// A transaction that has all it needs but the message.
#[derive(Debug)]
pub(crate) struct Incoming {
    /// Licence to put the message into the queue.
    pub(crate) submitter: Submitter,
    /// Who the message is from, with its sender rewritten, and for.
    pub(crate) envelope: Envelope,
    /// Who it is from as the client said, where that was rewritten.
    pub(crate) rewritten_from: Option<ReversePath>,
    /// Which addresses in its header become others.
    pub(crate) rewriting: Rewriting,
    /// For whom the message was, where staging has put others in their place.
    pub(crate) original_recipients: Vec<Mailbox>,
    /// What staging has made of the message.
    pub(crate) staged: Staged,
    /// How the client called itself.
    pub(crate) client_name: ClientName,
    /// How the message comes, for its Received header field.
    pub(crate) protocol: Protocol,
}

impl Incoming {
    /// Who the message is from as the client said.
    pub(crate) fn sender(&self) -> &ReversePath {
        self.rewritten_from.as_ref().unwrap_or_else(|| self.envelope.reverse_path())
    }
}
