//! What the log answers: whether a message arrived, who did what, and what is wrong; once each.

use std::fs::{self, File};
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::fs::MetadataExt as _;

use testbed::{Fault, MxBehaviour, PolicyText, World};

use crate::cli::asked_json;
use crate::process::{self, Process};
use crate::process_in_world::{MESSAGE, ProcessInWorld};
use crate::world::{PATIENCE, SENDER, submit, write_settings};

/// The text of a field in a line.
fn field<'a>(line: &'a str, name: &str) -> &'a str {
    let (_, after) = line.split_once(&format!(" {name}=")).unwrap_or_else(|| panic!("{line}"));
    match after.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next().unwrap(),
        None => after.split(' ').next().unwrap(),
    }
}

#[tokio::test]
async fn the_log_answers_whether_mail_to_an_address_arrived() {
    let mut running = ProcessInWorld::start("").await;
    running.domain("good.test", MxBehaviour::valid()).await;
    let refusing = MxBehaviour::valid().for_recipient("eve@bad.test", "550 5.1.1 nobody here");
    running.domain("bad.test", refusing).await;
    running.domain("sender.test", MxBehaviour::valid()).await;
    let mx = running.world.mx("mx.late.test", MxBehaviour::starttls_not_offered()).await;
    let policy = PolicyText::enforce([mx.name()]);
    running.world.domain("late.test").mx(10, &mx).sts("1").policy(policy).await;
    let recipients = ["<bob@good.test>", "<joe@good.test>", "<eve@bad.test>", "<sue@late.test>"];
    let id = running.submit(&recipients).await;

    let accepted = running.line("message accepted", &id).await;
    assert_eq!(field(&accepted, "message_id"), "<4711@sender.test>", "{accepted}");
    assert_eq!(
        field(&accepted, "to"),
        "bob@good.test, joe@good.test, eve@bad.test, sue@late.test",
        "{accepted}"
    );
    let delivered = running.line("delivered", &id).await;
    assert_eq!(field(&delivered, "to"), "bob@good.test, joe@good.test");
    let deferred = running.line("deferred", &id).await;
    assert_eq!(field(&deferred, "to"), "sue@late.test");
    assert_eq!(field(&deferred, "waiting"), "policy");
    let bounced = running.line("bounced", &id).await;
    assert_eq!(field(&bounced, "to"), "eve@bad.test");
    for line in [&delivered, &deferred, &bounced] {
        assert_eq!(field(line, "attempts"), "1");
        assert!(field(line, "delay").parse::<f64>().unwrap() < PATIENCE.as_secs_f64(), "{line}");
    }
    // The report to the sender is a message of its own, found by its queue id.
    let report = field(&bounced, "notification").to_owned();
    let reported = running.line("delivered", &report).await;
    assert_eq!(field(&reported, "to"), "ann@sender.test");
}

#[tokio::test]
async fn addresses_are_tokens_or_nothing_where_the_settings_say_so() {
    let hashed = "[log]\naddresses = \"hashed\"\npostfix_lines = true\n";
    let mut running = ProcessInWorld::start(hashed).await;
    running.domain("good.test", MxBehaviour::valid()).await;
    let full = MxBehaviour::valid()
        .for_recipient("eve@bad.test", "450 4.2.2 <eve@bad.test>: over quota, says boss@bad.test");
    running.domain("bad.test", full).await;
    let mut tokens = Vec::new();
    for _start in 0..2 {
        let id = running.submit(&["<bob@good.test>"]).await;
        let other = running.submit(&["<eve@bad.test>"]).await;
        let (accepted, delivered) =
            (running.line("message accepted", &id).await, running.line("delivered", &id).await);
        let deferred = running.line("deferred", &other).await;
        assert!(deferred.contains("over quota"), "{deferred}");
        tokens.extend([&accepted, &delivered].map(|line| field(line, "to").to_owned()));
        assert!(running.relay.terminate().await.success());
        let log = running.relay.log_lines().join("\n");
        assert!(!log.contains('@') && log.contains("status=sent"), "{log}");
        running.relay = Process::start(&running.config, running.world.directory().join("log"));
    }
    assert!(tokens[0].starts_with("h-"), "{tokens:?}");
    assert!(tokens.iter().all(|token| *token == tokens[0]), "{tokens:?}");

    drop(running.relay.connected(running.listener).await);
    write_settings(&running.world, running.listener, "[log]\naddresses = \"none\"\n");
    running.relay.hang_up();
    running.relay.logged("settings reloaded", 1).await;
    let id = running.submit(&["<bob@good.test>"]).await;
    let delivered = running.line("delivered", &id).await;
    assert_eq!(field(&delivered, "to"), "*");
}

