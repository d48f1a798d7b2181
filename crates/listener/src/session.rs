//! The protocol: which command may follow which, and what each is answered (RFC 5321 §4.1).
//!
//! Lines go in, steps come out; nothing here reads, writes or waits. STARTTLS, AUTH and BDAT are
//! not offered, so they are refused.

use std::net::IpAddr;
use std::sync::Arc;

use queue::{BeginError, Envelope, Health, Networks, Recipient, Submitter};
use smtp::{
    Class, ClientName, Command, CommandError, EnhancedCode, ForwardPath, Line, LineFault,
    LocalPart, MailParameters, Mailbox, RcptParameters, Reply, ReplyCode, ReversePath, Smtputf8,
};

use crate::refusal::Refusal;
use crate::settings::ListenerSettings;
use crate::trace::Protocol;

/// What every session of a listener is judged by.
#[derive(Debug)]
pub(crate) struct Rules {
    /// The listener's name and limits.
    pub(crate) settings: ListenerSettings,
    /// Who may submit.
    pub(crate) networks: Networks,
}

/// One client's session (RFC 5321 §3.1).
#[derive(Debug)]
pub(crate) struct Session {
    rules: Arc<Rules>,
    peer: IpAddr,
    client: Option<Client>,
    transaction: Option<Transaction>,
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

/// Whether the client heard of our extensions.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Hello {
    Ehlo,
    Helo,
}

/// A mail transaction (RFC 5321 §3.3): begun by MAIL, so by a client that may submit.
#[derive(Debug)]
struct Transaction {
    submitter: Submitter,
    reverse_path: ReversePath,
    parameters: MailParameters,
    recipients: Vec<Recipient>,
    surplus: Surplus,
}

/// Whether recipients were refused for being too many.
#[derive(Clone, Copy, Debug)]
enum Surplus {
    None,
    Told,
}

/// A transaction that has all it needs but the message.
#[derive(Debug)]
pub(crate) struct Incoming {
    /// Leave to put the message into the queue.
    pub(crate) submitter: Submitter,
    /// Who the message is from and for.
    pub(crate) envelope: Envelope,
    /// How the client called itself.
    pub(crate) client_name: ClientName,
    /// How the message comes, for its Received header field.
    pub(crate) protocol: Protocol,
}

/// What is to be done about a line.
#[derive(Debug)]
pub(crate) enum Step {
    /// The client wants to go: reply and close.
    Leave(Reply),
    /// Take the message.
    Receive(Box<Incoming>),
    /// Refuse the line; log why.
    Refuse(Refusal),
    /// Refuse DATA: what the client may have sent behind it is no command (RFC 2920 §3.1).
    RefuseData(Refusal),
    /// Reply.
    Reply(Reply),
}

