//! Programs of this machine, through a unix socket: the kernel says whose they are.

use std::os::unix::fs::MetadataExt as _;

use access::{AllowedSenders, Networks, SystemUser};
use listener::{Access, CheckFrom, Limits};
use smtp::Mailbox;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;

use crate::world::World;

/// A program of this machine.
struct Program(BufReader<UnixStream>);

impl Program {
    /// One that has been greeted.
    async fn greeted(world: &World) -> Self {
        let mut program = Self(BufReader::new(UnixStream::connect(world.path()).await.unwrap()));
        let greeting = program.reply().await;
        assert!(greeting.starts_with("220 relay.example ESMTP"), "{greeting}");
        program
    }

    /// One that has said EHLO.
    async fn connect(world: &World) -> Self {
        let mut program = Self::greeted(world).await;
        program.expect("EHLO localhost", "250-relay.example").await;
        program
    }

    /// The last line of the next reply.
    async fn reply(&mut self) -> String {
        self.lines().await.pop().unwrap()
    }

    async fn lines(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            assert_ne!(self.0.read_line(&mut line).await.unwrap(), 0, "{lines:?}");
            let last = line.as_bytes().get(3) != Some(&b'-');
            lines.push(line);
            if last {
                return lines;
            }
        }
    }

    async fn expect(&mut self, text: &str, reply: &str) {
        self.0.get_mut().write_all(format!("{text}\r\n").as_bytes()).await.unwrap();
        let lines = self.lines().await;
        assert!(lines[0].starts_with(reply), "{text}: {lines:?}");
    }

    async fn send(&mut self, from: &str, header: &str, reply: &str) {
        self.expect(&format!("MAIL FROM:<{from}>"), "250 ").await;
        self.expect("RCPT TO:<b@far.example>", "250 ").await;
        self.expect("DATA", "354 ").await;
        self.expect(&format!("{header}\r\n\r\nbody\r\n."), reply).await;
    }
}

/// Whoever runs the tests.
fn ourselves() -> SystemUser {
    SystemUser::of(std::fs::metadata("/proc/self").unwrap().uid())
}

fn senders(list: &[&str]) -> Access {
    Access { local_senders: AllowedSenders::parse(list).unwrap(), ..Access::default() }
}

#[tokio::test]
async fn a_local_program_submits_although_no_network_is_listed() {
    let access = Access { networks: Networks::default(), ..Access::default() };
    let world = World::local(access, |_| {}).await;
    let mut program = Program::connect(&world).await;
    program.send("ann@client.example", "Subject: x", "250 ").await;
    let stored = world.stored().await.pop().unwrap();
    let text = String::from_utf8(stored.bytes).unwrap();
    let uid = ourselves().uid();
    let received = format!("Received: by relay.example (from userid {uid})\r\n\twith ESMTP id ");
    assert!(text.starts_with(&received), "{text}");
    let logged = world.logged("message accepted").pop().unwrap();
    assert!(logged.contains(&format!("peer=uid:{uid}")), "{logged}");
    assert!(logged.contains("user="), "{logged}");
}

#[tokio::test]
async fn nothing_but_mail_is_offered_to_a_local_program() {
    let world = World::local(Access::default(), |_| {}).await;
    let mut program = Program::greeted(&world).await;
    program.0.get_mut().write_all(b"EHLO localhost\r\n").await.unwrap();
    let offered = program.lines().await.concat();
    for word in ["STARTTLS", "AUTH", "REQUIRETLS"] {
        assert!(!offered.contains(word), "{offered}");
    }
    program.expect("STARTTLS", "502 ").await;
    program.expect("AUTH PLAIN AGFubgBzZWNyZXQ=", "502 ").await;
}

#[tokio::test]
async fn a_local_user_sends_from_listed_addresses_and_from_the_own_one() {
    let world =
        World::local(senders(&["@client.example"]), |s| s.check_from = CheckFrom::Yes).await;
    let mut program = Program::connect(&world).await;
    let (uid, name) = (ourselves().uid(), ourselves().name().map(str::to_owned));
    let own = format!("{}@relay.example", name.unwrap_or_else(|| uid.to_string()));
    program.expect("MAIL FROM:<other@relay.example>", "550 5.7.1 ").await;
    program.expect("MAIL FROM:<boss@far.example>", "550 5.7.1 ").await;
    program.send("any@client.example", "From: any@client.example", "250 ").await;
    program.send(&own, &format!("From: Me <{own}>"), "250 ").await;
    program.send(&own, "From: boss@far.example", "550 5.7.1 From: you may not send as boss@").await;
}

#[tokio::test]
async fn mail_to_this_host_goes_to_whom_the_settings_name() {
    let ops = || Some(Mailbox::parse("ops@far.example").unwrap());
    for (local_mail_to, recipient) in [(None, "root@relay.example"), (ops(), "ops@far.example")] {
        let world = World::local(Access::default(), |s| s.local_mail_to = local_mail_to).await;
        let mut program = Program::connect(&world).await;
        program.expect("MAIL FROM:<root@relay.example>", "250 ").await;
        program.expect("RCPT TO:<root@relay.example>", "250 ").await;
        program.expect("DATA", "354 ").await;
        program.expect("Subject: x\r\n\r\n.", "250 ").await;
        assert_eq!(world.stored().await.pop().unwrap().recipients, [recipient]);
    }
}

#[tokio::test]
async fn a_local_user_has_as_many_connections_as_a_client_has() {
    let limits = Limits { connections_per_client: 2, ..Limits::default() };
    let world = World::local(Access::default(), |s| s.limits = limits).await;
    let _first = Program::greeted(&world).await;
    let _second = Program::greeted(&world).await;
    let mut third = Program(BufReader::new(UnixStream::connect(world.path()).await.unwrap()));
    assert!(third.reply().await.starts_with("421 4.7.0 "));
}
