//! The wire tap: what clients sent to MX hosts before TLS hid it, and what they said altogether.
//!
//! The bytes are kept below the SMTP server, as they came from the socket, so that they cannot be
//! misread on the way. What is not a TLS record is clear text, wherever it stood.

#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::tls::Handshake;

/// Whether something went over the wire in clear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// Anybody on the way could read it.
    Clear,
    /// It was inside TLS.
    Tls,
}

/// A command an MX host was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The name of the MX host.
    pub host: String,
    /// How it was sent.
    pub channel: Channel,
    /// The line without its end.
    pub line: String,
}

/// A connection to an MX host, as far as it has come.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Connections of a world are counted from 0.
    pub number: usize,
    /// The name of the MX host.
    pub host: String,
    /// The address that was connected to.
    pub address: SocketAddr,
    /// The client's address.
    pub peer: SocketAddr,
    /// What became of TLS.
    pub handshake: Handshake,
    /// Every command, in clear or in TLS, that the server has read.
    pub commands: Vec<Command>,
    /// What a well-behaved client would not have done, such as pipelining over STARTTLS.
    pub violations: Vec<String>,
    /// Whether the connection has ended.
    pub state: ConnectionState,
    /// How many others there were at its address when it began, on which QUIT had not been said.
    pub beside: usize,
    /// What the client sent before the server was ready for TLS.
    before: Vec<u8>,
    /// What the client sent from then on until the handshake was complete.
    during: Vec<u8>,
}

/// Whether a connection is still there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionState {
    /// One side has closed it.
    Ended,
    /// It is in use.
    Open,
}

/// Everything tapped in a world.
#[derive(Clone, Debug, Default)]
pub struct Tap {
    log: Arc<watch::Sender<Log>>,
}

/// The connections that are remembered, by number.
#[derive(Debug, Default)]
struct Log {
    connections: Vec<Connection>,
    next_number: usize,
}

/// Writes one connection's part of the tap, and its end when it is dropped.
#[derive(Debug)]
pub(crate) struct Recorder {
    tap: Tap,
    number: usize,
}

/// A socket whose incoming bytes are tapped.
#[derive(Debug)]
pub(crate) struct Tapped<S> {
    stream: S,
    tap: Tap,
    number: usize,
}

impl Connection {
    /// What the client sent that anybody on the way could read: everything until TLS is complete
    /// except TLS records.
    #[must_use]
    pub fn clear_text(&self) -> Vec<u8> {
        let mut text = self.before.clone();
        text.extend_from_slice(self.clear_text_after_starttls());
        text
    }

    /// What the client sent in clear after the server had said it was ready for TLS.
    #[must_use]
    pub fn clear_text_after_starttls(&self) -> &[u8] {
        without_tls_records(&self.during)
    }

    /// The lines of MAIL, RCPT and DATA that were sent in clear.
    #[must_use]
    pub fn envelope_in_clear(&self) -> Vec<String> {
        lines(&self.clear_text()).into_iter().filter(|line| is_envelope(line)).collect()
    }

    /// Whether it is one to this address that nobody has said QUIT on.
    fn is_used_at(&self, address: SocketAddr) -> bool {
        let has_quit = self.commands.last().is_some_and(|last| last.line == "QUIT");
        self.address == address && self.state == ConnectionState::Open && !has_quit
    }

    /// The commands of MAIL, RCPT and DATA, however they were sent.
    #[must_use]
    pub fn envelope(&self) -> Vec<&Command> {
        self.commands.iter().filter(|command| is_envelope(&command.line)).collect()
    }
}

impl Tap {
    /// Every connection so far, in order.
    #[must_use]
    pub fn connections(&self) -> Vec<Connection> {
        self.log.borrow().connections.clone()
    }

    /// Every connection so far to MX hosts of this name.
    #[must_use]
    pub fn connections_to(&self, host: &str) -> Vec<Connection> {
        self.connections().into_iter().filter(|connection| connection.host == host).collect()
    }

    /// Every line that was sent in clear, to any MX host, message content included.
    #[must_use]
    pub fn clear_text_commands(&self) -> Vec<Command> {
        self.each_in_clear(|connection| lines(&connection.clear_text()))
    }

    /// Every line of MAIL, RCPT and DATA that was sent in clear, to any MX host.
    #[must_use]
    pub fn envelope_in_clear(&self) -> Vec<Command> {
        self.each_in_clear(Connection::envelope_in_clear)
    }

    /// Every command of MAIL, RCPT and DATA, to any MX host, however it was sent.
    #[must_use]
    pub fn envelope(&self) -> Vec<Command> {
        let connections = self.connections();
        connections.iter().flat_map(Connection::envelope).cloned().collect()
    }

    /// Everything clients did that a well-behaved one would not have done.
    #[must_use]
    pub fn violations(&self) -> Vec<String> {
        let all = self.connections();
        all.into_iter().flat_map(|connection| connection.violations).collect()
    }

    /// Waits until the connections so far satisfy `condition`.
    ///
    /// # Errors
    /// The time was up; the error is what happened on the wire.
    pub async fn wait_until(
        &self,
        within: Duration,
        mut condition: impl FnMut(&[Connection]) -> bool,
    ) -> Result<(), String> {
        let mut changes = self.log.subscribe();
        let met = changes.wait_for(|log| condition(&log.connections));
        let in_time = timeout(within, met).await.is_ok();
        if in_time { Ok(()) } else { Err(self.to_string()) }
    }