impl Session {
    /// A session with the client at `peer`, who has yet to say EHLO.
    pub(crate) const fn new(rules: Arc<Rules>, peer: IpAddr) -> Self {
        Self { rules, peer, client: None, transaction: None, commands: 0, errors: 0, messages: 0 }
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
        let step = match line {
            Ok(line) => self.obey(line.as_bytes(), health).unwrap_or_else(Step::Refuse),
            Err(fault) => Step::Refuse(fault.into()),
        };
        match &step {
            Step::Refuse(refusal) | Step::RefuseData(refusal) => self.count(refusal),
            Step::Leave(_) | Step::Receive(_) | Step::Reply(_) => {}
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
        self.transaction.as_ref().map(|transaction| &transaction.reverse_path)
    }

    /// One line, one command (RFC 5321 §4.1.1).
    fn obey(&mut self, line: &[u8], health: Health) -> Result<Step, Refusal> {
        match Command::parse(line)? {
            Command::Ehlo(name) => Ok(self.hello(name, Hello::Ehlo)),
            Command::Helo(name) => Ok(self.hello(name, Hello::Helo)),
            Command::Mail { path, parameters } => {
                in_ascii(line, parameters.smtputf8)?;
                self.mail(path, parameters, health)
            }
            Command::Rcpt { path, parameters } => self.rcpt(line, path, &parameters),
            Command::Data => Ok(self.data().unwrap_or_else(Step::RefuseData)),
            Command::Rset => {
                self.transaction = None;
                Ok(ok("reset"))
            }
            Command::Noop => Ok(ok("nothing done")),
            Command::Vrfy(_) => Ok(Step::Reply(cannot_verify())),
            Command::Help(_) => Ok(Step::Reply(help())),
            Command::Quit => Ok(Step::Leave(self.goodbye())),
            Command::Expn(_) => Err(Refusal::NotOffered { command: "EXPN" }),
            Command::Auth { .. } => Err(Refusal::NotOffered { command: "AUTH" }),
            Command::Bdat { .. } => Err(Refusal::NotOffered { command: "BDAT" }),
            Command::StartTls => Err(Refusal::NotOffered { command: "STARTTLS" }),
        }
    }

    /// EHLO and HELO end a transaction as RSET does (RFC 5321 §4.1.4).
    fn hello(&mut self, name: ClientName, hello: Hello) -> Step {
        self.transaction = None;
        self.client = Some(Client { name, hello });
        let hostname = self.rules.settings.hostname.to_string();
        let lines = match hello {
            Hello::Helo => vec![hostname],
            Hello::Ehlo => {
                let size = format!("SIZE {}", self.rules.settings.limits.message_size);
                let fixed = ["PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES", "SMTPUTF8"];
                let fixed = fixed.map(str::to_owned);
                [hostname, size].into_iter().chain(fixed).collect()
            }
        };
        Step::Reply(Reply::multiline(ReplyCode::OK, None, lines))
    }

    /// MAIL opens a transaction for a client that may submit.
    fn mail(
        &mut self,
        path: ReversePath,
        parameters: MailParameters,
        health: Health,
    ) -> Result<Step, Refusal> {
        let client = self.client.as_ref().ok_or(Refusal::HelloFirst)?;
        if self.transaction.is_some() {
            return Err(Refusal::NestedMail);
        }
        let limits = &self.rules.settings.limits;
        if self.messages >= limits.messages_per_connection {
            return Err(Refusal::TooManyMessages);
        }
        let submitter = self.rules.networks.admit(self.peer);
        let submitter = submitter.ok_or(Refusal::NotAdmitted { peer: self.peer })?;
        offered_to_mail(client.hello, &parameters)?;
        if parameters.size.is_some_and(|size| size > limits.message_size) {
            return Err(Refusal::MessageTooLarge { limit: limits.message_size });
        }
        has_room(health)?;
        self.transaction = Some(Transaction {
            submitter,
            reverse_path: path,
            parameters,
            recipients: Vec::new(),
            surplus: Surplus::None,
        });
        Ok(Step::Reply(reply(ReplyCode::OK, (1, 0), "sender ok")))
    }

    /// RCPT adds a recipient.
    fn rcpt(
        &mut self,
        line: &[u8],
        path: ForwardPath,
        parameters: &RcptParameters,
    ) -> Result<Step, Refusal> {
        let transaction = self.transaction.as_mut().ok_or(Refusal::MailFirst)?;
        in_ascii(line, transaction.parameters.smtputf8)?;
        offered_to_rcpt(parameters)?;
        if transaction.recipients.len() >= self.rules.settings.limits.recipients {
            return Ok(transaction.too_many(&self.rules.settings));
        }
        let mailbox = match path {
            ForwardPath::Mailbox(mailbox) => mailbox,
            ForwardPath::Postmaster => postmaster(&self.rules.settings)?,
        };
        transaction.recipients.push(Recipient::new(mailbox));
        Ok(Step::Reply(reply(ReplyCode::OK, (1, 5), "recipient ok")))
    }

    /// DATA hands the transaction over; whatever becomes of the message, it is over then
    /// (RFC 5321 §4.1.1.4).
    fn data(&mut self) -> Result<Step, Refusal> {
        let client = self.client.as_ref().ok_or(Refusal::HelloFirst)?;
        let transaction = self.transaction.take_if(|open| !open.recipients.is_empty());
        let Some(transaction) = transaction else {
            let begun = self.transaction.is_some();
            return Err(if begun { Refusal::NoRecipients } else { Refusal::MailFirst });
        };
        Ok(Step::Receive(Box::new(transaction.into_incoming(client))))
    }

    /// The reply to QUIT.
    fn goodbye(&self) -> Reply {
        let hostname = &self.rules.settings.hostname;
        reply(ReplyCode::CLOSING, (0, 0), &format!("{hostname} closing connection"))
    }
}

impl Transaction {
    /// The first recipient too many is a refusal to be logged; a client may well name thousands
    /// more, and come back with them (RFC 5321 §4.5.3.1.10).
    fn too_many(&mut self, settings: &ListenerSettings) -> Step {
        match self.surplus {
            Surplus::Told => Step::Reply(Refusal::TooManyRecipients.reply(&settings.hostname)),
            Surplus::None => {
                self.surplus = Surplus::Told;
                Step::Refuse(Refusal::TooManyRecipients)
            }
        }
    }

