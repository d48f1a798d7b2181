//! One SMTP session of an MX host (RFC 5321), from the greeting to its end.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpStream;

use super::behaviour::{After220, MxBehaviour, Starttls, Step};
use super::dialogue::{Dialogue, Service, StepResult};
use super::host::Host;
use super::login::auth;
use super::message_commands::{bdat, data, mail, rcpt};
use super::proxy;
use super::wire::Ended;
use crate::tls::Handshake;

/// What is sent where a handshake is to be broken: no TLS record begins like this.
const GARBAGE: &[u8] = b"\x00\xff this is not TLS \xff\x00\r\n";

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
    let recorder = host.tap.record(host.scripted.name(), host.scripted.address(), peer);
    let tapped = recorder.tapping(stream);
    match host.behaviour(|behaviour| behaviour.how_starttls().clone()) {
        Starttls::Stripped(how) => {
            let session = |far| run(Dialogue::new(host, Box::new(far), recorder, peer));
            proxy::strip(tapped, how, session).await;
        }
        Starttls::Implicit => {
            recorder.handshake(Handshake::Begun);
            let dialogue = Dialogue::new(host, Box::new(tapped), recorder, peer);
            if let Ok(dialogue) = dialogue.shake_hands().await {
                run(dialogue).await;
            }
        }
        Starttls::NotOffered | Starttls::Offered(_) => {
            run(Dialogue::new(host, Box::new(tapped), recorder, peer)).await;
        }
    }
}

/// Talks with the client until one of both goes.
async fn run(mut dialogue: Dialogue) {
    if greet(&mut dialogue).await.is_err() {
        return;
    }
    loop {
        match command(&mut dialogue).await {
            Ok(Next::Command) => {}
            Ok(Next::Handshake) => match dialogue.shake_hands().await {
                Ok(encrypted) => dialogue = encrypted,
                Err(Ended) => return,
            },
            Ok(Next::Close) => return dialogue.wire.close().await,
            Err(Ended) => return,
        }
    }
}

async fn greet(dialogue: &mut Dialogue) -> Result<(), Ended> {
    if dialogue.goes(Step::Greeting).await? == StepResult::Otherwise {
        dialogue.service = Service::Refused;
        return Ok(());
    }
    let greeting = format!("220 {} ESMTP testbed", dialogue.host.scripted.name());
    dialogue.say(&greeting).await
}

/// Reads one command and answers it.
async fn command(dialogue: &mut Dialogue) -> Result<Next, Ended> {
    let line = dialogue.wire.line().await?;
    let Some(line) = line.strip_suffix(b"\r\n") else {
        dialogue.recorder.violation("a command ended in a bare LF");
        dialogue.say("500 5.5.2 lines end in CRLF").await?;
        return Ok(Next::Command);
    };
    let line = String::from_utf8_lossy(line).into_owned();
    dialogue.recorder.command(dialogue.channel(), &line);
    let (verb, argument) = line.split_once(' ').unwrap_or((&line, ""));
    let verb = verb.to_ascii_uppercase();
    check_pipelining(dialogue, &verb);
    if dialogue.service == Service::Refused && verb != "QUIT" {
        dialogue.say("503 5.5.1 no service here").await?;
        return Ok(Next::Command);
    }
    match verb.as_str() {
        "EHLO" => ehlo(dialogue, argument).await?,
        "HELO" => helo(dialogue, argument).await?,
        "AUTH" => auth(dialogue, argument).await?,
        "STARTTLS" => return starttls(dialogue, argument).await,
        "MAIL" => mail(dialogue, &line).await?,
        "RCPT" => rcpt(dialogue, &line).await?,
        "DATA" => data(dialogue).await?,
        "BDAT" => bdat(dialogue, argument).await?,
        "RSET" => rset(dialogue).await?,
        "NOOP" => dialogue.say("250 2.0.0 nothing done").await?,
        "VRFY" => dialogue.say("252 2.5.0 send and see").await?,
        "QUIT" => return quit(dialogue).await,
        _ => dialogue.say("500 5.5.2 no such command").await?,
    }
    Ok(Next::Command)
}

/// RFC 2920 §3.1: without PIPELINING nothing follows a command before its reply is read, and
/// nothing ever follows these.
fn check_pipelining(dialogue: &Dialogue, verb: &str) {
    let offered = dialogue.host.behaviour(|behaviour| behaviour.offers("PIPELINING"));
    let last = matches!(verb, "EHLO" | "HELO" | "DATA" | "STARTTLS" | "QUIT" | "NOOP");
    // The octets of a chunk come with its command.
    if dialogue.wire.has_more() && verb != "BDAT" && (last || !offered) {
        dialogue.recorder.violation(&format!("something was sent before the reply to {verb}"));
    }
}

