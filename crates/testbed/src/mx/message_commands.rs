//! A mail transaction (RFC 5321 §3.3): MAIL, RCPT, DATA or BDAT.

use std::sync::{Arc, OnceLock};

use super::{Session, Step, Went};
use crate::message::{Answer, Message};
use crate::mx::behaviour::MxBehaviour;
use crate::mx::wire::Ended;

/// What was said of a message before its text.
#[derive(Debug, Default)]
pub(super) struct Transaction {
    reverse_path: String,
    mail_parameters: Vec<String>,
    recipients: Vec<String>,
    recipient_parameters: Vec<Vec<String>>,
    /// What has come in chunks (RFC 3030).
    chunks: Option<Vec<u8>>,
}

/// The path and the parameters of MAIL or RCPT.
struct Argument {
    path: String,
    parameters: Vec<String>,
}

impl Session {
    pub(super) async fn mail(&mut self, line: &str) -> Result<(), Ended> {
        if self.goes(Step::MailFrom).await? == Went::Otherwise {
            return Ok(());
        }
        if self.client_name.is_none() || self.transaction.is_some() {
            return self.say("503 5.5.1 MAIL comes once, after EHLO").await;
        }
        if !self.logged_in && self.host.behaviour(|behaviour| behaviour.logins().is_some()) {
            return self.say("530 5.7.0 authentication required").await;
        }
        let Some(argument) = Argument::parse(line, "MAIL FROM:") else {
            return self.say("501 5.5.4 MAIL FROM:<path> parameters").await;
        };
        if let Some(refusal) = self.refusal(&argument) {
            return self.say(refusal).await;
        }
        let Argument { path: reverse_path, parameters: mail_parameters } = argument;
        self.transaction =
            Some(Transaction { reverse_path, mail_parameters, ..Transaction::default() });
        self.say("250 2.1.0 sender taken").await
    }

    pub(super) async fn rcpt(&mut self, line: &str) -> Result<(), Ended> {
        let argument = Argument::parse(line, "RCPT TO:");
        let path = argument.as_ref().map(|argument| argument.path.as_str());
        if self.goes_for(Step::RcptTo, path).await? == Went::Otherwise {
            return Ok(());
        }
        let Some(transaction) = &mut self.transaction else {
            return self.say("503 5.5.1 RCPT comes after MAIL").await;
        };
        let Some(argument) = argument else {
            return self.say("501 5.5.4 RCPT TO:<path> parameters").await;
        };
        if self.host.greylists(&transaction.reverse_path, &argument.path) {
            return self.say("451 4.7.1 greylisted, come again").await;
        }
        if !argument.path.is_ascii() && !transaction.is_smtputf8() {
            return self.say("553 5.6.7 SMTPUTF8 was not asked for").await;
        }
        if !argument.parameters.is_empty()
            && !self.host.behaviour(|behaviour| behaviour.offers("DSN"))
        {
            return self.say("555 5.5.4 no such parameter").await;
        }
        let limit = self.host.behaviour(|behaviour| behaviour.recipient_limit().cloned());
        if let Some((limit, reply)) = limit
            && transaction.recipients.len() >= limit
        {
            return self.say(&reply).await;
        }
        transaction.recipients.push(argument.path);
        transaction.recipient_parameters.push(argument.parameters);
        self.say("250 2.1.5 recipient taken").await
    }

    pub(super) async fn data(&mut self) -> Result<(), Ended> {
        if self.goes(Step::Data).await? == Went::Otherwise {
            return Ok(());
        }
        match &self.transaction {
            None => return self.say("503 5.5.1 DATA comes after RCPT").await,
            Some(transaction) if transaction.recipients.is_empty() => {
                return self.say("554 5.5.1 no valid recipients").await;
            }
            Some(transaction) if transaction.is_binary() => {
                return self.say("503 5.5.1 BINARYMIME comes by BDAT").await;
            }
            Some(_) => {}
        }
        self.say("354 go on, end with a dot").await?;
        let data = self.receive().await?;
        self.end(data).await
    }

    /// RFC 3030 §2: the octets are there, whatever is thought of them.
    pub(super) async fn bdat(&mut self, argument: &str) -> Result<(), Ended> {
        let (size, last) = argument.split_once(' ').unwrap_or((argument, ""));
        let Ok(size) = size.parse() else {
            return self.say("501 5.5.4 BDAT size LAST").await;
        };
        let octets = self.wire.octets(size).await?;
        if !self.host.behaviour(|behaviour| behaviour.offers("CHUNKING")) {
            return self.say("500 5.5.2 no such command").await;
        }
        let step = if last.is_empty() { Step::Chunk } else { Step::LastChunk };
        if self.goes(step).await? == Went::Otherwise {
            self.transaction = None;
            return Ok(());
        }
        let Some(transaction) = &mut self.transaction else {
            return self.say("503 5.5.1 BDAT comes after RCPT").await;
        };
        if transaction.recipients.is_empty() {
            return self.say("554 5.5.1 no valid recipients").await;
        }
        let chunks = transaction.chunks.get_or_insert_default();
        chunks.extend_from_slice(&octets);
        if last.is_empty() {
            return self.say(&format!("250 2.0.0 {size} octets")).await;
        }
        let data = std::mem::take(chunks);
        self.end(data).await
    }

