//! Commands and replies on one connection, in clear or under TLS.
//!
//! mail-send writes a command that is sent alone and waits for the end of its reply, which [`LineIo`]
//! reads below it and keeps for us; replies to what was sent in one piece come from there. Only [`crate::session`] makes a dialogue, so what can be said in clear is
//! decided there.
//!
//! The reasons: `docs/decisions/0003-dialogue-by-mail-send.md`.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use mail_send::SmtpClient;
use pkix::io_words;
use smtp::{Reply, ReplyReader};
use tokio::io::AsyncWriteExt;

use crate::capabilities::Capabilities;
use crate::line_io::{BytesLeft, LineIo, NoReply, Stream};
use crate::patience::{Overdue, Patience};
use crate::status::Status;

/// A connection on which commands are sent and replies are read.
pub(crate) struct Dialogue<S: Stream> {
    client: SmtpClient<LineIo<S>>,
    /// How long the attempt may wait that has the connection.
    patience: Arc<Patience>,
}

impl<S: Stream> Dialogue<S> {
    /// A dialogue in which nothing has been said, with limits for its steps alone.
    pub(crate) fn new(stream: S) -> Self {
        Self::within(stream, Arc::default())
    }

    /// The same, of an attempt with this patience.
    pub(crate) fn within(stream: S, patience: Arc<Patience>) -> Self {
        // Every step sets its own time limit.
        let client = SmtpClient { stream: LineIo::new(stream), timeout: Duration::ZERO };
        Self { client, patience }
    }

    /// The patience of the attempt that has the connection.
    pub(crate) fn patience(&self) -> &Arc<Patience> {
        &self.patience
    }

    /// Gives the connection to another attempt, or to none.
    pub(crate) fn wait_with(&mut self, patience: Arc<Patience>) {
        self.patience = patience;
    }

    /// Sends one command, which ends in CRLF, and reads its reply.
    pub(crate) async fn command(
        &mut self,
        line: &str,
        limit: Duration,
    ) -> Result<Reply, DialogueError> {
        self.client.timeout = limit;
        let end = self.patience.wait(limit, self.client.cmd(line)).await;
        self.heard(end)
    }

    /// Sends EHLO, and reads its reply with every keyword in it that means something to us, however
    /// many others it has (RFC 5321 §4.1.1.1).
    pub(crate) async fn ehlo(
        &mut self,
        line: &str,
        limit: Duration,
    ) -> Result<Reply, DialogueError> {
        self.client.stream.read_with(ReplyReader::picking(Capabilities::is_known));
        let reply = self.command(line, limit).await;
        if reply.is_ok() {
            self.client.stream.read_with(ReplyReader::new());
        }
        reply
    }

    /// Sends bytes that may hold several commands, without waiting for a reply (RFC 2920).
    pub(crate) async fn send(
        &mut self,
        bytes: &[u8],
        limit: Duration,
    ) -> Result<(), DialogueError> {
        let stream = &mut self.client.stream;
        let sent = self.patience.wait(limit, async {
            stream.write_all(bytes).await?;
            stream.flush().await
        });
        sent.await?.map_err(|error| broken(&error))
    }

    /// Reads the next reply.
    pub(crate) async fn reply(&mut self, limit: Duration) -> Result<Reply, DialogueError> {
        let end = self.patience.wait(limit, self.client.stream.reply()).await?;
        let reply = end.map_err(|error| broken(&error))?.ok_or(DialogueError::Closed)?;
        self.patience.moved();
        Ok(reply)
    }

    /// What the peer said before a reply broke off, if its code is known.
    pub(crate) fn begun(&mut self) -> Option<Reply> {
        self.client.stream.take_begun()
    }

    /// Whether the peer has said nothing that was not asked for, and has not closed its side.
    pub(crate) fn is_quiet(&mut self) -> bool {
        self.client.stream.is_quiet()
    }

    /// Ends the session; how the peer takes it is of no consequence.
    pub(crate) async fn quit(mut self, limit: Duration) {
        // The attempt's time is for mail.
        self.wait_with(Arc::default());
        if let Err(error) = self.command("QUIT\r\n", limit).await {
            tracing::debug!(%error, "QUIT not answered");
        }
    }

