use access::Networks;
use bytes::BytesMut;
use smtp::{Domain, LineFramer, Smtputf8};

use super::*;
use crate::settings::{Dsn, ListenerSettings, RequireTlsOffer};

/// A session with a client in a listed network, under changed settings.
fn session_with(change: impl FnOnce(&mut ListenerSettings)) -> Session {
    let mut settings = ListenerSettings::new(Domain::parse("relay.example").unwrap());
    settings.dsn = Dsn::Offered;
    change(&mut settings);
    let networks = Networks::parse(["192.0.2.0/24"]).unwrap();
    let origin = Origin::Client("192.0.2.7".parse().unwrap());
    Session::new(Arc::new(Rules::new(settings, networks)), origin, Service::default())
}

fn session() -> Session {
    session_with(|_| {})
}

fn step(session: &mut Session, line: &str) -> Step {
    step_in(session, line, Health::Ready)
}

fn step_in(session: &mut Session, line: &str, health: Health) -> Step {
    let mut buffer = BytesMut::from(format!("{line}\r\n").as_bytes());
    let line = LineFramer::new(LineFramer::COMMAND_LIMIT).next(&mut buffer);
    session.hear(line.map(|line| line.expect("a whole line")), health)
}

/// What the client reads; `354` for a message to come.
fn answer(step: Step) -> String {
    let hostname = Domain::parse("relay.example").unwrap();
    match step {
        Step::Leave(reply) | Step::Reply(reply) | Step::StartTls(reply) => reply.to_string(),
        Step::Receive(_) => "354".to_owned(),
        Step::Chunk { size, .. } => format!("chunk {size}"),
        Step::Verify(_) => "verify".to_owned(),
        Step::Discard { refusal, .. }
        | Step::Refuse(refusal)
        | Step::RefuseAndLeave(refusal)
        | Step::RefuseData(refusal) => refusal.reply(&hostname).to_string(),
    }
}

/// The reply to the last of the lines.
fn last(session: &mut Session, lines: &[&str]) -> String {
    lines.iter().map(|line| answer(step(session, line))).last().unwrap_or_default()
}

#[track_caller]
fn assert_table(table: &[(&[&str], &str)]) {
    for (lines, reply) in table {
        let answer = last(&mut session(), lines);
        assert!(answer.starts_with(reply), "{lines:?}: expected {reply:?}, was {answer:?}");
    }
}

const EHLO: &str = "EHLO client.example";
const MAIL: &str = "MAIL FROM:<a@client.example>";
const RCPT: &str = "RCPT TO:<b@far.example>";

#[test]
fn the_greeting_names_the_host_and_has_no_enhanced_code() {
    assert_eq!(session().greeting().to_string(), "220 relay.example ESMTP sts-relay\r\n");
}

#[test]
fn exactly_what_is_done_is_announced() {
    assert_eq!(
        last(&mut session_with(|s| s.limits.message_size = 1000), &[EHLO]),
        "250-relay.example\r\n250-SIZE 1000\r\n250-PIPELINING\r\n250-8BITMIME\r\n\
         250-ENHANCEDSTATUSCODES\r\n250-SMTPUTF8\r\n250-CHUNKING\r\n250-DSN\r\n\
         250 LIMITS MAILMAX=1000 RCPTMAX=1000\r\n"
    );
    assert_eq!(last(&mut session(), &["HELO x"]), "250 relay.example\r\n");
}

#[test]
fn commands_in_order_are_accepted() {
    assert_table(&[
        (&[EHLO, MAIL], "250 2.1.0 "),
        (&[EHLO, MAIL, RCPT], "250 2.1.5 "),
        (&[EHLO, MAIL, RCPT, "DATA"], "354"),
        (&["HELO x", MAIL, RCPT, "DATA"], "354"),
        (&[EHLO, "MAIL FROM:<>", RCPT, "DATA"], "354"),
        (&[EHLO, "mail from:<a@client.example> size=1 body=8bitmime smtputf8"], "250 2.1.0 "),
        (&[EHLO, MAIL, "RCPT TO:<postmaster>", "DATA"], "354"),
        (&[EHLO, MAIL, "RCPT TO:<b@[192.0.2.9]>"], "250 2.1.5 "),
        (&["NOOP"], "250 2.0.0 "),
        (&["NOOP x y"], "250 2.0.0 "),
        (&["RSET"], "250 2.0.0 "),
        (&["VRFY b@far.example"], "252 2.0.0 "),
        (&["HELP"], "214 2.0.0 "),
        (&["HELP MAIL"], "214 2.0.0 "),
        (&["QUIT"], "221 2.0.0 relay.example "),
    ]);
}

