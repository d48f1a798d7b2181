//! SMTP at standard input and output, and the queue as Postfix prints it.

use crate::sendmail::{Local, WHOLE, as_sent, succeeded, words};
use crate::world::PATIENCE;

#[tokio::test]
async fn with_bs_the_relay_speaks_at_standard_input_and_output() {
    let local = Local::start("").await;
    // All at once, with the line ends of a shell: many scripts do not wait for a reply.
    let script = "EHLO localhost\nMAIL FROM:<ann@sender.test>\nRCPT TO:<bob@far.test>\nDATA\n\
                  Subject: x\n\nHello\n..\n.\nQUIT\n";
    let output = local.sendmail("-bs", script);
    assert_eq!(output.status.code(), Some(0), "{}", words(&output));
    let replies = String::from_utf8(output.stdout).unwrap();
    let codes: Vec<_> =
        replies.lines().filter(|line| !line.contains('-')).map(|line| &line[..3]).collect();
    assert!(
        replies.starts_with("220 relay.test ESMTP sts-relay\r\n250-relay.test\r\n"),
        "{replies}"
    );
    assert_eq!(codes[codes.len() - 5..], ["250", "250", "354", "250", "221"], "{replies}");
    assert!(!replies.contains("STARTTLS") && !replies.contains("AUTH"), "{replies}");
    let message = &local.far.wait_for_messages(1, PATIENCE).await.unwrap()[0];
    assert!(as_sent(message).ends_with("\r\n\r\nHello\r\n.\r\n"));
}

#[tokio::test]
async fn with_bs_a_program_that_leaves_ends_the_conversation() {
    let local = Local::start("").await;
    let output = local.sendmail("-bs", "EHLO localhost\nMAIL FROM:<ann@sender.test>\n");
    assert_eq!(output.status.code(), Some(0), "{}", words(&output));
    assert!(local.far.messages().is_empty());
}

#[tokio::test]
async fn the_queue_is_printed_as_postfix_prints_it() {
    let mut local = Local::start("").await;
    let empty = local.sendmail("-bp", "");
    assert_eq!(String::from_utf8(empty.stdout).unwrap(), "Mail queue is empty\n");
    local.far.close().await;
    succeeded(&local.sendmail("-f ann@sender.test bob@far.test eve@far.test", WHOLE));
    local.relay.tried(1).await;
    for stopped in [false, true] {
        if stopped {
            assert!(local.relay.relay.terminate().await.success());
        }
        let listed = local.sendmail("-bp", "");
        assert_eq!(listed.status.code(), Some(0), "{}", words(&listed));
        let listed = String::from_utf8(listed.stdout).unwrap();
        let lines: Vec<_> = listed.lines().collect();
        assert_eq!(
            lines[0],
            "----Queue ID----- --Size-- ---Arrival Time---- --Sender/Recipient------"
        );
        assert!(
            lines[1].ends_with("  ann@sender.test") || lines[1].ends_with(" ann@sender.test"),
            "{listed}"
        );
        assert!(lines[2].trim().starts_with('(') && lines[2].ends_with(')'), "{listed}");
        assert_eq!(lines[3], format!("{:47}bob@far.test", ""));
        assert_eq!(lines[4], format!("{:47}eve@far.test", ""));
        assert_eq!(lines.last(), Some(&"-- 0 Kbytes in 1 Request."));
    }
}
