//! One SMTP session of an MX host (RFC 5321), from the greeting to its end.

mod login;
mod transaction;

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio::time::sleep;

use self::transaction::Transaction;
use super::Host;
use super::behaviour::{Act, After220, MxBehaviour, Starttls, Step};
use super::proxy;
use super::wire::{Ended, Wire};
use crate::tap::{Channel, Recorder};
use crate::tls::{Handshake, Stream, TlsSession, accept};

/// What is sent where a handshake is to be broken: no TLS record begins like this.
const GARBAGE: &[u8] = b"\x00\xff this is not TLS \xff\x00\r\n";

/// A session, as far as it has come.
struct Session {
    host: Arc<Host>,
    wire: Wire,
    recorder: Recorder,
    peer: SocketAddr,
    service: Service,
    client_name: Option<String>,
    tls: Option<TlsSession>,
    transaction: Option<Transaction>,
    logged_in: bool,
}

/// Whether the host has greeted the client as one it will serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Service {
    Given,
    Refused,
}

/// What became of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Went {
    /// Something else was said.
    Otherwise,
    /// The usual reply is due.
    Usual,
}

/// What follows a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Close,
    Command,
    Handshake,
}

/// Serves one connection.
pub(super) async fn serve(host: Arc<Host>, stream: TcpStream, peer: SocketAddr) {
    // Replies are small, and the client waits for each.
    drop(stream.set_nodelay(true));
    let recorder = host.tap.record(&host.name, host.address, peer);
    let tapped = recorder.tapping(stream);
    match host.behaviour(|behaviour| behaviour.how_starttls().clone()) {
        Starttls::Stripped(how) => {
            let session = |far| Session::new(host, Box::new(far), recorder, peer).run();
            proxy::strip(tapped, how, session).await;
        }
        Starttls::Implicit => {
            recorder.handshake(Handshake::Begun);
            let session = Session::new(host, Box::new(tapped), recorder, peer);
            if let Ok(session) = session.shake_hands().await {
                session.run().await;
            }
        }
        Starttls::NotOffered | Starttls::Offered(_) => {
            Session::new(host, Box::new(tapped), recorder, peer).run().await;
        }
    }
}

impl Session {
    fn new(host: Arc<Host>, stream: Box<dyn Stream>, recorder: Recorder, peer: SocketAddr) -> Self {
        let (wire, service) = (Wire::new(stream), Service::Given);
        Self {
            host,
            wire,
            recorder,
            peer,
            service,
            client_name: None,
            tls: None,
            transaction: None,
            logged_in: false,
        }
    }

    async fn run(mut self) {
        if self.greet().await.is_err() {
            return;
        }
        loop {
            match self.command().await {
                Ok(Next::Command) => {}
                Ok(Next::Handshake) => match self.shake_hands().await {
                    Ok(encrypted) => self = encrypted,
                    Err(Ended) => return,
                },
                Ok(Next::Close) => return self.wire.close().await,
                Err(Ended) => return,
            }
        }
    }

    async fn greet(&mut self) -> Result<(), Ended> {
        if self.goes(Step::Greeting).await? == Went::Otherwise {
            self.service = Service::Refused;
            return Ok(());
        }
        let greeting = format!("220 {} ESMTP testbed", self.host.name);
        self.say(&greeting).await
    }

    /// Reads one command and answers it.
    async fn command(&mut self) -> Result<Next, Ended> {
        let line = self.wire.line().await?;
        let Some(line) = line.strip_suffix(b"\r\n") else {
            self.recorder.violation("a command ended in a bare LF");
            self.say("500 5.5.2 lines end in CRLF").await?;
            return Ok(Next::Command);
        };
        let line = String::from_utf8_lossy(line).into_owned();
        self.recorder.command(self.channel(), &line);
        let (verb, argument) = line.split_once(' ').unwrap_or((&line, ""));
        let verb = verb.to_ascii_uppercase();
        self.check_pipelining(&verb);
        if self.service == Service::Refused && verb != "QUIT" {
            self.say("503 5.5.1 no service here").await?;
            return Ok(Next::Command);
        }
        match verb.as_str() {
            "EHLO" => self.ehlo(argument).await?,
            "HELO" => self.helo(argument).await?,
            "AUTH" => self.auth(argument).await?,
            "STARTTLS" => return self.starttls(argument).await,
            "MAIL" => self.mail(&line).await?,
            "RCPT" => self.rcpt(&line).await?,
            "DATA" => self.data().await?,
            "BDAT" => self.bdat(argument).await?,
            "RSET" => self.rset().await?,
            "NOOP" => self.say("250 2.0.0 nothing done").await?,
            "VRFY" => self.say("252 2.5.0 send and see").await?,
            "QUIT" => return self.quit().await,
            _ => self.say("500 5.5.2 no such command").await?,
        }
        Ok(Next::Command)
    }

    /// RFC 2920 §3.1: without PIPELINING nothing follows a command before its reply is read, and
    /// nothing ever follows these.
    fn check_pipelining(&self, verb: &str) {
        let offered = self.host.behaviour(|behaviour| behaviour.offers("PIPELINING"));
        let last = matches!(verb, "EHLO" | "HELO" | "DATA" | "STARTTLS" | "QUIT" | "NOOP");
        // The octets of a chunk come with its command.
        if self.wire.has_more() && verb != "BDAT" && (last || !offered) {
            self.recorder.violation(&format!("something was sent before the reply to {verb}"));
        }
    }