#[test]
fn commands_out_of_order_are_refused() {
    assert_table(&[
        (&[MAIL], "503 5.5.1 "),
        (&[EHLO, RCPT], "503 5.5.1 "),
        (&["DATA"], "503 5.5.1 "),
        (&[EHLO, "DATA"], "503 5.5.1 "),
        (&[EHLO, MAIL, MAIL], "503 5.5.1 "),
        (&[EHLO, MAIL, "DATA"], "554 5.5.1 "),
        (&[EHLO, MAIL, RCPT, "RSET", RCPT], "503 5.5.1 "),
        (&[EHLO, MAIL, RCPT, "RSET", "DATA"], "503 5.5.1 "),
        (&[EHLO, MAIL, RCPT, EHLO, RCPT], "503 5.5.1 "),
        (&[EHLO, MAIL, RCPT, "HELO x", "DATA"], "503 5.5.1 "),
        (&[EHLO, MAIL, RCPT, "DATA", RCPT], "503 5.5.1 "),
        (&[EHLO, MAIL, RCPT, "DATA", MAIL], "250 2.1.0 "),
    ]);
}

#[test]
fn what_is_not_announced_is_refused() {
    assert_table(&[
        (&[EHLO, "STARTTLS"], "502 5.5.1 "),
        (&[EHLO, "AUTH PLAIN AGEAYg=="], "502 5.5.1 "),
        (&[EHLO, "BDAT 3 LAST"], "503 5.5.1 "),
        (&[EHLO, "BDAT 3 LATS"], "501 5.5.4 "),
        (&[EHLO, MAIL, "BDAT 3 LAST"], "554 5.5.1 "),
        (&[EHLO, MAIL, RCPT, "BDAT 3"], "chunk 3"),
        (&[EHLO, MAIL, RCPT, "BDAT 0 LAST"], "chunk 0"),
        (&[EHLO, MAIL, RCPT, "BDAT 3", "DATA"], "503 5.5.1 "),
        (&[EHLO, MAIL, RCPT, "BDAT 3", RCPT], "503 5.5.1 "),
        (&[EHLO, MAIL, RCPT, "BDAT 3", MAIL], "503 5.5.1 "),
        (&[EHLO, MAIL, RCPT, "BDAT 3", "RSET", MAIL], "250 2.1.0 "),
        (&[EHLO, MAIL, RCPT, "BDAT 3", "RSET", "BDAT 3"], "503 5.5.1 "),
        (&[EHLO, MAIL, RCPT, "BDAT 99999999999"], "552 5.3.4 "),
        (&[EHLO, "EXPN list"], "502 5.5.1 "),
        (&[EHLO, "TURN"], "502 5.5.1 "),
        (&[EHLO, "ETRN far.example"], "502 5.5.1 "),
        (&[EHLO, "XCLIENT ADDR=192.0.2.1"], "500 5.5.2 "),
        (&[EHLO, "GET / HTTP/1.1"], "554 5.5.1 "),
        (&[EHLO, ""], "500 5.5.2 "),
        (&[EHLO, "MAIL FROM:<> BODY=BINARYMIME"], "555 5.5.4 "),
        (&[EHLO, "MAIL FROM:<> RET=HDRS ENVID=x"], "250 2.1.0 "),
        (&["HELO x", "MAIL FROM:<> RET=HDRS"], "555 5.5.4 "),
        (&["HELO x", "MAIL FROM:<> ENVID=x"], "555 5.5.4 "),
        (&[EHLO, "MAIL FROM:<> AUTH=<>"], "555 5.5.4 "),
        (&[EHLO, "MAIL FROM:<> REQUIRETLS"], "555 5.5.4 "),
        (&["HELO x", MAIL, "RCPT TO:<b@far.example> NOTIFY=NEVER"], "555 5.5.4 "),
        (&["HELO x", MAIL, "RCPT TO:<b@far.example> ORCPT=rfc822;b@c"], "555 5.5.4 "),
        (&["HELO x", "MAIL FROM:<> SIZE=1"], "555 5.5.4 "),
        (&["HELO x", "MAIL FROM:<> BODY=8BITMIME"], "555 5.5.4 "),
        (&["HELO x", "MAIL FROM:<> SMTPUTF8"], "555 5.5.4 "),
    ]);
}

