//! The protocol: which command may follow which, and what each is answered (RFC 5321 §4.1).
//!
//! Lines go in, steps come out; nothing here reads, writes or waits.

mod auth;
mod offers;
mod replies;
mod step;
mod transaction;

use std::net::IpAddr;
use std::sync::Arc;

use access::{Admission, AllowedSenders, Authenticated};
use queue::Health;
use smtp::{
    ClientName, Command, CommandError, Exchange, Line, LineFault, Reply, ReplyCode, ReversePath,
};

use self::offers::in_ascii;
use self::replies::{cannot_verify, help, ok, reply};
use self::transaction::Transaction;
use crate::connections::Standing;
use crate::meters::Metered;
use crate::protocol::Hello;
use crate::refusal::Refusal;
use crate::rules::Rules;
use crate::service::{AuthMode, Service};
use crate::tls::TlsFacts;

pub(crate) use self::auth::verify;
pub(crate) use self::step::{Incoming, Step};

/// Where a client is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Origin {
    /// At this address.
    Client(IpAddr),
    /// Somewhere behind the proxy at this address, which does not say: nobody's network.
    Proxy(IpAddr),
}

/// One client's session (RFC 5321 §3.1).
#[derive(Debug)]
pub(crate) struct Session {
    rules: Arc<Rules>,
    origin: Origin,
    service: Service,
    tls: Option<TlsFacts>,
    user: Option<Authenticated>,
    /// The dialogue of AUTH, while it lasts.
    exchange: Option<Exchange>,
    auth_failures: usize,
    client: Option<Client>,
    transaction: Option<Transaction>,
    /// Whose message is being sent in chunks.
    chunks: Option<ReversePath>,
    commands: usize,
    errors: usize,
    messages: usize,
}

/// How the client introduced itself.
#[derive(Clone, Debug)]
struct Client {
    name: ClientName,
    hello: Hello,
}

impl Session {
    /// A session with a client who has yet to say EHLO.
    pub(crate) const fn new(rules: Arc<Rules>, origin: Origin, service: Service) -> Self {
        Self {
            rules,
            origin,
            service,
            tls: None,
            user: None,
            exchange: None,
            auth_failures: 0,
            client: None,
            transaction: None,
            chunks: None,
            commands: 0,
            errors: 0,
            messages: 0,
        }
    }

    /// The same client under TLS: nothing that was said in clear counts (RFC 3207 §4.2), but what
    /// was done wrong does.
    pub(crate) fn secured(self, tls: TlsFacts) -> Self {
        let Self { commands, errors, messages, auth_failures, .. } = self;
        Self {
            tls: Some(tls),
            auth_failures,
            commands,
            errors,
            messages,
            ..Self::new(self.rules, self.origin, self.service)
        }
    }

    /// The client's address, or its proxy's.
    pub(crate) const fn peer(&self) -> IpAddr {
        match self.origin {
            Origin::Client(address) | Origin::Proxy(address) => address,
        }
    }

    /// Whether the client could log in here, under TLS if not as it is.
    pub(crate) fn may_log_in_later(&self) -> bool {
        self.service.auth != AuthMode::Off && self.rules.tls.is_some()
    }

    /// Whether the client has leave to be waited for: a listed network is enough, be it that its
    /// hosts must log in besides.
    pub(crate) fn standing(&self) -> Standing {
        match self.origin {
            Origin::Proxy(_) => Standing::Unadmitted,
            Origin::Client(peer) => match self.rules.networks.judge(peer) {
                Admission::Admitted(_) => Standing::Admitted,
                Admission::Gateway | Admission::Unlisted => Standing::Unadmitted,
            },
        }
    }

    /// Who logged in.
    pub(crate) fn user(&self) -> Option<&str> {
        self.user.as_ref().map(Authenticated::name)
    }

    /// The addresses that the user who logged in may send from.
    pub(crate) fn senders(&self) -> Option<AllowedSenders> {
        self.user.as_ref().map(Authenticated::senders)
    }

    /// Whether a message is being sent in chunks.
    pub(crate) const fn in_chunks(&self) -> bool {
        self.chunks.is_some()
    }

    /// The message that was sent in chunks is in the queue, or refused.
    pub(crate) fn end_chunks(&mut self) {
        self.chunks = None;
    }

    /// The greeting (RFC 5321 §4.2: the name comes first; RFC 2034 §4: no enhanced code).
    pub(crate) fn greeting(&self) -> Reply {
        let hostname = &self.rules.settings.hostname;
        Reply::new(ReplyCode::READY, None, &format!("{hostname} ESMTP sts-relay"))
    }

