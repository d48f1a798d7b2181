//! A client that submits mail, or anything else.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use memchr::memchr;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::tls::{Stream, provider};

/// How long any reply may take; a server under test that does not answer must not hang the test.
const PATIENCE: Duration = Duration::from_secs(30);

/// An SMTP client that sends exactly what it is told to.
pub struct Sender {
    stream: Box<dyn Stream>,
    /// What was read beyond the last reply.
    unread: Vec<u8>,
    greeting: Reply,
}

/// A reply, of one or more lines.
#[derive(Clone, PartialEq, Eq)]
pub struct Reply {
    /// The code of its last line.
    pub code: u16,
    /// The lines without their codes and ends.
    pub lines: Vec<String>,
}

impl Sender {
    /// Connects, and reads the greeting.
    ///
    /// # Errors
    /// The connection is refused or closed, no greeting comes, or it is not a reply.
    pub async fn connect(address: SocketAddr) -> io::Result<Self> {
        Self::over(socket(address)?, address).await?.greeted().await
    }

    /// The same from an address of one's own.
    ///
    /// # Errors
    /// As [`Sender::connect`], or the address is not ours.
    pub async fn connect_from(ip: IpAddr, address: SocketAddr) -> io::Result<Self> {
        Self::open_from(ip, address).await?.greeted().await
    }

    /// Connects from an address of one's own, and reads nothing.
    ///
    /// # Errors
    /// The connection is refused, or the address is not ours.
    pub async fn open_from(ip: IpAddr, address: SocketAddr) -> io::Result<Self> {
        let socket = socket(address)?;
        socket.bind(SocketAddr::new(ip, 0))?;
        Self::over(socket, address).await
    }

    async fn over(socket: TcpSocket, address: SocketAddr) -> io::Result<Self> {
        let stream = socket.connect(address).await?;
        stream.set_nodelay(true)?;
        let greeting = Reply { code: 0, lines: Vec::new() };
        Ok(Self { stream: Box::new(stream), unread: Vec::new(), greeting })
    }

    async fn greeted(mut self) -> io::Result<Self> {
        self.greeting = self.read_reply().await?;
        Ok(self)
    }

    /// The server's greeting.
    #[must_use]
    pub const fn greeting(&self) -> &Reply {
        &self.greeting
    }

    /// Says EHLO.
    ///
    /// # Errors
    /// The connection is at its end, or what came is not a reply.
    pub async fn ehlo(&mut self, name: &str) -> io::Result<Reply> {
        self.command(&format!("EHLO {name}")).await
    }

    /// Says MAIL FROM, with the path in its brackets and any parameters after it.
    ///
    /// # Errors
    /// The connection is at its end, or what came is not a reply.
    pub async fn mail(&mut self, reverse_path: &str) -> io::Result<Reply> {
        self.command(&format!("MAIL FROM:{reverse_path}")).await
    }

    /// Says RCPT TO, with the path in its brackets and any parameters after it.
    ///
    /// # Errors
    /// The connection is at its end, or what came is not a reply.
    pub async fn rcpt(&mut self, forward_path: &str) -> io::Result<Reply> {
        self.command(&format!("RCPT TO:{forward_path}")).await
    }

    /// Says DATA, and if it may, sends `message` with dots added and its end; the last reply.
    ///
    /// # Errors
    /// The connection is at its end, or what came is not a reply.
    pub async fn data(&mut self, message: &[u8]) -> io::Result<Reply> {
        let go_on = self.command("DATA").await?;
        if go_on.code != 354 {
            return Ok(go_on);
        }
        self.write(&stuffed(message)).await?;
        self.read_reply().await
    }

    /// Sends a message in one transaction; the last reply, or the first that refuses something.
    ///
    /// # Errors
    /// The connection is at its end, or what came is not a reply.
    pub async fn send(
        &mut self,
        reverse_path: &str,
        forward_paths: &[&str],
        message: &[u8],
    ) -> io::Result<Reply> {
        let mut reply = self.mail(reverse_path).await?;
        for forward_path in forward_paths {
            if !reply.is_positive() {
                return Ok(reply);
            }
            reply = self.rcpt(forward_path).await?;
        }
        if reply.is_positive() { self.data(message).await } else { Ok(reply) }
    }

    /// Says STARTTLS, and if it may, shakes hands with a server of this name.
    ///
    /// # Errors
    /// The server refuses, the handshake fails (the error is then rustls's), or the connection is at
    /// its end.
    pub async fn starttls(mut self, roots: RootCertStore, name: &str) -> io::Result<Self> {
        let ready = self.command("STARTTLS").await?;
        if ready.code != 220 {
            return Err(io::Error::other(ready.to_string()));
        }
        self.encrypt(roots, name).await
    }

    /// Shakes hands with a server of this name, without a word before it. What was read beyond the
    /// last reply is forgotten.
    ///
    /// # Errors
    /// The handshake fails (the error is then rustls's), or the connection is at its end.
    pub async fn encrypt(self, roots: RootCertStore, name: &str) -> io::Result<Self> {
        let config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from(name.to_owned()).map_err(io::Error::other)?;
        let connector = TlsConnector::from(Arc::new(config));
        let stream = in_time(connector.connect(name, self.stream)).await?;
        Ok(Self { stream: Box::new(stream), unread: Vec::new(), greeting: self.greeting })
    }