#[test]
fn bad_arguments_are_refused() {
    assert_table(&[
        (&["EHLO"], "501 syntax: EHLO "),
        (&["HELO"], "501 syntax: HELO "),
        (&["RSET x"], "501 5.5.4 "),
        (&["QUIT x"], "501 5.5.4 "),
        (&[EHLO, "MAIL a@client.example"], "501 5.5.4 "),
        (&[EHLO, "MAIL FROM:<a@client..example>"], "501 5.1.7 "),
        (&[EHLO, MAIL, "RCPT TO:<>"], "501 5.1.3 "),
        (&[EHLO, MAIL, "RCPT TO:<b>"], "501 5.1.3 "),
        (&[EHLO, MAIL, "RCPT TO:<b@far.example>NOTIFY=NEVER"], "501 5.1.3 "),
        (&[EHLO, "MAIL FROM:<> SIZE=1 SIZE=1"], "501 5.5.4 "),
        (&[EHLO, "MAIL FROM:<> SIZE=99999999999999999999999"], "501 5.5.4 "),
        (&[EHLO, "MAIL FROM:<> SIZE=-1"], "501 5.5.4 "),
        (&[EHLO, "MAIL FROM:<> SIZE=18446744073709551615"], "552 5.3.4 "),
        (&[EHLO, MAIL, RCPT, "DATA now"], "501 5.5.4 "),
    ]);
}

#[test]
fn an_address_beyond_ascii_needs_smtputf8() {
    let utf8 = "MAIL FROM:<a@client.example> SMTPUTF8";
    assert_table(&[
        (&[EHLO, "MAIL FROM:<\u{fc}@client.example>"], "553 5.6.7 "),
        (&[EHLO, "MAIL FROM:<a@b\u{fc}cher.example>"], "553 5.6.7 "),
        (&[EHLO, "MAIL FROM:<\u{fc}@client.example> SMTPUTF8"], "250 2.1.0 "),
        (&[EHLO, MAIL, "RCPT TO:<\u{fc}@far.example>"], "553 5.6.7 "),
        (&[EHLO, MAIL, "RCPT TO:<b@b\u{fc}cher.example>"], "553 5.6.7 "),
        (&[EHLO, utf8, "RCPT TO:<\u{fc}@b\u{fc}cher.example>"], "250 2.1.5 "),
    ]);
}

#[test]
fn a_client_outside_the_networks_is_refused_at_mail_with_what_to_do() {
    let mut session = session();
    session.client.origin = Origin::Client("198.51.100.1".parse().unwrap());
    let answer = last(&mut session, &[EHLO, "MAIL FROM:<a@client.example> SIZE=99999999999"]);
    assert_eq!(
        answer,
        "550 5.7.1 198.51.100.1 may not submit mail here; its network has to be listed in \
         access.networks\r\n"
    );
    assert!(last(&mut session, &[RCPT]).starts_with("503 5.5.1 "));
}

#[test]
fn mail_is_refused_while_the_queue_cannot_take_it() {
    for (health, reply) in [
        (Health::LowOnSpace, "452 4.3.1 "),
        (Health::Failed, "451 4.3.0 "),
        (Health::Closed, "421 4.3.2 "),
        (Health::Ready, "250 2.1.0 "),
    ] {
        let mut session = session();
        step(&mut session, EHLO);
        let answer = answer(step_in(&mut session, MAIL, health));
        assert!(answer.starts_with(reply), "{health:?}: {answer:?}");
    }
}

#[test]
fn a_declared_size_is_held_against_the_limit() {
    for (size, reply) in [("1000", "250 2.1.0 "), ("1001", "552 5.3.4 ")] {
        let mut session = session_with(|s| s.limits.message_size = 1000);
        let mail = format!("MAIL FROM:<a@client.example> SIZE={size}");
        let answer = last(&mut session, &[EHLO, &mail]);
        assert!(answer.starts_with(reply), "{size}: {answer:?}");
    }
}

#[test]
fn recipients_beyond_the_limit_are_told_to_wait_and_the_others_get_the_message() {
    let mut session = session_with(|s| s.limits.recipients = 2);
    assert!(last(&mut session, &[EHLO, MAIL, RCPT, RCPT]).starts_with("250 2.1.5 "));
    assert!(matches!(step(&mut session, RCPT), Step::Refuse(Refusal::TooManyRecipients)));
    for _ in 0..100 {
        assert!(last(&mut session, &[RCPT]).starts_with("452 4.5.3 "));
    }
    let Step::Receive(incoming) = step(&mut session, "DATA") else { panic!("it is refused") };
    assert_eq!(incoming.envelope.recipients().len(), 2);
}