async fn ehlo(dialogue: &mut Dialogue, name: &str) -> Result<(), Ended> {
    dialogue.transaction = None;
    if dialogue.goes(Step::Ehlo).await? == StepResult::Otherwise {
        return Ok(());
    }
    dialogue.client_name = Some(name.to_owned());
    let behaviour = dialogue.host.behaviour(MxBehaviour::clone);
    let mut reply = format!("250-{} greets {name}\r\n", dialogue.host.scripted.name());
    let offered = matches!(behaviour.how_starttls(), Starttls::Offered(_) | Starttls::Stripped(_));
    if offered && dialogue.tls.is_none() {
        reply.push_str("250-STARTTLS\r\n");
    }
    if let Some(logins) = behaviour.logins().filter(|_| dialogue.tls.is_some()) {
        reply.push_str(&format!("250-{}\r\n", logins.line));
    }
    for keyword in behaviour.keywords() {
        reply.push_str(&format!("250-{keyword}\r\n"));
    }
    reply.push_str("250 HELP");
    dialogue.say(&reply).await
}

async fn helo(dialogue: &mut Dialogue, name: &str) -> Result<(), Ended> {
    dialogue.transaction = None;
    if dialogue.goes(Step::Helo).await? == StepResult::Otherwise {
        return Ok(());
    }
    dialogue.client_name = Some(name.to_owned());
    let reply = format!("250 {}", dialogue.host.scripted.name());
    dialogue.say(&reply).await
}

async fn starttls(dialogue: &mut Dialogue, argument: &str) -> Result<Next, Ended> {
    let how = dialogue.host.behaviour(|behaviour| behaviour.how_starttls().clone());
    let Starttls::Offered(after) = how else {
        dialogue.say("502 5.5.1 STARTTLS is not offered").await?;
        return Ok(Next::Command);
    };
    if dialogue.tls.is_some() || !argument.is_empty() {
        dialogue.say("503 5.5.1 not now, and not like this").await?;
        return Ok(Next::Command);
    }
    if dialogue.goes(Step::Starttls).await? == StepResult::Otherwise {
        return Ok(Next::Command);
    }
    dialogue.recorder.handshake(Handshake::Begun);
    let mut ready = b"220 2.0.0 ready for TLS\r\n".to_vec();
    if let After220::Injected(injected) = &after {
        ready.extend_from_slice(injected);
    }
    dialogue.wire.write(&ready).await?;
    match after {
        After220::Handshake | After220::Injected(_) => Ok(Next::Handshake),
        After220::Alert(number) => {
            dialogue.wire.await_bytes().await?;
            // A fatal alert in a record of TLS 1.2.
            dialogue.wire.write(&[21, 3, 3, 0, 2, 2, number]).await?;
            breaks(dialogue, "alert").await
        }
        After220::HelloOfTls10 => {
            dialogue.wire.await_bytes().await?;
            dialogue.wire.write(&hello_of_tls10()).await?;
            dialogue.wire.drain().await;
            breaks(dialogue, "TLS 1.0").await
        }
        After220::Close => breaks(dialogue, "closed").await,
        After220::Silence => {
            dialogue.wire.drain().await;
            breaks(dialogue, "silent").await
        }
        After220::Garbage => {
            // Only then is it sure that the client does not read it along with the 220.
            dialogue.wire.await_bytes().await?;
            dialogue.wire.write(GARBAGE).await?;
            dialogue.wire.drain().await;
            breaks(dialogue, "garbage").await
        }
    }
}

/// The answer of a server that has no TLS after 1.0 to a client's first message, in a record (RFC 2246
/// §7.4.1.3): no session, and `TLS_RSA_WITH_AES_128_CBC_SHA` without compression.
fn hello_of_tls10() -> Vec<u8> {
    let mut hello = vec![22, 3, 1, 0, 42, 2, 0, 0, 38, 3, 1];
    hello.extend([7; 32]);
    hello.extend([0, 0, 0x2f, 0]);
    hello
}

/// Notes that the handshake was broken on purpose, and ends the session.
async fn breaks(dialogue: &mut Dialogue, how: &str) -> Result<Next, Ended> {
    let why = format!("broken on purpose: {how}");
    dialogue.recorder.handshake(Handshake::Failed { sni: None, why });
    dialogue.wire.close().await;
    Err(Ended)
}

async fn rset(dialogue: &mut Dialogue) -> Result<(), Ended> {
    dialogue.transaction = None;
    if dialogue.goes(Step::Rset).await? == StepResult::Usual {
        dialogue.say("250 2.0.0 forgotten").await?;
    }
    Ok(())
}

async fn quit(dialogue: &mut Dialogue) -> Result<Next, Ended> {
    if dialogue.goes(Step::Quit).await? == StepResult::Usual {
        dialogue.say("221 2.0.0 good bye").await?;
    }
    Ok(Next::Close)
}