    /// Gives the stream back, for TLS to begin on it.
    pub(crate) fn into_stream(self) -> Result<S, BytesLeft> {
        self.client.stream.into_stream()
    }

    /// The same dialogue on another stream that `f` makes of this one's.
    pub(crate) fn map<T, F>(self, f: F) -> Dialogue<T>
    where
        T: Stream,
        F: FnOnce(S) -> T,
    {
        let Self { client: SmtpClient { stream, timeout }, patience } = self;
        Dialogue { client: SmtpClient { stream: stream.map(f), timeout }, patience }
    }

    /// Takes the reply that was read while mail-send waited for its end.
    fn heard<T>(
        &mut self,
        end: Result<mail_send::Result<T>, Overdue>,
    ) -> Result<Reply, DialogueError> {
        match end? {
            Ok(_) => {
                self.patience.moved();
                self.client.stream.take_reply().ok_or(DialogueError::Garbled)
            }
            Err(mail_send::Error::Io(error)) => Err(broken(&error)),
            Err(mail_send::Error::Timeout) => Err(DialogueError::TimedOut),
            Err(_) if self.client.stream.closed() => Err(DialogueError::Closed),
            Err(_) => Err(DialogueError::Garbled),
        }
    }
}

impl<S: Stream> fmt::Debug for Dialogue<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialogue").finish_non_exhaustive()
    }
}

/// A connection that broke, or what was said on it is no reply.
fn broken(error: &io::Error) -> DialogueError {
    tracing::debug!(%error, "connection lost");
    match NoReply::of(error) {
        Some(NoReply::Endless) => DialogueError::Endless,
        Some(NoReply::Garbled(_)) => DialogueError::Garbled,
        None => DialogueError::Broken(error.kind()),
    }
}

/// Why there is no reply.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum DialogueError {
    /// The connection broke.
    #[error("connection lost: {words}", words = io_words(&io::Error::from(*.0)))]
    Broken(io::ErrorKind),
    /// The peer closed the connection.
    #[error("connection closed")]
    Closed,
    /// The attempt had waited for longer than others, and its place was needed.
    #[error("no reply before the connection was needed for other mail")]
    Displaced,
    /// The reply is longer than any that is read.
    #[error("the reply did not end within 1 MiB")]
    Endless,
    /// What the peer said is no reply (RFC 5321 §4.2).
    #[error("malformed SMTP reply")]
    Garbled,
    /// The attempt had lasted as long as it may.
    #[error("no reply before the attempt timed out")]
    OutOfTime,
    /// The peer took too long.
    #[error("reply timed out")]
    TimedOut,
    /// The peer took the message more slowly than it may.
    #[error("message transfer too slow")]
    TooSlow,
}

impl From<Overdue> for DialogueError {
    fn from(overdue: Overdue) -> Self {
        match overdue {
            Overdue::Attempt => Self::OutOfTime,
            Overdue::Displaced => Self::Displaced,
            Overdue::Step => Self::TimedOut,
        }
    }
}

impl DialogueError {
    /// Whether the peer has let us wait.
    pub(crate) const fn is_silence(self) -> bool {
        match self {
            Self::Displaced | Self::OutOfTime | Self::TimedOut => true,
            Self::Broken(_) | Self::Closed | Self::Endless | Self::Garbled | Self::TooSlow => false,
        }
    }