#[tokio::test]
async fn a_signal_is_logged_with_the_user_and_the_process_that_sent_it() {
    let mut running = ProcessInWorld::start("").await;
    drop(running.relay.connected(running.listener).await);
    let uid = fs::metadata("/proc/self").unwrap().uid();
    for (signal, message) in
        [("SIGHUP", "signal received: reloading"), ("SIGTERM", "signal received: shutting down")]
    {
        let line = match signal {
            "SIGHUP" => {
                running.relay.hang_up();
                running.relay.logged(message, 1).await
            }
            _ => {
                assert!(running.relay.terminate().await.success());
                running.relay.logged(message, 1).await
            }
        };
        assert_eq!(field(&line, "signal"), signal, "{line}");
        assert_eq!(field(&line, "pid"), std::process::id().to_string(), "{line}");
        assert!(line.contains(&format!("uid {uid}")), "{line}");
    }
}

#[tokio::test]
async fn under_the_journal_lines_have_a_priority_and_no_time() {
    let world = World::new().await;
    let listener = SocketAddr::new(world.address(), world.smtp_port());
    let config = write_settings(&world, listener, "");
    let log = world.directory().join("log");
    let stream = |more: u64| {
        let stream = fs::metadata(&log).unwrap();
        format!("{}:{}", stream.dev(), stream.ino() + more)
    };
    drop(File::create(&log).unwrap());
    for (stream, is_journal) in [(stream(0), true), (stream(1), false)] {
        let variables = [("JOURNAL_STREAM", stream.as_str())].into_iter();
        let mut relay = Process::start_with(&config, log.clone(), variables);
        drop(relay.connected(listener).await);
        let started = relay.logged("started ", 1).await;
        assert_eq!(started.starts_with("<6>INFO "), is_journal, "{started}");
        assert_eq!(started.starts_with("20"), !is_journal, "{started}");
        assert!(relay.terminate().await.success());
    }
}

#[tokio::test]
async fn a_warning_is_said_once_with_its_causes_however_many_messages_meet_it() {
    let mut running = ProcessInWorld::start("").await;
    running.domain("dark.test", MxBehaviour::valid()).await;
    running.world.names().fail("_mta-sts.dark.test", Fault::ServFail);
    for _ in 0..3 {
        running.submit(&["<bob@dark.test>"]).await;
    }
    running.tried(1).await;
    process::run(&running.config, &["queue", "retry", "--all"]);
    running.tried(2).await;
    let said = |text: &str| {
        let lines = running.relay.log_lines();
        lines.into_iter().filter(|line| line.contains(text)).collect::<Vec<_>>()
    };
    let undecided = said("MTA-STS policy lookup failed: mail deferred");
    assert_eq!(undecided.len(), 1, "{undecided:?}");
    assert!(undecided[0].contains("SERVFAIL"), "{undecided:?}");
    let shown = asked_json(&running.config, &["queue", "list", "--reason", "dns"]);
    assert_eq!(shown.as_array().unwrap().len(), 3);
    assert!(shown[0]["reason"]["text"].as_str().unwrap().contains("SERVFAIL"), "{shown}");
    let retried = said("retry requested");
    assert!(retried.len() == 1 && retried[0].contains("(uid "), "{retried:?}");
}

