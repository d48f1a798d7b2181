//! The protocol: which command may follow which, and what each is answered (RFC 5321 §4.1).
//!
//! Lines go in, steps come out; nothing here reads, writes or waits.

mod client;
mod login;
mod offers;
mod replies;
mod step;
mod transaction;

use std::sync::Arc;

use access::{AllowedSenders, Authenticated, Peer};
use queue::{Health, Recipient};
use smtp::{
    Chunk, ClientName, Command, CommandError, ForwardPath, InitialResponse, Line, LineFault,
    MailParameters, Mailbox, RcptParameters, Reply, ReplyCode, ReversePath,
};

use self::client::{Client, Introduction};
use self::login::Login;
use self::offers::{Offers, has_room, in_ascii};
use self::replies::{cannot_verify, help, ok, reply};
use self::transaction::{Transaction, mailbox};
use crate::connections::ClientClass;
use crate::meters::Metered;
use crate::protocol::Hello;
use crate::refusal::Refusal;
use crate::rules::Rules;
use crate::service::{AuthMode, Service};
use crate::tls::TlsFacts;

pub(crate) use self::client::Origin;
pub(crate) use self::step::{Incoming, Step};

/// One client's session (RFC 5321 §3.1).
#[derive(Debug)]
pub(crate) struct Session {
    rules: Arc<Rules>,
    client: Client,
    login: Login,
    transaction: Option<Transaction>,
    /// Whose message is being sent in chunks.
    chunks: Option<ReversePath>,
    commands: usize,
    errors: usize,
    messages: usize,
}

