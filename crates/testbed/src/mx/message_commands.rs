//! The commands of a mail transaction (RFC 5321 §3.3): MAIL, RCPT, DATA or BDAT.

use std::sync::{Arc, OnceLock};

use super::behaviour::{MxBehaviour, Step};
use super::dialogue::{Dialogue, StepResult};
use super::transaction::{Argument, Transaction};
use super::wire::Ended;
use crate::message::{Answer, Message};

pub(super) async fn mail(dialogue: &mut Dialogue, line: &str) -> Result<(), Ended> {
    if dialogue.goes(Step::MailFrom).await? == StepResult::Otherwise {
        return Ok(());
    }
    if dialogue.client_name.is_none() || dialogue.transaction.is_some() {
        return dialogue.say("503 5.5.1 MAIL comes once, after EHLO").await;
    }
    if !dialogue.logged_in && dialogue.host.behaviour(|behaviour| behaviour.logins().is_some()) {
        return dialogue.say("530 5.7.0 authentication required").await;
    }
    let Some(argument) = Argument::parse(line, "MAIL FROM:") else {
        return dialogue.say("501 5.5.4 MAIL FROM:<path> parameters").await;
    };
    if let Some(refusal) = refusal(dialogue, &argument) {
        return dialogue.say(refusal).await;
    }
    let Argument { path: reverse_path, parameters: mail_parameters } = argument;
    dialogue.transaction =
        Some(Transaction { reverse_path, mail_parameters, ..Transaction::default() });
    dialogue.say("250 2.1.0 sender taken").await
}

pub(super) async fn rcpt(dialogue: &mut Dialogue, line: &str) -> Result<(), Ended> {
    let argument = Argument::parse(line, "RCPT TO:");
    let path = argument.as_ref().map(|argument| argument.path.as_str());
    if dialogue.goes_for(Step::RcptTo, path).await? == StepResult::Otherwise {
        return Ok(());
    }
    let Some(transaction) = &mut dialogue.transaction else {
        return dialogue.say("503 5.5.1 RCPT comes after MAIL").await;
    };
    let Some(argument) = argument else {
        return dialogue.say("501 5.5.4 RCPT TO:<path> parameters").await;
    };
    if dialogue.host.greylists(&transaction.reverse_path, &argument.path) {
        return dialogue.say("451 4.7.1 greylisted, come again").await;
    }
    if !argument.path.is_ascii() && !transaction.is_smtputf8() {
        return dialogue.say("553 5.6.7 SMTPUTF8 was not asked for").await;
    }
    if !argument.parameters.is_empty()
        && !dialogue.host.behaviour(|behaviour| behaviour.offers("DSN"))
    {
        return dialogue.say("555 5.5.4 no such parameter").await;
    }
    let limit = dialogue.host.behaviour(|behaviour| behaviour.recipient_limit().cloned());
    if let Some((limit, reply)) = limit
        && transaction.recipients.len() >= limit
    {
        return dialogue.say(&reply).await;
    }
    transaction.recipients.push(argument.path);
    transaction.recipient_parameters.push(argument.parameters);
    dialogue.say("250 2.1.5 recipient taken").await
}

pub(super) async fn data(dialogue: &mut Dialogue) -> Result<(), Ended> {
    if dialogue.goes(Step::Data).await? == StepResult::Otherwise {
        return Ok(());
    }
    match &dialogue.transaction {
        None => return dialogue.say("503 5.5.1 DATA comes after RCPT").await,
        Some(transaction) if transaction.recipients.is_empty() => {
            return dialogue.say("554 5.5.1 no valid recipients").await;
        }
        Some(transaction) if transaction.is_binary() => {
            return dialogue.say("503 5.5.1 BINARYMIME comes by BDAT").await;
        }
        Some(_) => {}
    }
    dialogue.say("354 go on, end with a dot").await?;
    let data = receive(dialogue).await?;
    end(dialogue, data).await
}