    /// A message has come to its end.
    async fn end(&mut self, data: Vec<u8>) -> Result<(), Ended> {
        let transaction = self.transaction.take().unwrap_or_default();
        self.check_eight_bit(&transaction, &data);
        if self.goes(Step::EndOfData).await? == Went::Otherwise {
            return Ok(());
        }
        let limit = self.host.behaviour(MxBehaviour::size_limit);
        if limit.is_some_and(|limit| limit != 0 && data.len() > limit) {
            return self.say("552 5.3.4 too big").await;
        }
        let answer = self.take(transaction, data);
        let went = self.goes(Step::Taken).await;
        if !matches!(went, Ok(Went::Usual)) {
            answer.get_or_init(|| Answer::Withheld);
            return went.map(drop);
        }
        let said = self.say("250 2.0.0 message taken").await;
        answer.get_or_init(|| if said.is_ok() { Answer::Given } else { Answer::Unsent });
        said
    }

    /// Reads the message up to its end, without the dots added for the transfer
    /// (RFC 5321 §4.5.2).
    async fn receive(&mut self) -> Result<Vec<u8>, Ended> {
        let mut data = Vec::new();
        let mut is_first = true;
        loop {
            let line = self.wire.message_line().await?;
            if is_first {
                self.goes(Step::Message).await?;
                is_first = false;
            }
            if line == b".\r\n" {
                return Ok(data);
            }
            let text = line.strip_suffix(b"\r\n").unwrap_or(&line);
            if text.iter().any(|byte| matches!(byte, b'\r' | b'\n')) {
                self.recorder.violation("a bare CR or LF in a message");
            }
            data.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
        }
    }

    fn take(&self, transaction: Transaction, data: Vec<u8>) -> Arc<OnceLock<Answer>> {
        let answer = Arc::default();
        self.host.mailbox.keep(Message {
            host: self.host.name.clone(),
            address: self.host.address,
            peer: self.peer,
            client_name: self.client_name.clone().unwrap_or_default(),
            tls: self.tls.clone(),
            reverse_path: transaction.reverse_path,
            mail_parameters: transaction.mail_parameters,
            recipients: transaction.recipients,
            recipient_parameters: transaction.recipient_parameters,
            data,
            answer: Arc::clone(&answer),
        });
        answer
    }

    /// Why the parameters of MAIL are refused, if they are.
    fn refusal(&self, mail: &Argument) -> Option<&'static str> {
        let behaviour = self.host.behaviour(MxBehaviour::clone);
        let is_smtputf8 = mail.parameters.iter().any(|p| p.eq_ignore_ascii_case("SMTPUTF8"));
        if !mail.path.is_ascii() && !is_smtputf8 {
            return Some("553 5.6.7 SMTPUTF8 was not asked for");
        }
        for parameter in &mail.parameters {
            let (keyword, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let extension = match keyword.to_ascii_uppercase().as_str() {
                "BODY" if value.eq_ignore_ascii_case("BINARYMIME") => value.to_owned(),
                "BODY" => "8BITMIME".to_owned(),
                "RET" | "ENVID" => "DSN".to_owned(),
                other => other.to_owned(),
            };
            if !behaviour.offers(&extension) {
                return Some("555 5.5.4 no such parameter");
            }
            let too_big = |limit| limit != 0 && value.parse().is_ok_and(|size: usize| size > limit);
            if extension == "SIZE" && behaviour.size_limit().is_some_and(too_big) {
                return Some("552 5.3.4 too big");
            }
        }
        None
    }

    /// RFC 6152 §3: bytes above 127 are announced, by BODY=8BITMIME or by SMTPUTF8.
    fn check_eight_bit(&self, transaction: &Transaction, data: &[u8]) {
        let announced = transaction.mail_parameters.iter().any(|parameter| {
            parameter.eq_ignore_ascii_case("BODY=8BITMIME")
                || parameter.eq_ignore_ascii_case("BODY=BINARYMIME")
                || parameter.eq_ignore_ascii_case("SMTPUTF8")
        });
        if !announced && !data.is_ascii() {
            self.recorder.violation("8-bit data without BODY=8BITMIME");
        }
    }
}

impl Transaction {
    fn is_binary(&self) -> bool {
        self.mail_parameters.iter().any(|one| one.eq_ignore_ascii_case("BODY=BINARYMIME"))
    }

    fn is_smtputf8(&self) -> bool {
        self.mail_parameters.iter().any(|parameter| parameter.eq_ignore_ascii_case("SMTPUTF8"))
    }
}

impl Argument {
    /// Takes a command apart; a closing bracket inside quotes does not end the path.
    fn parse(line: &str, command: &str) -> Option<Self> {
        let (verb, rest) = line.split_at_checked(command.len())?;
        let rest = rest.strip_prefix('<').filter(|_| verb.eq_ignore_ascii_case(command))?;
        let (mut quoted, mut escaped) = (false, false);
        let end = rest.bytes().position(|byte| {
            let closes = byte == b'>' && !quoted;
            if byte == b'"' && !escaped {
                quoted = !quoted;
            }
            escaped = quoted && byte == b'\\' && !escaped;
            closes
        })?;
        let (path, parameters) = rest.split_at_checked(end)?;
        let parameters = parameters.strip_prefix('>')?;
        if !parameters.is_empty() && !parameters.starts_with(' ') {
            return None;
        }
        let parameters = parameters.split_ascii_whitespace().map(str::to_owned).collect();
        Some(Self { path: path.to_owned(), parameters })
    }
}