    /// Waits until `count` connections to MX hosts of this name have ended.
    ///
    /// # Errors
    /// The time was up; the error is what happened on the wire.
    pub async fn wait_for_ended(
        &self,
        host: &str,
        count: usize,
        within: Duration,
    ) -> Result<(), String> {
        self.wait_until(within, |connections| {
            let ended = |c: &&Connection| c.host == host && c.state == ConnectionState::Ended;
            connections.iter().filter(ended).count() >= count
        })
        .await
    }

    /// Forgets every connection so far.
    pub fn forget(&self) {
        self.log.send_modify(|log| log.connections.clear());
    }

    /// Forgets the connections that have ended, and gives them: nothing that happens meanwhile, or
    /// on a connection that is open, is lost.
    #[must_use]
    pub fn forget_ended(&self) -> Vec<Connection> {
        let mut ended = Vec::new();
        self.log.send_modify(|log| {
            let is_over = |connection: &mut Connection| connection.state == ConnectionState::Ended;
            ended = log.connections.extract_if(.., is_over).collect();
        });
        ended
    }

    /// Begins to record a connection.
    pub(crate) fn record(&self, host: &str, address: SocketAddr, peer: SocketAddr) -> Recorder {
        let mut number = 0;
        self.log.send_modify(|log| {
            number = log.next_number;
            log.next_number += 1;
            let beside = log.connections.iter().filter(|other| other.is_used_at(address)).count();
            log.connections.push(Connection {
                number,
                host: host.to_owned(),
                address,
                peer,
                handshake: Handshake::NotTried,
                commands: Vec::new(),
                violations: Vec::new(),
                state: ConnectionState::Open,
                beside,
                before: Vec::new(),
                during: Vec::new(),
            });
        });
        Recorder { tap: self.clone(), number }
    }

    fn each_in_clear(&self, lines: impl Fn(&Connection) -> Vec<String>) -> Vec<Command> {
        let in_clear = |connection: &Connection| {
            let host = connection.host.clone();
            lines(connection).into_iter().map(move |line| Command {
                host: host.clone(),
                channel: Channel::Clear,
                line,
            })
        };
        self.connections().iter().flat_map(in_clear).collect()
    }

    fn change(&self, number: usize, change: impl FnOnce(&mut Connection)) {
        self.log.send_modify(|log| {
            let found = log.connections.binary_search_by_key(&number, |known| known.number);
            // It may have been forgotten.
            if let Some(connection) = found.ok().and_then(|at| log.connections.get_mut(at)) {
                change(connection);
            }
        });
    }
}

impl Recorder {
    /// Notes a command.
    pub(crate) fn command(&self, channel: Channel, line: &str) {
        self.tap.change(self.number, |connection| {
            let (host, line) = (connection.host.clone(), line.to_owned());
            connection.commands.push(Command { host, channel, line });
        });
    }

    /// Notes what became of TLS.
    pub(crate) fn handshake(&self, handshake: Handshake) {
        self.tap.change(self.number, |connection| connection.handshake = handshake);
    }

    /// Notes what a well-behaved client would not have done.
    pub(crate) fn violation(&self, what: &str) {
        self.tap.change(self.number, |connection| {
            let told = format!("{}: {what}", connection.host);
            connection.violations.push(told);
        });
    }

    /// Puts the tap on the connection's socket.
    pub(crate) fn tapping<S>(&self, stream: S) -> Tapped<S> {
        Tapped { stream, tap: self.tap.clone(), number: self.number }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.tap.change(self.number, |connection| connection.state = ConnectionState::Ended);
    }
}

impl<S> Tapped<S> {
    fn tap(&self, bytes: &[u8]) {
        self.tap.change(self.number, |connection| match connection.handshake {
            Handshake::NotTried => connection.before.extend_from_slice(bytes),
            Handshake::Begun | Handshake::Failed { .. } => {
                connection.during.extend_from_slice(bytes);
            }
            Handshake::Completed(_) => {}
        });
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Tapped<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        let read = buffer.filled().get(before..).unwrap_or_default();
        if !read.is_empty() {
            self.tap(read);
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Tapped<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl fmt::Display for Tap {
    /// One line per connection.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for connection in &self.log.borrow().connections {
            writeln!(f, "{connection}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} (", self.number, self.host)?;
        match &self.handshake {
            Handshake::NotTried => write!(f, "no TLS")?,
            Handshake::Begun => write!(f, "TLS begun")?,
            Handshake::Failed { why, .. } => write!(f, "TLS failed: {why}")?,
            Handshake::Completed(session) => write!(f, "{}", session.version)?,
        }
        write!(f, ", {:?}):", self.state)?;
        for command in &self.commands {
            let how = if command.channel == Channel::Clear { "" } else { "[tls] " };
            write!(f, " {how}{} |", command.line)?;
        }
        Ok(())
    }
}

/// What follows the TLS records at the start of `bytes` (RFC 8446 §5.1: a type of 20 to 23, the
/// legacy version 3.x, a length).
fn without_tls_records(mut bytes: &[u8]) -> &[u8] {
    loop {
        match bytes {
            [20..=23, 3, _, high, low, rest @ ..] => {
                let length = usize::from(u16::from_be_bytes([*high, *low]));
                bytes = rest.get(length..).unwrap_or_default();
            }
            [20..=23] | [20..=23, 3] | [20..=23, 3, _] | [20..=23, 3, _, _] => return &[],
            clear => return clear,
        }
    }
}

/// The lines of some text, without their ends.
fn lines(text: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(text).lines().map(str::to_owned).collect()
}

/// Whether a line is a command that belongs to a mail transaction.
fn is_envelope(line: &str) -> bool {
    let upper = line.to_ascii_uppercase();
    upper.starts_with("MAIL FROM:") || upper.starts_with("RCPT TO:") || upper.trim_end() == "DATA"
}