    /// Sends a line, and reads the reply.
    ///
    /// # Errors
    /// The connection is at its end, or what came is not a reply.
    pub async fn command(&mut self, line: &str) -> io::Result<Reply> {
        self.write(format!("{line}\r\n").as_bytes()).await?;
        self.read_reply().await
    }

    /// Sends these bytes and nothing else.
    ///
    /// # Errors
    /// The connection is at its end.
    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        in_time(async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        })
        .await
    }

    /// Reads a reply.
    ///
    /// # Errors
    /// The connection is at its end, or what came is not a reply.
    pub async fn read_reply(&mut self) -> io::Result<Reply> {
        let mut lines = Vec::new();
        loop {
            let line = self.read_line().await?;
            let (code, rest) = line.split_at_checked(3).ok_or(io::ErrorKind::InvalidData)?;
            let code = code.parse().map_err(io::Error::other)?;
            let is_last = !rest.starts_with('-');
            lines.push(rest.get(1..).unwrap_or_default().to_owned());
            if is_last {
                return Ok(Reply { code, lines });
            }
        }
    }

    /// Reads a reply as it is, all its lines with their codes and ends; what there is if the
    /// connection ends before.
    ///
    /// # Errors
    /// Nothing comes for too long.
    pub async fn read_text(&mut self) -> io::Result<String> {
        let mut text = Vec::new();
        loop {
            let end = match memchr(b'\n', &self.unread) {
                Some(end) => end + 1,
                None => match self.read_more().await {
                    Ok(true) => continue,
                    Err(error) if error.kind() == io::ErrorKind::TimedOut => return Err(error),
                    Ok(false) | Err(_) => self.unread.len(),
                },
            };
            let line: Vec<u8> = self.unread.drain(..end).collect();
            text.extend_from_slice(&line);
            if line.get(3) != Some(&b'-') {
                return Ok(String::from_utf8_lossy(&text).into_owned());
            }
        }
    }

    /// Closes this side, and reads all that still comes until the server closes too.
    ///
    /// # Errors
    /// The server does not close.
    pub async fn finish(&mut self) -> io::Result<Vec<u8>> {
        self.stream.shutdown().await?;
        self.read_to_end().await
    }

    /// Reads all that comes until the server closes.
    ///
    /// # Errors
    /// The server does not close.
    pub async fn read_to_end(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = std::mem::take(&mut self.unread);
        match in_time(self.stream.read_to_end(&mut bytes)).await {
            // A server that closes with something unread resets the connection.
            Err(error) if error.kind() == io::ErrorKind::TimedOut => Err(error),
            Ok(_) | Err(_) => Ok(bytes),
        }
    }

    /// What has been read beyond the last reply.
    #[must_use]
    pub fn unread(&self) -> &[u8] {
        &self.unread
    }

    async fn read_line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = memchr(b'\n', &self.unread) {
                let line: Vec<u8> = self.unread.drain(..=end).collect();
                return Ok(String::from_utf8_lossy(&line).trim_end().to_owned());
            }
            if !self.read_more().await? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Reads what there is; whether the connection goes on.
    async fn read_more(&mut self) -> io::Result<bool> {
        Ok(in_time(self.stream.read_buf(&mut self.unread)).await? > 0)
    }
}

impl Reply {
    /// Whether it says yes, or go on.
    #[must_use]
    pub const fn is_positive(&self) -> bool {
        matches!(self.code, 200..=399)
    }

    /// The text of all lines.
    #[must_use]
    pub fn text(&self) -> String {
        self.lines.join("\n")
    }

    /// Whether a reply to EHLO offers this extension.
    #[must_use]
    pub fn offers(&self, extension: &str) -> bool {
        let keyword = |line: &&String| line.split(' ').next() == Some(extension);
        self.lines.iter().skip(1).find(keyword).is_some()
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code, self.text())
    }
}

impl fmt::Debug for Reply {
    /// As [`fmt::Display`], so that a failed assertion shows it readably.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("greeting", &self.greeting).finish_non_exhaustive()
    }
}

/// A message with dots added where a line begins with one, and its end (RFC 5321 §4.5.2).
fn stuffed(message: &[u8]) -> Vec<u8> {
    let mut stuffed = Vec::with_capacity(message.len() + 5);
    for line in message.split_inclusive(|byte| *byte == b'\n') {
        if line.starts_with(b".") {
            stuffed.push(b'.');
        }
        stuffed.extend_from_slice(line);
    }
    if !stuffed.is_empty() && !stuffed.ends_with(b"\r\n") {
        stuffed.extend_from_slice(b"\r\n");
    }
    stuffed.extend_from_slice(b".\r\n");
    stuffed
}

/// A socket for connections to `address`.
fn socket(address: SocketAddr) -> io::Result<TcpSocket> {
    match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }
}

async fn in_time<T>(future: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(PATIENCE, future).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}
