//! Load for a relay, and the small internet that it delivers to: names, policies, and two hosts that
//! take everything, one with STARTTLS and one without.
//!
//! `tests/benches/compare` starts it. It says on standard output where everything is, and then obeys
//! one line of standard input after the other, each with a line of JSON:
//!
//! ```text
//! send ADDRESS strict|open SESSIONS MESSAGES SIZE    many messages; how long until all were accepted, and delivered
//! one ADDRESS strict|open MESSAGES SIZE              one after the other; how long from accepted to delivered
//! idle ADDRESS COUNT                                 connections that stay; with 0 they go
//! txt NAME TEXT                                      a TXT record from then on
//! ```

#![allow(clippy::unwrap_used, reason = "a measurement stops at the first surprise")]

use std::io::{self, BufRead, Write};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use testbed::{Offer, PolicyText, Sink, World};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// How many domains of each kind there are.
const DOMAINS: u64 = 20;
/// How long all messages of one run may take to arrive.
const PATIENCE: Duration = Duration::from_secs(300);

/// How much of a reply is read at a time.
const READ: usize = 4096;

/// The host that takes the mail of one kind of domain, and the start of their names.
struct Kind {
    stem: &'static str,
    sink: Sink,
}

/// What is sent in one run.
#[derive(Clone, Copy)]
struct Run {
    relay: SocketAddr,
    stem: &'static str,
    messages: u64,
    size: usize,
}

/// A client that has said EHLO.
struct Client {
    stream: TcpStream,
    unread: Vec<u8>,
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let world = World::new().await;
    world.names().keep_for(Duration::from_secs(300));
    let strict = kind(&world, "strict", Offer::Starttls).await;
    let open = kind(&world, "open", Offer::Clear).await;
    say(&format!(
        "{{\"dns\":\"{}\",\"ca_file\":{:?},\"smtp_port\":{},\"https_port\":{},\"strict\":\"{}\",\"open\":\"{}\",\"free\":\"{}\"}}",
        world.dns_address(),
        world.ca_file(),
        world.smtp_port(),
        world.https_port(),
        strict.sink.address(),
        open.sink.address(),
        world.address(),
    ));
    let mut idle = Vec::new();
    for line in io::stdin().lock().lines() {
        let line = line.unwrap();
        let words: Vec<&str> = line.split_whitespace().collect();
        let kind = if words.get(2) == Some(&"strict") { &strict } else { &open };
        match *words {
            ["send", relay, _, sessions, messages, size] => {
                let run = Run::new(relay, kind, messages, size);
                say(&send(run, &kind.sink, sessions.parse().unwrap()).await);
            }
            ["one", relay, _, messages, size] => {
                say(&one(Run::new(relay, kind, messages, size), &kind.sink).await);
            }
            ["idle", relay, count] => {
                idle.clear();
                for number in 0..count.parse().unwrap() {
                    // More than one client, so that no limit on one of them is met.
                    let from = IpAddr::from([127, 0, 9, u8::try_from(number % 200).unwrap() + 1]);
                    idle.push(Client::connect_from(from, relay.parse().unwrap()).await.unwrap());
                }
                say(&format!("{{\"idle\":{}}}", idle.len()));
            }
            ["txt", name, ref text @ ..] => {
                world.names().add_txt(name, &text.join(" "));
                say(&format!("{{\"txt\":{name:?}}}"));
            }
            _ => say("{\"error\":\"what?\"}"),
        }
    }
}

/// Sets up one kind of domain: all have the one host, and those of a host with STARTTLS enforce it.
async fn kind(world: &World, stem: &'static str, offer: Offer) -> Kind {
    let sink = world.sink(&format!("mx.{stem}.test"), offer).await;
    for number in 0..DOMAINS {
        let domain = format!("{stem}{number}.test");
        let setup = world.domain(&domain).mx_named(10, sink.name());
        if offer == Offer::Starttls {
            setup.sts("1").policy(PolicyText::enforce([sink.name()])).await;
        }
    }
    Kind { stem, sink }
}

/// Sends many messages in several sessions at once.
async fn send(run: Run, sink: &Sink, sessions: u64) -> String {
    let before = sink.taken();
    let next = Arc::new(AtomicU64::new(0));
    let begin = Instant::now();
    let mut clients = JoinSet::new();
    for _ in 0..sessions {
        let next = Arc::clone(&next);
        clients.spawn(async move { session(run, &next).await });
    }
    while let Some(client) = clients.join_next().await {
        client.unwrap().unwrap();
    }
    let accepted = begin.elapsed();
    let wanted = before.messages + run.messages;
    let taken = sink.wait_for(wanted, PATIENCE).await.unwrap_or_else(|taken| taken);
    let delivered = taken.last.map_or(Duration::MAX, |last| last - begin);
    format!(
        "{{\"accepted\":{:.6},\"delivered\":{:.6},\"messages\":{},\"in_tls\":{},\"connections\":{}}}",
        accepted.as_secs_f64(),
        delivered.as_secs_f64(),
        taken.messages - before.messages,
        taken.messages_in_tls - before.messages_in_tls,
        taken.connections - before.connections,
    )
}