    /// The failure as a status of our own.
    pub(crate) const fn status(self) -> Status {
        match self {
            Self::Broken(_)
            | Self::Closed
            | Self::Displaced
            | Self::OutOfTime
            | Self::TimedOut
            | Self::TooSlow => Status::BadConnection,
            Self::Endless | Self::Garbled => Status::Protocol,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, duplex};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(5);

    /// What a dialogue makes of a peer that says this and hangs up.
    async fn hear(said: &[u8]) -> Result<Reply, DialogueError> {
        let (mut peer, stream) = duplex(4 * 1024 * 1024);
        peer.write_all(said).await.unwrap();
        drop(peer);
        Dialogue::new(stream).reply(LIMIT).await
    }

    #[tokio::test]
    async fn replies_that_come_together_are_read_one_by_one() {
        let (mut peer, stream) = duplex(1024);
        let mut dialogue = Dialogue::new(stream);
        peer.write_all(b"250-2.1.0 sender\r\n250 2.1.0 ok\r\n550 5.1.1 no\r\n421 bye\r\n")
            .await
            .unwrap();
        let mut heard = Vec::new();
        for _ in 0..3 {
            heard.push(dialogue.reply(LIMIT).await.unwrap().one_line());
        }
        assert_eq!(heard, ["250 2.1.0 sender ok", "550 5.1.1 no", "421 bye"]);
    }

    #[tokio::test]
    async fn what_is_no_reply_is_not_taken_for_one() {
        for said in [
            &b"hello\r\n"[..],
            b"000 nothing\r\n",
            b"150 too low\r\n",
            b"600 too high\r\n",
            b"999 too high\r\n",
            b"250-fine\r\n550 or not\r\n",
            b"25 short\r\n",
        ] {
            let heard = hear(said).await;
            let text = String::from_utf8_lossy(said);
            assert!(matches!(heard, Err(DialogueError::Garbled)), "{text}: {heard:?}");
        }
    }

    #[tokio::test]
    async fn a_reply_without_end_is_given_up() {
        let heard = hear(&b"250-more to come\r\n".repeat(100_000)).await;
        assert!(matches!(heard, Err(DialogueError::Endless)), "{heard:?}");
    }

    #[tokio::test]
    async fn a_long_reply_is_a_reply() {
        for (line, count) in [("x".repeat(93), 50), ("short".into(), 1_000), ("x".repeat(2_000), 9)]
        {
            let mut said = format!("250-{line}\r\n").repeat(count);
            said.push_str("250 2.0.0 queued\r\n");
            let reply = hear(said.as_bytes()).await.unwrap();
            assert_eq!(reply.code().as_u16(), 250, "{count}");
        }
    }

    #[tokio::test]
    async fn a_keyword_counts_wherever_it_stands() {
        let (mut peer, stream) = duplex(64 * 1024);
        let mut dialogue = Dialogue::new(stream);
        let mut said = "250-mx.example.org\r\n".to_owned();
        for number in 0..2_000 {
            said.push_str(&format!("250-X-OTHER-{number}\r\n"));
        }
        said.push_str("250-starttls\r\n250 SIZE 1000\r\n");
        peer.write_all(said.as_bytes()).await.unwrap();
        let reply = dialogue.ehlo("EHLO relay.example\r\n", LIMIT).await.unwrap();
        let capabilities = Capabilities::of(&reply);
        assert!(capabilities.offers(crate::capabilities::Extension::Starttls));
        assert_eq!(capabilities.size_limit(), Some(1000));
    }

    #[tokio::test]
    async fn half_a_reply_is_none() {
        for said in [&b""[..], b"250", b"250 fi", b"250-fine\r\n"] {
            let heard = hear(said).await;
            assert!(matches!(heard, Err(DialogueError::Closed)), "{heard:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_peer_times_out() {
        let (_peer, stream) = duplex(1024);
        let mut dialogue = Dialogue::new(stream);
        let heard = dialogue.command("NOOP\r\n", LIMIT).await;
        assert!(matches!(heard, Err(DialogueError::TimedOut)), "{heard:?}");
    }

    #[tokio::test]
    async fn a_command_goes_out_as_it_is() {
        let (mut peer, stream) = duplex(1024);
        let mut dialogue = Dialogue::new(stream);
        peer.write_all(b"250 ok\r\n").await.unwrap();
        dialogue.command("RSET\r\n", LIMIT).await.unwrap();
        drop(dialogue);
        let mut said = String::new();
        peer.read_to_string(&mut said).await.unwrap();
        assert_eq!(said, "RSET\r\n");
    }
}
