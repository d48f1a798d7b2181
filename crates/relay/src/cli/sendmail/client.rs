//! The conversation with the relay: SMTP over its socket for local programs, one message at a time.

use std::io::{self, BufRead as _, BufReader, Read, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, connect, socket};
use smtp::{
    BodyType, Domain, DotStuffer, EnvelopeId, Mailbox, Notify, Reply, ReplyCode, ReplyReader, Ret,
    ReversePath, Severity,
};

use super::failure::Failure;

/// How long the relay may take for a reply, or to take what is sent to it (RFC 5321 §4.5.3.2.6).
const PATIENCE: Duration = Duration::from_secs(600);

/// How many bytes a line of a reply may have.
const REPLY_LINE: u64 = 4 << 10;

/// How many bytes are sent at once.
const PIECE: usize = 64 << 10;

/// A relay that has greeted us.
#[derive(Debug)]
pub(super) struct Relay {
    stream: BufReader<UnixStream>,
    /// What it calls itself.
    hostname: Domain,
}

/// What goes before a message.
#[derive(Clone, Debug)]
pub(super) struct Envelope {
    pub(super) sender: ReversePath,
    pub(super) recipients: Vec<Mailbox>,
    pub(super) body: BodyType,
    pub(super) notify: Option<Notify>,
    pub(super) ret: Option<Ret>,
    pub(super) envid: Option<EnvelopeId>,
}

/// Connects to the relay's socket.
///
/// # Errors
///
/// [`Failure`] where no relay is there, or the user may not open its socket.
pub(super) fn reach(path: &Path) -> Result<UnixStream, Failure> {
    open(path).map_err(|source| {
        let path = path.to_owned();
        if source.kind() == io::ErrorKind::PermissionDenied {
            Failure::Forbidden { path }
        } else {
            Failure::NoRelay { path, source }
        }
    })
}

/// Opens a stream whose every wait has an end, that for the relay to accept it included.
fn open(path: &Path) -> io::Result<UnixStream> {
    let stream: OwnedFd = socket(AddressFamily::UNIX, SocketType::STREAM, None)?;
    for wait in [Timeout::Send, Timeout::Recv] {
        set_socket_timeout(&stream, wait, Some(PATIENCE))?;
    }
    connect(&stream, &SocketAddrUnix::new(path)?)?;
    Ok(stream.into())
}

impl Relay {
    /// Waits for the greeting and says EHLO.
    ///
    /// # Errors
    ///
    /// [`Failure`] where the relay is not there, or takes nothing now.
    pub(super) fn connect(path: &Path) -> Result<Self, Failure> {
        let mut stream = BufReader::new(reach(path)?);
        let greeting = expected("connection", reply(&mut stream)?)?;
        let name = greeting.lines().next().and_then(|line| line.split(' ').next());
        let hostname = name.and_then(|name| Domain::parse(name).ok());
        let hostname = hostname.ok_or(smtp::ReplyError::Malformed)?;
        let mut relay = Self { stream, hostname };
        relay.say("EHLO", "EHLO localhost")?;
        Ok(relay)
    }

    /// What it calls itself.
    pub(super) const fn hostname(&self) -> &Domain {
        &self.hostname
    }

    /// Sends a message; when this returns, the relay has it on disk. All recipients get it, or none.
    ///
    /// # Errors
    ///
    /// [`Failure`] where the relay refuses, or is gone.
    pub(super) fn send(
        mut self,
        envelope: &Envelope,
        header: &[u8],
        body: impl Read,
    ) -> Result<(), Failure> {
        self.say("MAIL", &envelope.mail())?;
        for recipient in &envelope.recipients {
            self.say(&recipient.to_string(), &envelope.rcpt(recipient))?;
        }
        self.say("DATA", "DATA")?;
        match self.message(header, body) {
            Ok(()) => {}
            // What the relay said before it went is worth more than that it went.
            Err(failure @ Failure::Lost(_)) => {
                let said = reply(&mut self.stream).map_err(|_gone| failure)?;
                return expected("message", said).map(drop);
            }
            Err(failure) => return Err(failure),
        }
        let said = reply(&mut self.stream)?;
        if said.severity() != Severity::PositiveCompletion {
            return Err(Failure::Refused { command: "message".to_owned(), reply: said });
        }
        // The message is there, whatever comes of this.
        let _unheard = self.stream.get_mut().write_all(b"QUIT\r\n").is_err();
        Ok(())
    }

    /// Sends the message's lines and the dot behind them.
    fn message(&mut self, header: &[u8], mut body: impl Read) -> Result<(), Failure> {
        let (mut stuffer, mut wire) = (DotStuffer::new(), Vec::new());
        stuffer.feed(header, &mut wire);
        let mut piece = vec![0; PIECE];
        loop {
            let read = body.read(&mut piece).map_err(Failure::Keep)?;
            match piece.get(..read) {
                Some([]) | None => break,
                Some(bytes) => stuffer.feed(bytes, &mut wire),
            }
            self.stream.get_mut().write_all(&wire).map_err(Failure::Lost)?;
            wire.clear();
        }
        stuffer.finish(&mut wire);
        self.stream.get_mut().write_all(&wire).map_err(Failure::Lost)
    }

    /// Sends a command; `what` names it where it is refused.
    fn say(&mut self, what: &str, command: &str) -> Result<Reply, Failure> {
        let line = format!("{command}\r\n");
        self.stream.get_mut().write_all(line.as_bytes()).map_err(Failure::Lost)?;
        expected(what, reply(&mut self.stream)?)
    }
}

impl Envelope {
    /// The MAIL command, with the parameters that it needs.
    fn mail(&self) -> String {
        let mut command = format!("MAIL FROM:{} BODY={}", self.sender, self.body);
        if !self.sender.is_ascii() || !self.recipients.iter().all(Mailbox::is_ascii) {
            command.push_str(" SMTPUTF8");
        }
        if let Some(ret) = self.ret {
            command.push_str(&format!(" RET={ret}"));
        }
        if let Some(envid) = &self.envid {
            command.push_str(&format!(" ENVID={envid}"));
        }
        command
    }

    /// The RCPT command for one recipient.
    fn rcpt(&self, recipient: &Mailbox) -> String {
        let notify = self.notify.map(|notify| format!(" NOTIFY={notify}")).unwrap_or_default();
        format!("RCPT TO:<{recipient}>{notify}")
    }
}

/// A reply that lets the conversation go on.
fn expected(what: &str, reply: Reply) -> Result<Reply, Failure> {
    let goes_on = reply.severity() == Severity::PositiveCompletion
        || reply.code() == ReplyCode::START_MAIL_INPUT;
    if goes_on { Ok(reply) } else { Err(Failure::Refused { command: what.to_owned(), reply }) }
}

/// Reads one reply.
fn reply(stream: &mut BufReader<UnixStream>) -> Result<Reply, Failure> {
    let mut reader = ReplyReader::new();
    loop {
        let mut line = Vec::new();
        let mut most = stream.take(REPLY_LINE);
        most.read_until(b'\n', &mut line).map_err(Failure::Lost)?;
        let Some(text) = line.strip_suffix(b"\n") else {
            return Err(Failure::Lost(io::ErrorKind::UnexpectedEof.into()));
        };
        if let Some(reply) = reader.line(text.strip_suffix(b"\r").unwrap_or(text))? {
            return Ok(reply);
        }
    }
}