    async fn ehlo(&mut self, name: &str) -> Result<(), Ended> {
        self.transaction = None;
        if self.goes(Step::Ehlo).await? == Went::Otherwise {
            return Ok(());
        }
        self.client_name = Some(name.to_owned());
        let behaviour = self.host.behaviour(MxBehaviour::clone);
        let mut reply = format!("250-{} greets {name}\r\n", self.host.name);
        let offered =
            matches!(behaviour.how_starttls(), Starttls::Offered(_) | Starttls::Stripped(_));
        if offered && self.tls.is_none() {
            reply.push_str("250-STARTTLS\r\n");
        }
        if let Some(logins) = behaviour.logins().filter(|_| self.tls.is_some()) {
            reply.push_str(&format!("250-{}\r\n", logins.line));
        }
        for keyword in behaviour.keywords() {
            reply.push_str(&format!("250-{keyword}\r\n"));
        }
        reply.push_str("250 HELP");
        self.say(&reply).await
    }

    async fn helo(&mut self, name: &str) -> Result<(), Ended> {
        self.transaction = None;
        if self.goes(Step::Helo).await? == Went::Otherwise {
            return Ok(());
        }
        self.client_name = Some(name.to_owned());
        let reply = format!("250 {}", self.host.name);
        self.say(&reply).await
    }

    async fn starttls(&mut self, argument: &str) -> Result<Next, Ended> {
        let how = self.host.behaviour(|behaviour| behaviour.how_starttls().clone());
        let Starttls::Offered(after) = how else {
            self.say("502 5.5.1 STARTTLS is not offered").await?;
            return Ok(Next::Command);
        };
        if self.tls.is_some() || !argument.is_empty() {
            self.say("503 5.5.1 not now, and not like this").await?;
            return Ok(Next::Command);
        }
        if self.goes(Step::Starttls).await? == Went::Otherwise {
            return Ok(Next::Command);
        }
        self.recorder.handshake(Handshake::Begun);
        let mut ready = b"220 2.0.0 ready for TLS\r\n".to_vec();
        if let After220::Injected(injected) = &after {
            ready.extend_from_slice(injected);
        }
        self.wire.write(&ready).await?;
        match after {
            After220::Handshake | After220::Injected(_) => Ok(Next::Handshake),
            After220::Alert(number) => {
                self.wire.await_bytes().await?;
                // A fatal alert in a record of TLS 1.2.
                self.wire.write(&[21, 3, 3, 0, 2, 2, number]).await?;
                self.breaks("alert").await
            }
            After220::Close => self.breaks("closed").await,
            After220::Silence => {
                self.wire.drain().await;
                self.breaks("silent").await
            }
            After220::Garbage => {
                // Only then is it sure that the client does not read it along with the 220.
                self.wire.await_bytes().await?;
                self.wire.write(GARBAGE).await?;
                self.wire.drain().await;
                self.breaks("garbage").await
            }
        }
    }

    /// Notes that the handshake was broken on purpose, and ends the session.
    async fn breaks(&mut self, how: &str) -> Result<Next, Ended> {
        let why = format!("broken on purpose: {how}");
        self.recorder.handshake(Handshake::Failed { sni: None, why });
        self.wire.close().await;
        Err(Ended)
    }

    /// RFC 3207 §4.2: after the handshake both sides forget what was said before.
    async fn shake_hands(self) -> Result<Self, Ended> {
        let Self { host, wire, recorder, peer, .. } = self;
        match accept(wire.into_stream(), host.tls()).await {
            Ok((stream, agreed)) => {
                recorder.handshake(Handshake::Completed(agreed.clone()));
                let session = Self::new(host, Box::new(stream), recorder, peer);
                Ok(Self { tls: Some(agreed), ..session })
            }
            Err(broken) => {
                recorder.handshake(broken.into());
                Err(Ended)
            }
        }
    }

    async fn rset(&mut self) -> Result<(), Ended> {
        self.transaction = None;
        if self.goes(Step::Rset).await? == Went::Usual {
            self.say("250 2.0.0 forgotten").await?;
        }
        Ok(())
    }

    async fn quit(&mut self) -> Result<Next, Ended> {
        if self.goes(Step::Quit).await? == Went::Usual {
            self.say("221 2.0.0 good bye").await?;
        }
        Ok(Next::Close)
    }

    /// Does what the host was told to do at a step.
    async fn goes(&mut self, step: Step) -> Result<Went, Ended> {
        self.goes_for(step, None).await
    }

    async fn goes_for(&mut self, step: Step, recipient: Option<&str>) -> Result<Went, Ended> {
        let pace = self.host.behaviour(MxBehaviour::pace);
        if !pace.is_zero() {
            sleep(pace).await;
        }
        match self.host.act(step, self.channel(), recipient) {
            None => return Ok(Went::Usual),
            Some(Act::Delay(delay)) => {
                sleep(delay).await;
                return Ok(Went::Usual);
            }
            Some(Act::Before(bytes)) => {
                self.wire.write(&bytes).await?;
                return Ok(Went::Usual);
            }
            Some(Act::Drop) => return Err(Ended),
            Some(Act::Raw(bytes)) => self.wire.write(&bytes).await?,
            Some(Act::Reply(reply)) => self.say(&reply).await?,
            Some(Act::ReplyAndDrop(reply)) => {
                self.say(&reply).await?;
                self.wire.close().await;
                return Err(Ended);
            }
            Some(Act::Silence) => {
                self.wire.drain().await;
                return Err(Ended);
            }
        }
        Ok(Went::Otherwise)
    }

    async fn say(&mut self, reply: &str) -> Result<(), Ended> {
        self.wire.write(format!("{reply}\r\n").as_bytes()).await
    }

    const fn channel(&self) -> Channel {
        if self.tls.is_some() { Channel::Tls } else { Channel::Clear }
    }
}
