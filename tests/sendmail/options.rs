//! What the options do.

use crate::sendmail::{Local, WHOLE, as_sent, own_address, succeeded};

#[tokio::test]
async fn options_are_taken_in_every_form_that_programs_write() {
    let local = Local::start("").await;
    let own = own_address();
    for (arguments, from, recipients) in [
        ("bob@far.test", own.as_str(), &["bob@far.test"][..]),
        ("-f ann@sender.test bob@far.test", "ann@sender.test", &["bob@far.test"]),
        ("-fann@sender.test bob@far.test", "ann@sender.test", &["bob@far.test"]),
        ("-r ann@sender.test bob@far.test", "ann@sender.test", &["bob@far.test"]),
        ("bob@far.test -f ann@sender.test", "ann@sender.test", &["bob@far.test"]),
        ("-f <ann@sender.test> -- bob@far.test", "ann@sender.test", &["bob@far.test"]),
        ("-f ann bob@far.test", "ann@relay.test", &["bob@far.test"]),
        ("-f <> bob@far.test", "", &["bob@far.test"]),
        ("-- -bob@far.test", own.as_str(), &["-bob@far.test"]),
        ("bob@far.test,eve@far.test bob@far.test", own.as_str(), &["bob@far.test", "eve@far.test"]),
        ("-t -i", own.as_str(), &["bob@far.test"]),
        ("-ti", own.as_str(), &["bob@far.test"]),
        ("-t -oi -fann@sender.test", "ann@sender.test", &["bob@far.test"]),
        ("-t eve@far.test", own.as_str(), &["eve@far.test", "bob@far.test"]),
        (
            "-bm -oem -odb -G -n -v -O DeliveryMode=b -L tag -h 3 bob@far.test",
            &own,
            &["bob@far.test"],
        ),
    ] {
        let message = local.sent(arguments, WHOLE).await;
        assert_eq!(message.reverse_path, from, "{arguments}");
        assert_eq!(message.recipients, recipients, "{arguments}");
    }
}

#[tokio::test]
async fn recipients_come_from_the_header_with_t_and_hidden_ones_are_hidden() {
    let local = Local::start("submission.remove_bcc = false").await;
    let text = "From: ann@sender.test\nTo: Bob <bob@far.test>\nCc: eve@far.test,\n fay@far.test\n\
                Bcc: gil@far.test\nSubject: x\n\nTo: body@far.test\n";
    let message = local.sent("-t", text).await;
    assert_eq!(
        message.recipients,
        ["bob@far.test", "eve@far.test", "fay@far.test", "gil@far.test"]
    );
    let sent = as_sent(&message);
    assert!(!sent.contains("gil@far.test") && sent.contains("Cc: eve@far.test"), "{sent}");
    // Without -t the settings alone say what becomes of the field.
    let sent = as_sent(&*local.sent("hal@far.test", text).await);
    assert!(sent.contains("Bcc: gil@far.test"), "{sent}");
    // A message that is sent on is for those who are named last.
    let resent = local.sent("-t", format!("Resent-To: ida@far.test\n{text}")).await;
    assert_eq!(resent.recipients, ["ida@far.test"]);
}

#[tokio::test]
async fn a_dot_ends_the_message_unless_it_is_told_not_to() {
    let local = Local::start("").await;
    let text = format!("{WHOLE}.\nmore\n..\n");
    for (arguments, end) in [
        ("bob@far.test", "Hello\r\n"),
        ("-i bob@far.test", "Hello\r\n.\r\nmore\r\n..\r\n"),
        ("-oi bob@far.test", "Hello\r\n.\r\nmore\r\n..\r\n"),
    ] {
        let sent = as_sent(&*local.sent(arguments, &text).await);
        assert!(sent.ends_with(&format!("\r\n\r\n{end}")), "{arguments}: {sent:?}");
    }
}

#[tokio::test]
async fn what_is_wished_of_reports_and_said_of_the_body_is_passed_on() {
    let local = Local::start("").await;
    let message =
        local.sent("-N success,delay -R hdrs -V id+2B1 -B 8BITMIME bob@far.test", WHOLE).await;
    let said = message.mail_parameters.join(" ");
    assert!(said.contains("RET=HDRS") && said.contains("ENVID=id+2B1"), "{said}");
    assert!(said.contains("BODY=8BITMIME"), "{said}");
    let said = message.recipient_parameters[0].join(" ");
    assert!(said.contains("NOTIFY=SUCCESS,DELAY"), "{said}");
    let said = local.sent("-N never -B 7BIT bob@far.test", WHOLE).await;
    assert!(!said.mail_parameters.join(" ").contains("8BITMIME"), "{:?}", said.mail_parameters);
    assert_eq!(said.recipient_parameters[0], ["NOTIFY=NEVER"]);
}

#[tokio::test]
async fn the_author_is_called_as_the_command_line_says() {
    let local = Local::start("").await;
    let bare = "To: bob@far.test\n\nHello\n";
    for (arguments, from) in [
        ("-F Ann -f ann@sender.test bob@far.test", "From: \"Ann\" <ann@sender.test>\r\n"),
        (
            "-F J\u{f6}rg -f ann@sender.test bob@far.test",
            "From: =?utf-8?B?SsO2cmc=?=\r\n <ann@sender.test>\r\n",
        ),
    ] {
        let sent = as_sent(&*local.sent(arguments, bare).await);
        assert!(sent.contains(from), "{sent}");
        assert!(sent.contains("Date: ") && sent.contains("Message-ID: <"), "{sent}");
    }
}

#[tokio::test]
async fn by_its_other_names_it_does_what_these_stand_for() {
    let local = Local::start("").await;
    let named = |name: &str, arguments: &[&str], input: &str| {
        let link = local.folder.path().join(name);
        if !link.exists() {
            std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_sts-relay"), &link).unwrap();
        }
        let mut command = std::process::Command::new(link);
        command.env_clear().env("STS_RELAY_CONFIG", &local.relay.config).args(arguments);
        crate::sendmail::run(command, input)
    };
    succeeded(&named("newaliases", &[], ""));
    let queue = named("mailq", &[], "");
    assert_eq!(String::from_utf8(queue.stdout).unwrap(), "Mail queue is empty\n");
    succeeded(&named("sendmail", &["-i", "bob@far.test"], WHOLE));
    local.far.wait_for_messages(1, crate::world::PATIENCE).await.unwrap();
    succeeded(&local.sendmail("-bi", ""));
    succeeded(&local.sendmail("-I", ""));
}