    /// What is to be done about a line, or about what is no line, while the queue's health is
    /// `health`.
    pub(crate) fn hear(&mut self, line: Result<Line, LineFault>, health: Health) -> Step {
        let limits = &self.rules.settings.limits;
        self.commands = self.commands.saturating_add(1);
        if self.commands > limits.commands_per_connection {
            return Step::Refuse(Refusal::TooManyCommands);
        }
        if self.errors >= limits.errors_per_connection {
            return Step::Refuse(Refusal::TooManyErrors);
        }
        let step = match (self.exchange.take(), line) {
            (Some(exchange), line) => self.answer(exchange, &line),
            (None, Ok(line)) => self.obey(line.as_bytes(), health).unwrap_or_else(Step::Refuse),
            (None, Err(fault)) => Step::Refuse(fault.into()),
        };
        match &step {
            Step::Discard { refusal, .. }
            | Step::Refuse(refusal)
            | Step::RefuseAndLeave(refusal)
            | Step::RefuseData(refusal) => self.count(refusal),
            Step::Chunk { .. }
            | Step::Leave(_)
            | Step::Receive(_)
            | Step::Reply(_)
            | Step::StartTls(_)
            | Step::Verify(_) => {}
        }
        step
    }

    /// A message was received and is in the queue.
    pub(crate) const fn accepted(&mut self) {
        self.messages = self.messages.saturating_add(1);
    }

    /// Counts what a client should not try again; being told to come later is no error of its own.
    pub(crate) fn count(&mut self, refusal: &Refusal) {
        let reply = refusal.reply(&self.rules.settings.hostname);
        if reply.severity() == smtp::Severity::PermanentNegative {
            self.errors = self.errors.saturating_add(1);
        }
    }

    /// Who the open transaction is from, for logs.
    pub(crate) fn reverse_path(&self) -> Option<&ReversePath> {
        let open = self.transaction.as_ref().map(|transaction| &transaction.reverse_path);
        open.or(self.chunks.as_ref())
    }

    /// One line, one command (RFC 5321 §4.1.1).
    fn obey(&mut self, line: &[u8], health: Health) -> Result<Step, Refusal> {
        let command = match Command::parse(line) {
            Ok(command) => command,
            Err(error) => return Ok(not_understood(line, error)),
        };
        match command {
            Command::Ehlo(name) => Ok(self.hello(name, Hello::Ehlo)),
            Command::Helo(name) => Ok(self.hello(name, Hello::Helo)),
            Command::Mail { path, parameters } => {
                in_ascii(line, parameters.smtputf8)?;
                self.mail(path, parameters, health)
            }
            Command::Rcpt { path, parameters } => self.rcpt(line, path, parameters),
            Command::Data => Ok(self.data().unwrap_or_else(Step::RefuseData)),
            Command::Bdat { size, chunk } => Ok(self.bdat(size, chunk)),
            Command::Rset => {
                self.forget();
                Ok(Step::Reply(ok("reset")))
            }
            Command::Noop => Ok(Step::Reply(ok("nothing done"))),
            Command::Vrfy(_) => Ok(Step::Reply(cannot_verify())),
            Command::Help(_) => Ok(Step::Reply(help())),
            Command::Quit => Ok(Step::Leave(self.goodbye())),
            Command::Expn(_) => Err(Refusal::NotOffered { command: "EXPN" }),
            Command::Auth { mechanism, initial } => self.auth(&mechanism, initial.as_ref()),
            Command::StartTls => self.starttls(),
        }
    }

    /// EHLO and HELO end a transaction as RSET does (RFC 5321 §4.1.4).
    fn hello(&mut self, name: ClientName, hello: Hello) -> Step {
        self.forget();
        self.client = Some(Client { name, hello });
        Step::Reply(match hello {
            Hello::Helo => Reply::new(ReplyCode::OK, None, self.rules.settings.hostname.as_str()),
            Hello::Ehlo => self.extensions(),
        })
    }

    /// Forgets the transaction and what was received of it.
    fn forget(&mut self) {
        self.transaction = None;
        self.chunks = None;
    }

    /// STARTTLS: the reply is the last thing said in clear (RFC 3207 §4).
    fn starttls(&mut self) -> Result<Step, Refusal> {
        if !self.offers_starttls() {
            return Err(Refusal::NotOffered { command: "STARTTLS" });
        }
        self.rules
            .meters
            .take(self.peer(), Metered::Handshake)
            .map_err(|_often| Refusal::TooOften(Metered::Handshake))?;
        Ok(Step::StartTls(reply(ReplyCode::READY, (0, 0), "ready to start TLS")))
    }

    /// The reply to QUIT.
    fn goodbye(&self) -> Reply {
        let hostname = &self.rules.settings.hostname;
        reply(ReplyCode::CLOSING, (0, 0), &format!("{hostname} closing connection"))
    }
}

/// What is to be done about a line that is no command. Two kinds are no mistakes to go on from: a
/// chunk of unknown size, whose octets would be taken for commands, and another protocol.
fn not_understood(line: &[u8], error: CommandError) -> Step {
    let verb = Command::verb(line);
    let is_one_of = |verbs: &[&[u8]]| verbs.iter().any(|one| verb.eq_ignore_ascii_case(one));
    if is_one_of(&[b"BDAT"]) {
        Step::RefuseAndLeave(Refusal::ChunkOfUnknownSize)
    } else if is_one_of(&[b"CONNECT", b"GET", b"HEAD", b"OPTIONS", b"POST", b"PUT"]) {
        Step::RefuseAndLeave(Refusal::Http)
    } else {
        Step::Refuse(error.into())
    }
}

#[cfg(test)]
mod tests;