impl Session {
    /// A session with a client who has yet to say EHLO.
    pub(crate) const fn new(rules: Arc<Rules>, origin: Origin, service: Service) -> Self {
        Self {
            rules,
            client: Client::new(origin, service),
            login: Login::after(0),
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
        let Self { commands, errors, messages, .. } = self;
        let mut client = Client::new(self.client.origin, self.client.service);
        client.tls = Some(tls);
        let login = Login::after(self.login.failures);
        let (transaction, chunks) = (None, None);
        Self { rules: self.rules, client, login, transaction, chunks, commands, errors, messages }
    }

    /// Where the client is, or its proxy.
    pub(crate) const fn peer(&self) -> Peer {
        self.client.peer()
    }

    /// Whether the client could log in here, under TLS if not as it is.
    pub(crate) fn may_log_in_later(&self) -> bool {
        self.client.service.auth != AuthMode::Off && self.rules.tls.is_some()
    }

    /// Whether the client is waited for.
    pub(crate) fn class(&self) -> ClientClass {
        self.client.class(&self.rules)
    }

    /// Who logged in, or the user of this machine.
    pub(crate) fn user(&self) -> Option<&str> {
        self.client.user()
    }

    /// The addresses that the client may send from, where these are listed.
    pub(crate) fn senders(&self) -> Option<AllowedSenders> {
        self.client.senders(&self.rules)
    }

    /// The user's own address, where there is one.
    pub(crate) fn user_address(&self) -> Option<Mailbox> {
        self.client.user_address(&self.rules.settings)
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
        let step = match (self.login.take_exchange(), line) {
            (Some(exchange), line) => self.login.answer(exchange, &line),
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

    /// Counts what a client should not try again; a reply to come back later is no error of its own.
    pub(crate) fn count(&mut self, refusal: &Refusal) {
        let reply = refusal.reply(&self.rules.settings.hostname);
        if reply.severity() == smtp::Severity::PermanentNegative {
            self.errors = self.errors.saturating_add(1);
        }
    }

    /// Who the open transaction is from, for logs.
    pub(crate) fn reverse_path(&self) -> Option<&ReversePath> {
        let open = self.transaction.as_ref().map(Transaction::reverse_path);
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
        self.client.introduction = Some(Introduction { name, hello });
        Step::Reply(match hello {
            Hello::Helo => Reply::new(ReplyCode::OK, None, self.rules.settings.hostname.as_str()),
            Hello::Ehlo => self.offers().reply(),
        })
    }

    /// Forgets the transaction and what was received of it.
    fn forget(&mut self) {
        self.transaction = None;
        self.chunks = None;
    }

    /// What is offered to the client as it is now.
    fn offers(&self) -> Offers<'_> {
        Offers { rules: &self.rules, client: &self.client }
    }

    /// STARTTLS: the reply is the last thing said in clear (RFC 3207 §4).
    fn starttls(&self) -> Result<Step, Refusal> {
        if !self.offers().starttls() {
            return Err(Refusal::NotOffered { command: "STARTTLS" });
        }
        self.rules.count(self.peer(), Metered::Handshake)?;
        Ok(Step::StartTls(reply(ReplyCode::READY, (0, 0), "ready to start TLS")))
    }

    /// AUTH begins a dialogue. It is offered under TLS alone: both mechanisms send the password.
    fn auth(
        &mut self,
        mechanism: &str,
        initial: Option<&InitialResponse>,
    ) -> Result<Step, Refusal> {
        self.may_log_in()?;
        self.login.begin(mechanism, initial)
    }

    /// The password was right.
    pub(crate) fn logged_in(&mut self, user: Authenticated) -> Reply {
        self.client.user = Some(user);
        reply(ReplyCode::AUTHENTICATED, (7, 0), "authenticated")
    }

    /// The password was wrong.
    pub(crate) fn not_logged_in(&mut self) -> Refusal {
        self.login.failures = self.login.failures.saturating_add(1);
        self.count(&Refusal::AuthenticationFailed);
        Refusal::AuthenticationFailed
    }

    /// Whether AUTH has its place here.
    fn may_log_in(&self) -> Result<(), Refusal> {
        match self.client.service.auth {
            AuthMode::Off => return Err(Refusal::NotOffered { command: "AUTH" }),
            AuthMode::Optional | AuthMode::Required => {}
        }
        if self.client.tls.is_none() {
            return Err(Refusal::AuthenticationNeedsTls);
        }
        self.client.introduced()?;
        if self.client.user.is_some() {
            return Err(Refusal::AuthenticatedAlready);
        }
        if self.transaction.is_some() || self.in_chunks() {
            return Err(Refusal::NestedMail);
        }
        if self.login.failures >= self.rules.settings.limits.auth_failures_per_connection {
            return Err(Refusal::TooManyAuthFailures);
        }
        self.rules
            .meters
            .ask(self.peer(), Metered::AuthFailure)
            .map_err(|_often| Refusal::TooOften(Metered::AuthFailure))
    }

    /// MAIL opens a transaction for a client that may submit.
    fn mail(
        &mut self,
        path: ReversePath,
        parameters: MailParameters,
        health: Health,
    ) -> Result<Step, Refusal> {
        let hello = self.client.introduced()?.hello;
        if self.in_chunks() {
            return Err(Refusal::ChunksBegun);
        }
        if self.transaction.is_some() {
            return Err(Refusal::NestedMail);
        }
        let limits = &self.rules.settings.limits;
        if self.messages >= limits.messages_per_connection {
            return Err(Refusal::TooManyMessages);
        }
        let submitter = self.client.admit(&self.rules, &path)?;
        self.offers().take_mail(hello, &parameters)?;
        if parameters.size.is_some_and(|size| size > limits.message_size) {
            return Err(Refusal::MessageTooLarge { limit: limits.message_size });
        }
        has_room(health)?;
        self.rules.count(self.peer(), Metered::Message)?;
        self.transaction = Some(Transaction::new(submitter, path, parameters));
        Ok(Step::Reply(reply(ReplyCode::OK, (1, 0), "sender ok")))
    }

    /// RCPT adds a recipient.
    fn rcpt(
        &mut self,
        line: &[u8],
        path: ForwardPath,
        parameters: RcptParameters,
    ) -> Result<Step, Refusal> {
        if self.in_chunks() {
            return Err(Refusal::ChunksBegun);
        }
        let hello = self.client.introduced()?.hello;
        let peer = self.peer();
        let offered = self.offers().take_rcpt(hello, &parameters);
        let transaction = self.transaction.as_mut().ok_or(Refusal::MailFirst)?;
        in_ascii(line, transaction.smtputf8())?;
        offered?;
        if transaction.recipients() >= self.rules.settings.limits.recipients {
            return Ok(transaction.too_many(&self.rules.settings));
        }
        let mailbox = mailbox(path, &self.client, &self.rules)?;
        self.rules.count(peer, Metered::Recipient)?;
        transaction.add(Recipient::with(mailbox, parameters));
        Ok(Step::Reply(reply(ReplyCode::OK, (1, 5), "recipient ok")))
    }

    /// DATA hands the transaction over; whatever becomes of the message, it is over then
    /// (RFC 5321 §4.1.1.4).
    fn data(&mut self) -> Result<Step, Refusal> {
        if self.in_chunks() {
            return Err(Refusal::ChunksBegun);
        }
        // RFC 3030 §3: what has no lines has no dot at its end either.
        if self.transaction.as_ref().is_some_and(Transaction::is_binary) {
            return Err(Refusal::BinaryByData);
        }
        Ok(Step::Receive(Box::new(self.hand_over()?)))
    }

    /// BDAT hands over so many octets; they are there whatever is thought of them (RFC 3030 §2).
    fn bdat(&mut self, size: u64, chunk: Chunk) -> Step {
        let limit = self.rules.settings.limits.message_size;
        if size > limit {
            self.forget();
            return Step::RefuseAndLeave(Refusal::MessageTooLarge { limit });
        }
        if self.in_chunks() {
            return Step::Chunk { size, chunk, incoming: None };
        }
        match self.hand_over() {
            Ok(incoming) => {
                self.chunks = Some(incoming.sender().clone());
                Step::Chunk { size, chunk, incoming: Some(Box::new(incoming)) }
            }
            // Octets of a client that cannot hand in mail are not worth the wait.
            Err(refusal) if !self.client.is_welcome(&self.rules) => Step::RefuseAndLeave(refusal),
            Err(refusal) => Step::Discard { size, refusal },
        }
    }

    /// The transaction, which has all it needs but the message.
    fn hand_over(&mut self) -> Result<Incoming, Refusal> {
        let Introduction { name, hello } = self.client.introduced()?.clone();
        let transaction = self.transaction.take_if(|open| open.recipients() > 0);
        let Some(transaction) = transaction else {
            let begun = self.transaction.is_some();
            return Err(if begun { Refusal::NoRecipients } else { Refusal::MailFirst });
        };
        let protocol = self.client.protocol(hello, transaction.smtputf8());
        Ok(transaction.into_incoming(name, protocol, &self.rules.settings))
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