#[tokio::test]
async fn an_exception_that_comes_or_goes_leaves_a_line() {
    let exception =
        "[[exception]]\ndomain = \"bad.test\"\nuntil = \"2020-01-10\"\nreason = \"#7\"\n";
    let running = ProcessInWorld::start("").await;
    write_settings(&running.world, running.listener, exception);
    running.relay.hang_up();
    let added = running.relay.logged("exception added", 1).await;
    assert!(added.contains("domain=bad.test") && added.contains("(uid "), "{added}");
    write_settings(&running.world, running.listener, "");
    running.relay.hang_up();
    let removed = running.relay.logged("exception removed", 1).await;
    assert!(removed.contains("domain=bad.test") && removed.contains("#7"), "{removed}");
}

#[tokio::test]
async fn what_is_skipped_says_what_had_failed() {
    let mut running = ProcessInWorld::start("").await;
    let mx = running.domain("down.test", MxBehaviour::valid()).await;
    mx.close().await;
    for _ in 0..2 {
        running.submit(&["<bob@down.test>"]).await;
        running.tried(1).await;
    }
    let skipped = running.relay.logged("skipped: connection failed ", 1).await;
    assert!(skipped.contains("refused"), "{skipped}");
}

#[tokio::test]
async fn a_resolver_that_stays_silent_is_named_and_not_for_each_question() {
    let world = World::new().await;
    let listener = SocketAddr::new(world.address(), world.smtp_port());
    let config = write_settings(&world, listener, "");
    let silent = UdpSocket::bind((world.address(), 0)).unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let variables =
        [("STS_RELAY__DNS__SERVERS", address.as_str()), ("STS_RELAY__DNS__TIMEOUT", "200ms")];
    let log = world.directory().join("log");
    let mut relay = Process::start_with(&config, log, variables.into_iter());
    let mut client = relay.connected(listener).await;
    assert!(client.ehlo("client.test").await.unwrap().is_positive());
    for number in 0..4 {
        let recipient = format!("<bob@d{number}.test>");
        submit(&mut client, SENDER, &[&recipient], MESSAGE).await;
    }
    let warned = relay.logged("resolver not responding", 1).await;
    assert!(warned.contains(&format!("server={address} ")), "{warned}");
    assert!(warned.contains("in time"), "{warned}");
    relay.logged(" deferred ", 4).await;
    let lines = relay.log_lines();
    // The look around at the start asks by itself, and is told by itself.
    assert!(lines.iter().filter(|line| line.contains("resolver not responding")).count() <= 2);
}

#[tokio::test]
async fn colours_are_for_a_terminal_alone_and_not_where_no_color_is_set() {
    let world = World::new().await;
    let listener = SocketAddr::new(world.address(), world.smtp_port());
    let exception =
        "[[exception]]\ndomain = \"bad.test\"\nuntil = \"2020-01-10\"\nreason = \"#7\"\n";
    let config = write_settings(&world, listener, exception);
    // Nothing can listen there, so the relay ends once it has logged what it thinks of its settings.
    let _taken = std::net::TcpListener::bind(listener).unwrap();
    let at_terminal = |variables, arguments| {
        let config = config.clone();
        let run = move || process::run_at_terminal_with(&config, variables, arguments, 80, "");
        tokio::task::spawn_blocking(run)
    };
    for arguments in ["serve", "check bad.test"] {
        let seen = at_terminal("", arguments).await.unwrap();
        assert!(seen.contains("\x1b["), "{seen}");
        let seen = at_terminal("NO_COLOR=", arguments).await.unwrap();
        assert!(seen.contains("\x1b["), "{seen}");
        let seen = at_terminal("NO_COLOR=1", arguments).await.unwrap();
        assert!(seen.contains("bad.test") && !seen.contains('\x1b'), "{seen}");
        let (config, words) = (config.clone(), arguments.split(' '));
        let piped = move || process::run(&config, &words.collect::<Vec<_>>());
        let piped = tokio::task::spawn_blocking(piped).await.unwrap().stdout;
        let piped = String::from_utf8(piped).unwrap();
        assert!(piped.contains("bad.test") && !piped.contains('\x1b'), "{piped}");
    }
}
