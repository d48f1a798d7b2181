use proptest::prelude::*;

use super::*;
use crate::body::{BodyType, RequireTls};
use crate::domain::Domain;
use crate::dsn::{Condition, EnvelopeId, Notify, OriginalRecipient, Ret};
use crate::mailbox::tests::any_mailbox;
use crate::reply_reader::ReplyReader;

fn parse(line: &str) -> Result<Command, CommandError> {
    Command::parse(line.as_bytes())
}

/// Code and enhanced code of the refusal.
fn refusal(line: &[u8]) -> String {
    match Command::parse(line) {
        Ok(command) => panic!("{} was taken for {command:?}", line.escape_ascii()),
        Err(error) => {
            let reply = error.reply();
            let enhanced = reply.enhanced().map_or_else(|| "-".to_owned(), |code| code.to_string());
            format!("{} {enhanced}", reply.code())
        }
    }
}

fn mail(line: &str) -> (String, MailParameters) {
    match parse(line) {
        Ok(Command::Mail { path, parameters }) => (path.to_string(), parameters),
        other => panic!("{line}: {other:?}"),
    }
}

fn rcpt(line: &str) -> (String, RcptParameters) {
    match parse(line) {
        Ok(Command::Rcpt { path, parameters }) => (path.to_string(), parameters),
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn a_verb_is_read_in_any_case_and_blanks_at_the_end_are_let_go() {
    let name = || ClientName::Domain(Domain::parse("mx.example").unwrap());
    let table = [
        ("DATA", Command::Data),
        ("data", Command::Data),
        ("DaTa  ", Command::Data),
        ("DATA\t", Command::Data),
        ("RSET", Command::Rset),
        ("QUIT", Command::Quit),
        ("STARTTLS", Command::StartTls),
        ("NOOP", Command::Noop),
        ("NOOP what ever", Command::Noop),
        ("HELP", Command::Help(None)),
        ("HELP MAIL", Command::Help(Some("MAIL".to_owned()))),
        ("VRFY bob", Command::Vrfy("bob".to_owned())),
        ("EXPN the list", Command::Expn("the list".to_owned())),
        ("EHLO mx.example", Command::Ehlo(name())),
        ("ehlo  MX.EXAMPLE ", Command::Ehlo(name())),
        ("HELO mx.example", Command::Helo(name())),
        ("HELO my box", Command::Helo(ClientName::Other("my box".to_owned()))),
        (" \tNOOP", Command::Noop),
        ("NOOP\tx", Command::Noop),
        ("HELP\tMAIL", Command::Help(Some("MAIL".to_owned()))),
        ("EHLO\tmx.example\t", Command::Ehlo(name())),
        ("HELO my\tbox", Command::Helo(ClientName::Other("my box".to_owned()))),
        ("EHLO my_box", Command::Ehlo(ClientName::Domain(Domain::parse("my_box").unwrap()))),
        ("EHLO 192.0.2.1", Command::Ehlo(ClientName::Other("192.0.2.1".to_owned()))),
    ];
    for (line, command) in table {
        assert_eq!(parse(line).unwrap(), command, "{line}");
    }
}

#[test]
fn what_is_no_command_is_refused_with_the_right_code() {
    let table: [(&[u8], &str); 43] = [
        (b"", "500 5.5.2"),
        (b" ", "500 5.5.2"),
        (b" \t ", "500 5.5.2"),
        (b"HELLO", "500 5.5.2"),
        (b"GET / HTTP/1.1", "500 5.5.2"),
        (b"Host: example.com", "500 5.5.2"),
        (b"DATA\xff", "500 5.5.2"),
        (b"\x16\x03\x01\x02", "500 5.5.2"),
        (b"MAIL FROM:<b\xf6b@example.com>", "500 5.5.2"),
        (b"ETRN example.com", "502 5.5.1"),
        (b"LHLO example.com", "502 5.5.1"),
        (b"turn", "502 5.5.1"),
        (b"EHLO", "501 -"),
        (b"HELO ", "501 -"),
        (b"EHLO \t", "501 -"),
        (b"EHLO a\x07b", "501 -"),
        (b"VRFY", "501 5.5.4"),
        (b"EXPN", "501 5.5.4"),
        (b"DATA now", "501 5.5.4"),
        (b"RSET x", "501 5.5.4"),
        (b"QUIT x", "501 5.5.4"),
        (b"STARTTLS x", "501 5.5.4"),
        (b"MAIL", "501 5.5.4"),
        (b"MAIL <bob@example.com>", "501 5.5.4"),
        (b"MAIL FROM", "501 5.5.4"),
        (b"MAIL FROM :<bob@example.com>", "501 5.5.4"),
        (b"MAIL TO:<bob@example.com>", "501 5.5.4"),
        (b"RCPT FROM:<bob@example.com>", "501 5.5.4"),
        (b"RCPT", "501 5.5.4"),
        (b"MAIL FROM:", "501 5.1.7"),
        (b"MAIL FROM:bob", "501 5.1.7"),
        (b"MAIL FROM:SIZE=1", "501 5.1.7"),
        (b"MAIL FROM:<bob@example.com", "501 5.1.7"),
        (b"MAIL FROM:<bob>", "501 5.1.7"),
        (b"MAIL FROM:<postmaster>", "501 5.1.7"),
        (b"MAIL FROM:<bob@example.com>SIZE=1", "501 5.1.7"),
        (b"MAIL FROM:<bob@example.com>> SIZE=1", "501 5.1.7"),
        (b"RCPT TO:<>", "501 5.1.3"),
        (b"RCPT TO:<bob@>", "501 5.1.3"),
        (b"RCPT TO:<bob@example.com>NOTIFY=NEVER", "501 5.1.3"),
        (b"RCPT TO:<bob@example.com>,<ann@example.com>", "501 5.1.3"),
        (b"RCPT TO:bob@example.com,ann@example.com", "501 5.1.3"),
        (b"RCPT TO:Bob Smith <bob@example.com>", "501 5.1.3"),
    ];
    for (line, codes) in table {
        assert_eq!(refusal(line), codes, "{}", line.escape_ascii());
    }
}

#[test]
fn mail_is_read_with_its_parameters() {
    let plain = MailParameters::default();
    let bob = "<bob@example.com>".to_owned();
    assert_eq!(mail("MAIL FROM:<bob@example.com>"), (bob.clone(), plain.clone()));
    assert_eq!(mail("mail from: <bob@example.com>"), (bob.clone(), plain.clone()));
    assert_eq!(mail("MAIL FROM:<>"), ("<>".to_owned(), plain.clone()));
    assert_eq!(mail("MAIL FROM:<@a.example:bob@example.com>"), (bob.clone(), plain));
    let all = "MAIL FROM:<bob@example.com> SIZE=12 body=8bitmime smtputf8  RequireTLS RET=HDRS \
               ENVID=a+2Bb AUTH=<>";
    let parameters = MailParameters {
        size: Some(12),
        body: BodyType::EightBitMime,
        smtputf8: Smtputf8::Requested,
        requiretls: RequireTls::Requested,
        ret: Some(Ret::Hdrs),
        envid: EnvelopeId::parse("a+2Bb"),
        auth: Some(ReversePath::Null),
    };
    assert_eq!(mail(all), (bob, parameters.clone()));
    assert_eq!(
        parameters.to_string(),
        " SIZE=12 BODY=8BITMIME SMTPUTF8 REQUIRETLS RET=HDRS ENVID=a+2Bb AUTH=<>"
    );
    let (_, submitted) = mail("MAIL FROM:<a@b> BODY=7BIT AUTH=e+3Dmc2@example.com");
    assert_eq!(submitted.to_string(), " AUTH=e+3Dmc2@example.com");
}

#[test]
fn a_path_is_read_without_brackets_and_with_any_blanks_around_it() {
    for (line, path, size) in [
        ("MAIL FROM:bob@example.com", "<bob@example.com>", None),
        ("MAIL FROM: bob@example.com SIZE=1", "<bob@example.com>", Some(1)),
        ("MAIL FROM:\t<bob@example.com>\tSIZE=1 ", "<bob@example.com>", Some(1)),
        ("mail\tfrom: \t <bob@example.com>", "<bob@example.com>", None),
        ("MAIL FROM:< bob@example.com > SIZE=0", "<bob@example.com>", Some(0)),
        ("MAIL FROM: <>", "<>", None),
        ("MAIL FROM:<u..x@example.com>", "<\"u..x\"@example.com>", None),
        ("MAIL FROM:u.@example.com", "<\"u.\"@example.com>", None),
        ("MAIL FROM:\"a b\"@example.com SIZE=1", "<\"a b\"@example.com>", Some(1)),
        ("MAIL FROM:scanner@192.0.2.1", "<scanner@[192.0.2.1]>", None),
    ] {
        let (read, parameters) = mail(line);
        assert_eq!((read.as_str(), parameters.size), (path, size), "{line}");
    }
    for (line, path) in [
        ("RCPT TO:bob@example.com", "<bob@example.com>"),
        ("RCPT TO:\tbob@example.com", "<bob@example.com>"),
        ("rcpt to:  .u@example.com", "<\".u\"@example.com>"),
        ("RCPT TO:postmaster", "<postmaster>"),
        ("RCPT TO: < Postmaster >", "<postmaster>"),
        ("RCPT TO:<bob@example.com>\tNOTIFY=NEVER", "<bob@example.com>"),
    ] {
        assert_eq!(rcpt(line).0, path, "{line}");
    }
}

#[test]
fn a_machine_is_not_refused_for_the_encoding_of_its_name() {
    let Ok(Command::Ehlo(name)) = Command::parse(b"EHLO M\xfcller-PC") else {
        panic!("it is EHLO")
    };
    assert_eq!(name.to_string(), "M?ller-PC");
}

#[test]
fn an_unknown_parameter_is_named_in_its_refusal() {
    let error = parse("MAIL FROM:<bob@example.com> X-Moon=full").unwrap_err();
    assert_eq!(error.reply().to_string(), "555 5.5.4 unknown parameter X-Moon\r\n");
    let long = format!("RCPT TO:<bob@example.com> {}", "x".repeat(900));
    let told = parse(&long).unwrap_err().reply().to_string();
    assert_eq!(told, format!("555 5.5.4 unknown parameter {}\r\n", "x".repeat(40)));
}

#[test]
fn a_quoted_local_part_cannot_smuggle_a_parameter() {
    let (path, parameters) = rcpt("RCPT TO:<\"x> NOTIFY=NEVER\"@example.com>");
    assert_eq!(path, "<\"x> NOTIFY=NEVER\"@example.com>");
    assert_eq!(parameters, RcptParameters::default());
}

#[test]
fn rcpt_is_read_with_its_parameters() {
    assert_eq!(rcpt("RCPT TO:<Postmaster>").0, "<postmaster>");
    let (path, parameters) =
        rcpt("rcpt to:<bob@example.com> NOTIFY=FAILURE,delay ORCPT=rfc822;Bob@example.com");
    assert_eq!(path, "<bob@example.com>");
    assert_eq!(
        parameters,
        RcptParameters {
            notify: Some(Notify::NEVER.and(Condition::Delay).and(Condition::Failure)),
            orcpt: OriginalRecipient::parse("rfc822;Bob@example.com"),
        }
    );
    assert_eq!(parameters.to_string(), " NOTIFY=FAILURE,DELAY ORCPT=rfc822;Bob@example.com");
}

#[test]
fn bad_parameters_are_refused_with_the_right_code() {
    let mail = [
        ("MOON=FULL", "555 5.5.4"),
        ("NOTIFY=NEVER", "555 5.5.4"),
        ("X", "555 5.5.4"),
        ("SIZE", "501 5.5.4"),
        ("SIZE=", "501 5.5.4"),
        ("SIZE=1 SIZE=1", "501 5.5.4"),
        ("SIZE=1 size=2", "501 5.5.4"),
        ("SIZE=x", "501 5.5.4"),
        ("SIZE=-1", "501 5.5.4"),
        ("SIZE=+1", "501 5.5.4"),
        ("SIZE=1.0", "501 5.5.4"),
        ("SIZE=0x10", "501 5.5.4"),
        ("SIZE=18446744073709551616", "501 5.5.4"),
        ("SIZE=99999999999999999999", "501 5.5.4"),
        ("SIZE=000000000000000000001", "501 5.5.4"),
        ("BODY", "501 5.5.4"),
        ("BODY=9BIT", "501 5.5.4"),
        ("BODY=7BIT BODY=7BIT", "501 5.5.4"),
        ("REQUIRETLS=", "501 5.5.4"),
        ("REQUIRETLS=1", "501 5.5.4"),
        ("REQUIRETLS REQUIRETLS", "501 5.5.4"),
        ("SMTPUTF8=", "501 5.5.4"),
        ("SMTPUTF8=1", "501 5.5.4"),
        ("SMTPUTF8 SMTPUTF8", "501 5.5.4"),
        ("RET=NONE", "501 5.5.4"),
        ("RET=FULL RET=FULL", "501 5.5.4"),
        ("ENVID=a+0D+0Ab", "501 5.5.4"),
        ("ENVID=a ENVID=a", "501 5.5.4"),
        ("AUTH=bob", "501 5.5.4"),
        ("AUTH=<bob@example.com>", "501 5.5.4"),
        ("AUTH=a@b+0D+0A", "501 5.5.4"),
        ("=1", "501 5.5.4"),
        ("-SIZE=1", "501 5.5.4"),
        ("SI_ZE=1", "501 5.5.4"),
        ("SIZE=1=1", "501 5.5.4"),
        ("ENVID=a\u{7}b", "501 5.5.4"),
        ("GR\u{d6}SSE=1", "501 5.5.4"),
    ];
    for (parameters, codes) in mail {
        let line = format!("MAIL FROM:<bob@example.com> {parameters}");
        assert_eq!(refusal(line.as_bytes()), codes, "{parameters}");
    }
    let rcpt = [
        ("SIZE=1", "555 5.5.4"),
        ("SMTPUTF8", "555 5.5.4"),
        ("NOTIFY", "501 5.5.4"),
        ("NOTIFY=", "501 5.5.4"),
        ("NOTIFY=NEVER,DELAY", "501 5.5.4"),
        ("NOTIFY=NEVER NOTIFY=NEVER", "501 5.5.4"),
        ("ORCPT=bob@example.com", "501 5.5.4"),
        ("ORCPT=rfc822;a+0D+0Ab", "501 5.5.4"),
        ("ORCPT=rfc822;a ORCPT=rfc822;a", "501 5.5.4"),
    ];
    for (parameters, codes) in rcpt {
        let line = format!("RCPT TO:<bob@example.com> {parameters}");
        assert_eq!(refusal(line.as_bytes()), codes, "{parameters}");
    }
}

#[test]
fn the_largest_size_is_read_and_nothing_wraps() {
    let (_, parameters) = mail("MAIL FROM:<> SIZE=18446744073709551615");
    assert_eq!(parameters.size, Some(u64::MAX));
    let (_, parameters) = mail("MAIL FROM:<> SIZE=00000000000000000010");
    assert_eq!(parameters.size, Some(10));
}

#[test]
fn a_sender_beyond_ascii_needs_smtputf8() {
    assert_eq!(refusal("MAIL FROM:<jörg@example.com>".as_bytes()), "553 5.6.7");
    assert_eq!(mail("MAIL FROM:<jörg@example.com> SMTPUTF8").0, "<jörg@example.com>");
    assert_eq!(mail("MAIL FROM:<bob@bücher.example>").0, "<bob@xn--bcher-kva.example>");
    let Command::Rcpt { path, .. } = parse("RCPT TO:<jörg@example.com>").unwrap() else {
        panic!("it is RCPT");
    };
    assert!(!path.is_ascii(), "the transaction has to judge");
}

#[test]
fn bdat_counts_without_wrapping() {
    let table = [
        ("BDAT 0", 0, Chunk::More),
        ("BDAT 86", 86, Chunk::More),
        ("bdat 86 last", 86, Chunk::Last),
        ("BDAT  0  LAST ", 0, Chunk::Last),
        ("BDAT 18446744073709551615", u64::MAX, Chunk::More),
    ];
    for (line, size, chunk) in table {
        assert_eq!(parse(line).unwrap(), Command::Bdat { size, chunk }, "{line}");
    }
    let bad = [
        "BDAT",
        "BDAT LAST",
        "BDAT -1",
        "BDAT +1",
        "BDAT 1 FIRST",
        "BDAT 1 LAST LAST",
        "BDAT 1,LAST",
        "BDAT 1LAST",
        "BDAT 18446744073709551616",
        "BDAT 99999999999999999999999",
        "BDAT 100000000000000000000 LAST",
        "BDAT 000000000000000000001",
        "BDAT \u{661}",
    ];
    for line in bad {
        assert_eq!(refusal(line.as_bytes()), "501 5.5.4", "{line}");
    }
}

#[test]
fn auth_names_a_mechanism_and_may_carry_the_first_response() {
    let table = [
        ("AUTH PLAIN", "PLAIN", None),
        ("auth plain", "PLAIN", None),
        ("AUTH SCRAM-SHA-256", "SCRAM-SHA-256", None),
        ("AUTH PLAIN AGJvYgBzZWNyZXQ=", "PLAIN", Some("AGJvYgBzZWNyZXQ=")),
        ("AUTH PLAIN  AGI= ", "PLAIN", Some("AGI=")),
        ("AUTH LOGIN Ym9i", "LOGIN", Some("Ym9i")),
        ("AUTH EXTERNAL =", "EXTERNAL", Some("")),
    ];
    for (line, expected, response) in table {
        let Ok(Command::Auth { mechanism, initial }) = parse(line) else { panic!("{line}") };
        assert_eq!(mechanism, expected);
        assert_eq!(initial.as_ref().map(InitialResponse::as_base64), response, "{line}");
    }
    let bad = [
        "AUTH",
        "AUTH PLAIN AGI= x",
        "AUTH PLAIN ==",
        "AUTH PLAIN AGI",
        "AUTH PLAIN A===",
        "AUTH PLAIN AG=I",
        "AUTH PLAIN AG-_",
        "AUTH PLAIN *",
        "AUTH PL.IN",
        "AUTH ABCDEFGHIJKLMNOPQRSTU",
    ];
    for line in bad {
        assert_eq!(refusal(line.as_bytes()), "501 5.5.4", "{line}");
    }
}

#[test]
fn a_first_response_is_not_shown() {
    let shown = format!("{:?}", parse("AUTH PLAIN AGJvYgBzZWNyZXQ=").unwrap());
    assert!(shown.contains("PLAIN") && !shown.contains("AGJvY"), "{shown}");
}

fn any_mail_parameters() -> impl Strategy<Value = MailParameters> {
    let size = prop::option::of(any::<u64>());
    let body = prop::sample::select(vec![
        BodyType::SevenBit,
        BodyType::EightBitMime,
        BodyType::BinaryMime,
    ]);
    let ret = prop::option::of(prop::sample::select(vec![Ret::Full, Ret::Hdrs]));
    let envid = "[!-~]{0,20}".prop_map(|text| EnvelopeId::parse(&text));
    let auth = prop::option::of(prop_oneof![
        Just(ReversePath::Null),
        any_mailbox().prop_filter("ASCII", |m| m.is_ascii()).prop_map(ReversePath::Mailbox),
    ]);
    let requiretls = prop::sample::select(vec![RequireTls::NotRequested, RequireTls::Requested]);
    (size, body, requiretls, ret, envid, auth).prop_map(
        |(size, body, requiretls, ret, envid, auth)| MailParameters {
            size,
            body,
            smtputf8: Smtputf8::Requested,
            requiretls,
            ret,
            envid,
            auth,
        },
    )
}

fn any_rcpt_parameters() -> impl Strategy<Value = RcptParameters> {
    let notify = prop::option::of("NEVER|(SUCCESS|DELAY)(,FAILURE)?");
    let orcpt = "(rfc822|utf-8);([!-~]|\\\\x\\{[0-9A-F]{2,4}\\}|\\PC){1,20}";
    (notify, orcpt).prop_map(|(notify, orcpt)| RcptParameters {
        notify: notify.map(|text| Notify::parse(&text).unwrap()),
        orcpt: OriginalRecipient::parse(&orcpt),
    })
}

proptest! {
    #[test]
    fn a_written_mail_command_reads_as_itself(
        mailbox in any_mailbox(), parameters in any_mail_parameters(),
    ) {
        let path = ReversePath::Mailbox(mailbox);
        let line = format!("MAIL FROM:{path}{parameters}");
        prop_assert_eq!(parse(&line).unwrap(), Command::Mail { path, parameters });
    }

    #[test]
    fn a_written_rcpt_command_reads_as_itself(
        mailbox in any_mailbox(), parameters in any_rcpt_parameters(),
    ) {
        let path = ForwardPath::Mailbox(mailbox);
        let line = format!("RCPT TO:{path}{parameters}");
        prop_assert_eq!(parse(&line).unwrap(), Command::Rcpt { path, parameters });
    }

    #[test]
    fn every_line_is_a_command_or_has_a_refusal(
        line in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..60),
            "(MAIL FROM:|RCPT TO:|EHLO |AUTH |BDAT |VRFY )[ -~\\PC\t]{0,60}"
                .prop_map(String::into_bytes),
            "(MAIL FROM|RCPT TO):<[a@.\"\\\\>:,]{0,12}> ?(SIZE|ORCPT|ENVID|X)=[!-~]{0,12}"
                .prop_map(String::into_bytes),
        ]
    ) {
        if let Err(error) = Command::parse(&line) {
            let reply = error.reply();
            prop_assert!(reply.code().as_u16() >= 500);
            let wire = reply.to_string();
            let read = ReplyReader::new().line(wire.trim_end_matches("\r\n").as_bytes());
            prop_assert_eq!(read.unwrap(), Some(reply));
        }
    }
}
