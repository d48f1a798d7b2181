//! The messages that MX hosts have taken.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use crate::tap::Tap;
use crate::tls::TlsSession;

/// A message an MX host has taken responsibility for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The name of the MX host.
    pub host: String,
    /// Where the MX host listens.
    pub address: SocketAddr,
    /// The client's address.
    pub peer: SocketAddr,
    /// What the client called itself in EHLO or HELO.
    pub client_name: String,
    /// The TLS session it came through, if it did not come in clear.
    pub tls: Option<TlsSession>,
    /// What stood between the angle brackets of MAIL FROM.
    pub reverse_path: String,
    /// The parameters of MAIL FROM, as they were written.
    pub mail_parameters: Vec<String>,
    /// The recipients that were accepted, in order.
    pub recipients: Vec<String>,
    /// The parameters of RCPT TO, as they were written, for each of them.
    pub recipient_parameters: Vec<Vec<String>>,
    /// The bytes of the message's chunks, or the bytes after DATA, without the dots that were added for the transfer; they end in CRLF
    /// unless there are none.
    pub data: Vec<u8>,
    /// What became of the reply to its end.
    pub(crate) answer: Arc<OnceLock<Answer>>,
}

/// What became of the reply that tells a client its message was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It was sent, and the connection was still there.
    Given,
    /// The client had gone before it could be sent.
    Unsent,
    /// The host was told to do something else at [`Step::Taken`](crate::Step::Taken).
    Withheld,
}

impl Message {
    /// What became of the reply to its end; nothing while that is due.
    #[must_use]
    pub fn answer(&self) -> Option<Answer> {
        self.answer.get().copied()
    }

    /// The data as text; what is not UTF-8 is replaced.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.data).into_owned()
    }

    /// The value of the first header field of this name, unfolded.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<String> {
        let text = self.text();
        let (header, _) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let unfolded = header.replace("\r\n ", " ").replace("\r\n\t", " ");
        unfolded.lines().find_map(|line| {
            let (field, value) = line.split_once(':')?;
            field.trim_end().eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    }
}

/// Where the messages of a world end up.
#[derive(Clone, Debug)]
pub struct Mailbox {
    messages: Arc<watch::Sender<Vec<Arc<Message>>>>,
    /// Only the messages of the host at this address, if there is one.
    of: Option<SocketAddr>,
    tap: Tap,
}

/// Fewer messages came than were waited for.
#[derive(Clone)]
pub struct NotYet {
    /// How many were waited for.
    pub wanted: usize,
    /// What had come when the time was up.
    pub messages: Vec<Arc<Message>>,
    /// What happened on the wire.
    story: String,
}

impl Mailbox {
    pub(crate) fn new(tap: Tap) -> Self {
        Self { messages: Arc::default(), of: None, tap }
    }

    /// The same mailbox, seen from one host.
    pub(crate) fn of(&self, address: SocketAddr) -> Self {
        Self { messages: Arc::clone(&self.messages), of: Some(address), tap: self.tap.clone() }
    }

    pub(crate) fn keep(&self, message: Message) {
        self.messages.send_modify(|messages| messages.push(Arc::new(message)));
    }

    /// The messages so far, in the order in which they were taken.
    #[must_use]
    pub fn messages(&self) -> Vec<Arc<Message>> {
        self.select(&self.messages.borrow())
    }

    /// Forgets the messages so far, and gives them: none that comes meanwhile is lost.
    pub fn forget(&self) -> Vec<Arc<Message>> {
        let of = self.of;
        let mut forgotten = Vec::new();
        self.messages.send_modify(|messages| {
            let is_ours =
                |message: &mut Arc<Message>| of.is_none_or(|address| message.address == address);
            forgotten = messages.extract_if(.., is_ours).collect();
        });
        forgotten
    }

    /// Waits until there are at least `count` messages, and gives all there are.
    ///
    /// # Errors
    /// The time was up. The error, printed, tells what happened on the wire.
    pub async fn wait_for(
        &self,
        count: usize,
        within: Duration,
    ) -> Result<Vec<Arc<Message>>, NotYet> {
        let mut changes = self.messages.subscribe();
        let enough = changes.wait_for(|messages| self.select(messages).len() >= count);
        let in_time = timeout(within, enough).await.is_ok();
        let messages = self.messages();
        if in_time {
            return Ok(messages);
        }
        Err(NotYet { wanted: count, messages, story: self.tap.to_string() })
    }

    fn select(&self, messages: &[Arc<Message>]) -> Vec<Arc<Message>> {
        let ours = |message: &&Arc<Message>| self.of.is_none_or(|of| message.address == of);
        messages.iter().filter(ours).cloned().collect()
    }
}

impl fmt::Display for NotYet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let came = self.messages.len();
        write!(f, "{came} of {} messages came; on the wire:\n{}", self.wanted, self.story)
    }
}

impl fmt::Debug for NotYet {
    /// As [`fmt::Display`], so that `unwrap` shows it readably.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for NotYet {}