#[test]
fn data_hands_over_the_transaction_as_it_was_given() {
    let mut session = session();
    let mail = "MAIL FROM:<\"a b\"@client.example> BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=QQ1";
    last(
        &mut session,
        &[EHLO, mail, RCPT, "RCPT TO:<POSTMASTER>", "RCPT TO:<@x.example:c@d.example>"],
    );
    let Step::Receive(incoming) = step(&mut session, "DATA") else { panic!("it is refused") };
    let envelope = &incoming.envelope;
    let recipients = envelope.recipients().iter().map(|r| r.mailbox.to_string());
    assert_eq!(envelope.reverse_path().to_string(), "<\"a b\"@client.example>");
    assert_eq!(
        recipients.collect::<Vec<_>>(),
        ["b@far.example", "postmaster@relay.example", "c@d.example"]
    );
    assert_eq!(envelope.body(), smtp::BodyType::EightBitMime);
    assert_eq!(envelope.smtputf8(), Smtputf8::Requested);
    assert_eq!(incoming.protocol.smtputf8, Smtputf8::Requested);
    assert_eq!(incoming.submitter.peer(), session.peer());
    assert_eq!(envelope.dsn().ret, Some(smtp::Ret::Hdrs));
    assert_eq!(envelope.dsn().envid.as_ref().unwrap().as_str(), "QQ1");
}

#[test]
fn requiretls_is_offered_under_tls_alone_and_only_where_it_is_kept() {
    let requires = format!("{MAIL} REQUIRETLS");
    let under_tls = |session: Session| {
        session.secured(TlsFacts { version: "TLSv1.3", cipher: "TLS_AES_256_GCM_SHA384" })
    };
    let offered = || session_with(|s| s.requiretls = RequireTlsOffer::Offered);
    let withheld = || session_with(|s| s.requiretls = RequireTlsOffer::Withheld);
    for (mut session, is_offered) in [
        (under_tls(offered()), true),
        (offered(), false),
        (under_tls(withheld()), false),
        (withheld(), false),
    ] {
        let ehlo = last(&mut session, &[EHLO]);
        assert_eq!(ehlo.contains("REQUIRETLS\r\n"), is_offered, "{ehlo}");
        let answer = last(&mut session, &[&requires]);
        let expected = if is_offered { "250 2.1.0 " } else { "555 5.5.4 " };
        assert!(answer.starts_with(expected), "{answer}");
    }
    let mut session = under_tls(offered());
    assert!(last(&mut session, &["HELO x", &requires]).starts_with("555 5.5.4 "));
}

#[test]
fn wishes_for_reports_that_nobody_would_obey_are_refused() {
    let withheld = || session_with(|settings| settings.dsn = Dsn::Withheld);
    assert!(!last(&mut withheld(), &[EHLO]).contains("DSN"));
    for mail in ["RET=HDRS", "ENVID=QQ1"].map(|wish| format!("{MAIL} {wish}")) {
        assert!(last(&mut withheld(), &[EHLO, &mail]).starts_with("555 5.5.4 "), "{mail}");
    }
    for rcpt in ["NOTIFY=NEVER", "ORCPT=rfc822;a@b.example"].map(|wish| format!("{RCPT} {wish}")) {
        assert!(last(&mut withheld(), &[EHLO, MAIL, &rcpt]).starts_with("555 5.5.4 "), "{rcpt}");
    }
}

#[test]
fn what_is_wished_of_reports_goes_with_its_recipient() {
    let mut session = session();
    let rcpt = "RCPT TO:<b@far.example> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;first@x.example";
    last(&mut session, &[EHLO, MAIL, rcpt, RCPT]);
    let Step::Receive(incoming) = step(&mut session, "DATA") else { panic!("it is refused") };
    let [first, second] = incoming.envelope.recipients() else { panic!("there are two") };
    assert!(first.notify.unwrap().on(smtp::Condition::Delay));
    assert_eq!(first.orcpt.as_ref().unwrap().address(), "first@x.example");
    assert_eq!((second.notify, second.orcpt.as_ref()), (None, None));
}