    /// All that is known before the message comes.
    fn into_incoming(self, client: &Client) -> Incoming {
        let MailParameters { body, smtputf8, .. } = self.parameters;
        let protocol = match (client.hello, smtputf8) {
            (Hello::Helo, _) => Protocol::Smtp,
            (Hello::Ehlo, Smtputf8::NotRequested) => Protocol::Esmtp,
            (Hello::Ehlo, Smtputf8::Requested) => Protocol::Utf8Smtp,
        };
        Incoming {
            submitter: self.submitter,
            envelope: Envelope::new(self.reverse_path, self.recipients, body, smtputf8),
            client_name: client.name.clone(),
            protocol,
        }
    }
}

/// Nobody should send a message that cannot be stored (RFC 1870 §6.1).
const fn has_room(health: Health) -> Result<(), Refusal> {
    match health {
        Health::Closed => Err(Refusal::Begin(BeginError::Closed)),
        Health::Failed => Err(Refusal::Begin(BeginError::Failed)),
        Health::LowOnSpace => Err(Refusal::Begin(BeginError::LowOnSpace)),
        Health::Ready => Ok(()),
    }
}

/// Without SMTPUTF8 an address is ASCII, its domain too, which the parser would have made so
/// (RFC 6531 §3.4).
fn in_ascii(line: &[u8], smtputf8: Smtputf8) -> Result<(), Refusal> {
    match smtputf8 {
        Smtputf8::NotRequested if !line.is_ascii() => Err(CommandError::Smtputf8Required.into()),
        Smtputf8::NotRequested | Smtputf8::Requested => Ok(()),
    }
}

/// A parameter is taken only if its extension was announced, so none after HELO
/// (RFC 5321 §4.1.1.11).
fn offered_to_mail(hello: Hello, parameters: &MailParameters) -> Result<(), Refusal> {
    let MailParameters { size, body, smtputf8, ret, envid, auth } = parameters;
    let announced = hello == Hello::Ehlo;
    let refused = [
        (size.is_some() && !announced, "SIZE"),
        (*body != smtp::BodyType::SevenBit && !announced, "BODY"),
        (*smtputf8 == Smtputf8::Requested && !announced, "SMTPUTF8"),
        (ret.is_some(), "RET"),
        (envid.is_some(), "ENVID"),
        (auth.is_some(), "AUTH"),
    ];
    first_refused(refused)
}

/// The parameters of RCPT are all those of DSN (RFC 3461), which is not announced.
fn offered_to_rcpt(parameters: &RcptParameters) -> Result<(), Refusal> {
    let RcptParameters { notify, orcpt } = parameters;
    first_refused([(notify.is_some(), "NOTIFY"), (orcpt.is_some(), "ORCPT")])
}

/// The refusal of the first parameter that is refused.
fn first_refused<const N: usize>(parameters: [(bool, &'static str); N]) -> Result<(), Refusal> {
    match parameters.into_iter().find(|(refused, _)| *refused) {
        Some((_, keyword)) => Err(CommandError::ParameterNotOffered { keyword }.into()),
        None => Ok(()),
    }
}

/// Whom the bare `<postmaster>` stands for (RFC 5321 §4.5.1).
fn postmaster(settings: &ListenerSettings) -> Result<Mailbox, Refusal> {
    let domain = settings.postmaster_domain.clone();
    LocalPart::new("postmaster")
        .and_then(|local| Mailbox::new(local, domain.into()))
        .map_err(|error| CommandError::ForwardPath(error.into()).into())
}

/// A positive reply with an enhanced code of this subject and detail.
fn reply(code: ReplyCode, (subject, detail): (u16, u16), text: &str) -> Reply {
    Reply::new(code, Some(EnhancedCode::new(Class::Success, subject, detail)), text)
}

/// 250 2.0.0.
fn ok(text: &str) -> Step {
    Step::Reply(reply(ReplyCode::OK, (0, 0), text))
}

/// RFC 5321 §3.5.3: the answer of a server that does not tell who exists.
fn cannot_verify() -> Reply {
    let text = "cannot VRFY user, but will accept message and attempt delivery";
    reply(ReplyCode::CANNOT_VERIFY, (0, 0), text)
}

/// The reply to HELP.
fn help() -> Reply {
    let text = "commands: EHLO HELO MAIL RCPT DATA RSET NOOP VRFY HELP QUIT";
    reply(ReplyCode::HELP, (0, 0), text)
}

#[cfg(test)]
mod tests;