/// RFC 3030 §2: the octets are there, whatever is thought of them.
pub(super) async fn bdat(dialogue: &mut Dialogue, argument: &str) -> Result<(), Ended> {
    let (size, last) = argument.split_once(' ').unwrap_or((argument, ""));
    let Ok(size) = size.parse() else {
        return dialogue.say("501 5.5.4 BDAT size LAST").await;
    };
    let octets = dialogue.wire.octets(size).await?;
    if !dialogue.host.behaviour(|behaviour| behaviour.offers("CHUNKING")) {
        return dialogue.say("500 5.5.2 no such command").await;
    }
    let step = if last.is_empty() { Step::Chunk } else { Step::LastChunk };
    if dialogue.goes(step).await? == StepResult::Otherwise {
        dialogue.transaction = None;
        return Ok(());
    }
    let Some(transaction) = &mut dialogue.transaction else {
        return dialogue.say("503 5.5.1 BDAT comes after RCPT").await;
    };
    if transaction.recipients.is_empty() {
        return dialogue.say("554 5.5.1 no valid recipients").await;
    }
    let chunks = transaction.chunks.get_or_insert_default();
    chunks.extend_from_slice(&octets);
    if last.is_empty() {
        return dialogue.say(&format!("250 2.0.0 {size} octets")).await;
    }
    let data = std::mem::take(chunks);
    end(dialogue, data).await
}

/// A message has come to its end.
async fn end(dialogue: &mut Dialogue, data: Vec<u8>) -> Result<(), Ended> {
    let transaction = dialogue.transaction.take().unwrap_or_default();
    check_eight_bit(dialogue, &transaction, &data);
    if dialogue.goes(Step::EndOfData).await? == StepResult::Otherwise {
        return Ok(());
    }
    let limit = dialogue.host.behaviour(MxBehaviour::size_limit);
    if limit.is_some_and(|limit| limit != 0 && data.len() > limit) {
        return dialogue.say("552 5.3.4 too big").await;
    }
    let answer = take(dialogue, transaction, data);
    let result = dialogue.goes(Step::Taken).await;
    if !matches!(result, Ok(StepResult::Usual)) {
        answer.get_or_init(|| Answer::Withheld);
        return result.map(drop);
    }
    let said = dialogue.say("250 2.0.0 message taken").await;
    answer.get_or_init(|| if said.is_ok() { Answer::Given } else { Answer::Unsent });
    said
}

/// Reads the message up to its end, without the dots added for the transfer
/// (RFC 5321 §4.5.2).
async fn receive(dialogue: &mut Dialogue) -> Result<Vec<u8>, Ended> {
    let mut data = Vec::new();
    let mut is_first = true;
    loop {
        let line = dialogue.wire.message_line().await?;
        if is_first {
            dialogue.goes(Step::Message).await?;
            is_first = false;
        }
        if line == b".\r\n" {
            return Ok(data);
        }
        let text = line.strip_suffix(b"\r\n").unwrap_or(&line);
        if text.iter().any(|byte| matches!(byte, b'\r' | b'\n')) {
            dialogue.recorder.violation("a bare CR or LF in a message");
        }
        data.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
    }
}

fn take(dialogue: &Dialogue, transaction: Transaction, data: Vec<u8>) -> Arc<OnceLock<Answer>> {
    let answer = Arc::default();
    dialogue.host.mailbox.keep(Message {
        host: dialogue.host.scripted.name().to_owned(),
        address: dialogue.host.scripted.address(),
        peer: dialogue.peer,
        client_name: dialogue.client_name.clone().unwrap_or_default(),
        tls: dialogue.tls.clone(),
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
fn refusal(dialogue: &Dialogue, mail: &Argument) -> Option<&'static str> {
    let behaviour = dialogue.host.behaviour(MxBehaviour::clone);
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
fn check_eight_bit(dialogue: &Dialogue, transaction: &Transaction, data: &[u8]) {
    let announced = transaction.mail_parameters.iter().any(|parameter| {
        parameter.eq_ignore_ascii_case("BODY=8BITMIME")
            || parameter.eq_ignore_ascii_case("BODY=BINARYMIME")
            || parameter.eq_ignore_ascii_case("SMTPUTF8")
    });
    if !announced && !data.is_ascii() {
        dialogue.recorder.violation("8-bit data without BODY=8BITMIME");
    }
}