#[test]
fn a_gateway_is_refused_with_what_to_do() {
    let settings = ListenerSettings::new(Domain::parse("relay.example").unwrap());
    let gateway = "192.0.2.1".parse().unwrap();
    let networks = Networks::parse(["192.0.2.0/24"]).unwrap().with_gateways([gateway]);
    let rules = Arc::new(Rules::new(settings, networks));
    let mut session = Session::new(rules, Origin::Client(gateway), Service::default());
    let answer = last(&mut session, &[EHLO, MAIL]);
    assert!(
        answer.starts_with(
            "550 5.7.1 192.0.2.1 is this host's default gateway; to allow it, list its address"
        ),
        "{answer}"
    );
}

#[test]
fn who_hides_behind_a_proxy_is_in_no_network() {
    let mut session = session();
    session.client.origin = Origin::Proxy("192.0.2.7".parse().unwrap());
    assert!(last(&mut session, &[EHLO, MAIL]).starts_with("550 5.7.1 "));
}

#[test]
fn messages_and_recipients_that_come_too_fast_are_told_to_come_later() {
    let mut session = session_with(|s| {
        s.rates.messages = 2;
        s.rates.recipients = 1;
    });
    assert!(last(&mut session, &[EHLO, MAIL, RCPT]).starts_with("250 "));
    assert!(last(&mut session, &[RCPT]).starts_with("452 4.5.3 "));
    assert!(last(&mut session, &["RSET", MAIL]).starts_with("250 "));
    assert!(last(&mut session, &["RSET", MAIL]).starts_with("451 4.7.1 "));
}

#[test]
fn refused_recipients_do_not_end_the_transaction() {
    let mut session = session();
    let answer = last(&mut session, &[EHLO, MAIL, "RCPT TO:<b>", RCPT, "RCPT TO:<c>", "DATA"]);
    assert_eq!(answer, "354");
}

#[test]
fn too_many_errors_end_the_session() {
    let mut session = session_with(|s| s.limits.errors_per_connection = 3);
    assert!(last(&mut session, &["A", "B", "C"]).starts_with("500 5.5.2 "));
    assert_eq!(last(&mut session, &["NOOP"]), "421 4.7.0 relay.example too many errors\r\n");
}

#[test]
fn a_refused_message_counts_as_an_error() {
    let mut session = session_with(|s| s.limits.errors_per_connection = 1);
    session.count(&Refusal::TooManyRecipients);
    assert!(last(&mut session, &["NOOP"]).starts_with("250 "));
    session.count(&Refusal::NulInMessage);
    assert!(last(&mut session, &["NOOP"]).starts_with("421 4.7.0 "));
}

#[test]
fn too_many_commands_end_the_session() {
    let mut session = session_with(|s| s.limits.commands_per_connection = 2);
    assert!(last(&mut session, &["NOOP", "NOOP"]).starts_with("250 "));
    assert_eq!(last(&mut session, &["NOOP"]), "421 4.7.0 relay.example too many commands\r\n");
}

#[test]
fn too_many_messages_end_the_session_at_the_next_mail() {
    let mut session = session_with(|s| s.limits.messages_per_connection = 1);
    assert_eq!(last(&mut session, &[EHLO, MAIL, RCPT, "DATA"]), "354");
    session.accepted();
    assert!(last(&mut session, &["NOOP"]).starts_with("250 "));
    assert!(last(&mut session, &[MAIL]).starts_with("421 4.7.0 "));
}

#[test]
fn what_is_no_line_is_refused_and_counted() {
    let mut session = session_with(|s| s.limits.errors_per_connection = 2);
    for fault in [LineFault::BareLf, LineFault::TooLong] {
        assert!(answer(session.hear(Err(fault), Health::Ready)).starts_with("500 5.5.2 "));
    }
    assert!(last(&mut session, &["NOOP"]).starts_with("421 4.7.0 "));
}

#[test]
fn no_address_survives_as_more_than_an_address() {
    let mut session = session();
    let rcpt = r#"RCPT TO:<"x> NOTIFY=NEVER"@far.example>"#;
    last(&mut session, &[EHLO, MAIL, rcpt]);
    let Step::Receive(incoming) = step(&mut session, "DATA") else { panic!("it is refused") };
    let recipient = &incoming.envelope.recipients()[0].mailbox;
    assert_eq!(recipient.to_string(), r#""x> NOTIFY=NEVER"@far.example"#);
}
