//! What becomes of a message's bytes on the way from a program to the relay.

use std::fs;
use std::io::Write as _;
use std::process::Stdio;
use std::time::Duration;

use crate::sendmail::{Local, WHOLE, as_sent, own_address, succeeded, words};
use crate::world::PATIENCE;

/// More than sendmail needs for a message of any size, and much less than this one.
const MEMORY: u64 = 48 << 20;

/// How often a million bytes are written: more than 50 MiB.
const BLOCKS: usize = 55;

/// Forms of a false end of data (CVE-2023-51764 and its kin).
const FALSE_ENDS: [&[u8]; 14] = [
    b"\n.\n",
    b"\n.\r\n",
    b"\r\n.\n",
    b"\r\n.\r\n",
    b"\r\n.\r",
    b"\r.\r",
    b"\r.\r\n",
    b"\r.\n",
    b"\n.\r",
    b"\r\n.\r\r\n",
    b"\r\r\n.\r\r\n",
    b"\n\r.\n\r",
    b"\n\r\n.\n\r\n",
    b"\r\n\r.\r\n",
];

#[tokio::test]
async fn nothing_in_a_message_ends_it_for_the_relay() {
    let local = Local::start("").await;
    let evil = b"MAIL FROM:<evil@sender.test>\r\nRCPT TO:<victim@far.test>\r\nDATA\r\nSubject: second\r\n\r\n";
    for (sent, false_end) in (1..).zip(FALSE_ENDS) {
        let input = [b"Subject: first\n\nfirst", false_end, evil, b"\r\n.\r\nQUIT\r\n"].concat();
        let message = local.sent("-i -f ann@sender.test bob@far.test", &input).await;
        assert_eq!(message.reverse_path, "ann@sender.test", "{false_end:?}");
        let text = as_sent(&message);
        assert!(text.contains("MAIL FROM:<evil@sender.test>\r\n"), "{false_end:?}: {text:?}");
        assert!(text.ends_with("\r\n.\r\nQUIT\r\n"), "{false_end:?}: {text:?}");
        assert!(!text.replace("\r\n", "").contains(['\r', '\n']), "{false_end:?}: {text:?}");
        assert_eq!(local.far.messages().len(), sent, "{false_end:?}");
    }
    // Where a dot ends the input, what is behind it is nobody's.
    for false_end in [&b"\n.\n"[..], b"\r\n.\r\n", b"\n.\r\n"] {
        let input = [b"Subject: first\n\nfirst", false_end, evil].concat();
        let message = local.sent("bob@far.test", &input).await;
        assert!(as_sent(&message).ends_with("\r\n\r\nfirst\r\n"), "{false_end:?}");
    }
}

#[tokio::test]
async fn a_large_message_passes_and_is_never_whole_in_memory() {
    let local = Local::start("limits.message_size = \"64MiB\"").await;
    let mut child = local.program("-i bob@far.test").stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let block = ["x".repeat(98), "\n".to_owned()].concat().repeat(10_101);
    stdin.write_all(WHOLE.as_bytes()).unwrap();
    for _ in 0..BLOCKS {
        stdin.write_all(block.as_bytes()).unwrap();
    }
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let most = most.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10;
    assert!(most < MEMORY, "{most} bytes");
    drop(stdin);
    assert!(child.wait().unwrap().success());
    let message = &local.far.wait_for_messages(1, PATIENCE).await.unwrap()[0];
    assert_eq!(
        as_sent(message).len(),
        WHOLE.len()
            + WHOLE.matches('\n').count()
            + local_fields(message)
            + BLOCKS * block.len()
            + BLOCKS * 10_101
    );
}

/// How many bytes the fields have that the message lacked.
fn local_fields(message: &testbed::Message) -> usize {
    let text = as_sent(message);
    let added = text.split_inclusive("\r\n").take_while(|line| !line.starts_with("From: "));
    added.map(str::len).sum()
}

#[tokio::test]
async fn a_program_may_take_longer_over_its_message_than_the_relay_waits() {
    let local = Local::start("limits.command_timeout = \"1s\"\nlimits.data_timeout = \"1s\"").await;
    let mut child = local.program("bob@far.test").stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(WHOLE.as_bytes()).unwrap();
    // As cron does while the job runs.
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    stdin.write_all(b"done\n").unwrap();
    drop(stdin);
    assert!(child.wait().unwrap().success());
    let message = &local.far.wait_for_messages(1, PATIENCE).await.unwrap()[0];
    assert!(as_sent(message).ends_with("Hello\r\ndone\r\n"));
}

#[tokio::test]
async fn what_cron_writes_leaves_with_whole_addresses_for_whom_the_settings_name() {
    let local = Local::start("submission.local_mail_to = \"ops@far.test\"").await;
    let text = "From: root (Cron Daemon)\nTo: root\nSubject: Cron <root@host> job\n\
                Content-Type: text/plain; charset=UTF-8\n\n10%\r100%\nf\u{fc}r\n";
    let message = local.sent("-i -FCronDaemon -B8BITMIME -oem root", text).await;
    assert_eq!(message.reverse_path, own_address());
    assert_eq!(message.recipients, ["ops@far.test"]);
    assert!(message.mail_parameters.join(" ").contains("BODY=8BITMIME"));
    let sent = as_sent(&message);
    assert!(
        sent.contains("From: root@relay.test (Cron Daemon)\r\nTo: root@relay.test\r\n"),
        "{sent}"
    );
    assert!(sent.ends_with("\r\n\r\n10% 100%\r\nf\u{fc}r\r\n"), "{sent}");
}

#[tokio::test]
async fn a_signed_message_keeps_every_byte() {
    let local = Local::start("").await;
    let text = "DKIM-Signature: v=1; d=sender.test\nTo: root\nBcc: hidden@far.test\n\nHello\n";
    let message = local.sent("bob@far.test", text).await;
    assert_eq!(as_sent(&message), text.replace('\n', "\r\n"));
}

#[tokio::test]
async fn an_address_beyond_ascii_asks_for_what_it_needs() {
    let local = Local::start("").await;
    let held = local.sendmail("-f ann@sender.test j\u{f6}rg@far.test", WHOLE);
    assert_eq!(held.status.code(), Some(0), "{}", words(&held));
    let line = local.relay.relay.logged(" message accepted ", 1).await;
    assert!(line.contains("j\u{f6}rg@far.test"), "{line}");
    succeeded(&local.sendmail("-f ann@sender.test bob@far.test", "Subject: f\u{fc}r\n\n"));
    let messages = local.far.wait_for_messages(2, PATIENCE).await.unwrap();
    let message = messages.iter().find(|message| message.recipients == ["bob@far.test"]).unwrap();
    assert!(
        !message.mail_parameters.join(" ").contains("SMTPUTF8"),
        "{:?}",
        message.mail_parameters
    );
}