/// Sends messages until there are none left.
async fn session(run: Run, next: &AtomicU64) -> io::Result<()> {
    let mut client = Client::connect(run.relay).await?;
    let message = run.message();
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= run.messages {
            return client.quit().await;
        }
        client.send(run.stem, number, &message).await?;
    }
}

/// Sends one message after the other, each when the last has arrived; the latencies in ms, sorted.
async fn one(run: Run, sink: &Sink) -> String {
    let mut client = Client::connect(run.relay).await.unwrap();
    let message = run.message();
    let mut latencies = Vec::new();
    for number in 0..run.messages {
        let before = sink.taken().messages;
        let begun = Instant::now();
        client.send(run.stem, number, &message).await.unwrap();
        let accepted = Instant::now();
        let taken = sink.wait_for(before + 1, PATIENCE).await.unwrap();
        let delivered = taken.last.unwrap();
        let ms = |time: Duration| time.as_secs_f64() * 1000.0;
        latencies.push((ms(delivered.saturating_duration_since(accepted)), ms(delivered - begun)));
    }
    latencies.sort_by(|a, b| a.0.total_cmp(&b.0));
    let at = |percent: usize| latencies.get(latencies.len() * percent / 100).copied().unwrap();
    let mut whole: Vec<f64> = latencies.iter().map(|latency| latency.1).collect();
    whole.sort_by(f64::total_cmp);
    format!(
        "{{\"accept_to_delivered_p50\":{:.3},\"accept_to_delivered_p99\":{:.3},\"whole_p50\":{:.3}}}",
        at(50).0,
        at(99).0,
        whole.get(whole.len() / 2).copied().unwrap(),
    )
}

impl Run {
    fn new(relay: &str, kind: &Kind, messages: &str, size: &str) -> Self {
        let (messages, size) = (messages.parse().unwrap(), size.parse().unwrap());
        Self { relay: relay.parse().unwrap(), stem: kind.stem, messages, size }
    }

    /// A message of the size wanted, with its end.
    fn message(self) -> Vec<u8> {
        let mut message = b"From: ann@sender.test\r\nTo: bob@receiver.test\r\nSubject: load\r\n\
            Date: Mon, 01 Jan 2024 00:00:00 +0000\r\nMessage-ID: <load@sender.test>\r\n\r\n"
            .to_vec();
        while message.len() < self.size {
            message.extend_from_slice(&[b'x'; 70]);
            message.extend_from_slice(b"\r\n");
        }
        message.extend_from_slice(b".\r\n");
        message
    }
}

impl Client {
    async fn connect(relay: SocketAddr) -> io::Result<Self> {
        Self::greeted(TcpStream::connect(relay).await?).await
    }

    async fn connect_from(from: IpAddr, relay: SocketAddr) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::new(from, 0))?;
        Self::greeted(socket.connect(relay).await?).await
    }

    async fn greeted(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        let mut client = Self { stream, unread: Vec::with_capacity(READ) };
        client.expect(b'2').await?;
        client.stream.write_all(b"EHLO client.test\r\n").await?;
        client.expect(b'2').await?;
        Ok(client)
    }

    /// Sends one message, its envelope in one piece.
    async fn send(&mut self, stem: &str, number: u64, message: &[u8]) -> io::Result<()> {
        let domain = number % DOMAINS;
        let envelope =
            format!("MAIL FROM:<ann@sender.test>\r\nRCPT TO:<bob@{stem}{domain}.test>\r\nDATA\r\n");
        self.stream.write_all(envelope.as_bytes()).await?;
        for class in [b'2', b'2', b'3'] {
            self.expect(class).await?;
        }
        self.stream.write_all(message).await?;
        self.expect(b'2').await
    }

    async fn quit(mut self) -> io::Result<()> {
        self.stream.write_all(b"QUIT\r\n").await?;
        self.expect(b'2').await
    }

    /// Reads a reply, which must be of this class.
    async fn expect(&mut self, class: u8) -> io::Result<()> {
        loop {
            while let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.unread.drain(..=end).collect();
                if line.first() != Some(&class) {
                    return Err(io::Error::other(String::from_utf8_lossy(&line).into_owned()));
                }
                if line.get(3) != Some(&b'-') {
                    return Ok(());
                }
            }
            if self.stream.read_buf(&mut self.unread).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

/// Says a line on standard output.
fn say(line: &str) {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}").unwrap();
    out.flush().unwrap();
}
