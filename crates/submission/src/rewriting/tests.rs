use proptest::prelude::*;

use super::OriginatorField::{Envelope, From, ReplyTo, Sender};
use super::*;

const ALL: [OriginatorField; 4] = [Envelope, From, Sender, ReplyTo];

fn rule(from: &str, to: &str, fields: &[OriginatorField]) -> RewriteRule {
    RewriteRule {
        sender: Vec::new(),
        from: vec![AddressPattern::parse(from).unwrap()],
        to: Replacement::parse(to).unwrap(),
        fields: fields.to_vec(),
    }
}

/// One rule for all fields.
fn rewriting(from: &str, to: &str) -> Rewriting {
    Rewriting::new(vec![rule(from, to, &ALL)])
}

fn header(rewriting: &Rewriting, received: &str) -> String {
    String::from_utf8(rewriting.header(received.as_bytes())).unwrap()
}

#[test]
fn an_address_is_rewritten_and_what_is_around_it_stays() {
    let to_ops = rewriting("*", "ops@example.org");
    for (said, becomes) in [
        (" root@db1.internal", " ops@example.org"),
        (" Root <root@db1.internal>", " Root <ops@example.org>"),
        (" \"root@db1.internal\" <root@db1.internal>", " \"root@db1.internal\" <ops@example.org>"),
        (" root@db1.internal <root@db1.internal>", " ops@example.org <ops@example.org>"),
        (" =?utf-8?q?J=C3=B6rg?= <j@db1.internal>", " =?utf-8?q?J=C3=B6rg?= <ops@example.org>"),
        (" Jörg <jörg@db1.internal>", " Jörg <ops@example.org>"),
        (" a@b.example, B <b@b.example>", " ops@example.org, B <ops@example.org>"),
        (" staff: a@b.example, c@d.example;", " staff: ops@example.org, ops@example.org;"),
        (" nobody:;", " nobody:;"),
        ("(c) <(d) a (e) @ b.example (f)> (g)", "(c) <(d) ops@example.org (f)> (g)"),
        (" <\"a > b\"@b.example>", " <ops@example.org>"),
        (" <@r.example,@s.example:a@b.example>", " <ops@example.org>"),
        (" A B\r\n\tC\r\n <a@b.example>", " A B\r\n\tC\r\n <ops@example.org>"),
        (" a@[192.0.2.1]", " ops@example.org"),
        (" ops@example.org", " ops@example.org"),
        (" root", " root"),
        (" <a@b.example", " <a@b.example"),
        ("", ""),
    ] {
        for name in ["From", "SENDER", "Reply-To "] {
            let received = format!("X: a@b.example\r\n{name}:{said}\r\nTo: a@b.example\r\n\r\n");
            let expected = format!("X: a@b.example\r\n{name}:{becomes}\r\nTo: a@b.example\r\n\r\n");
            assert_eq!(header(&to_ops, &received), expected);
        }
    }
}

#[test]
fn the_local_part_stays_where_a_domain_takes_the_place_of_another() {
    let rewriting = rewriting("@internal", "@example.org");
    for (said, becomes) in [
        ("root@internal", "root@example.org"),
        ("\"a b\"@INTERNAL, c@db1.internal", "\"a b\"@example.org, c@db1.internal"),
        ("jörg@internal", "jörg@example.org"),
    ] {
        let (received, expected) =
            (format!("Sender: {said}\r\n"), format!("Sender: {becomes}\r\n"));
        assert_eq!(header(&rewriting, &received), expected);
    }
    let latin = b"Sender: J\xf6rg <j\xf6rg@internal>, \xff <x@internal>\r\n";
    let expected = b"Sender: J\xf6rg <j\xf6rg@internal>, \xff <x@example.org>\r\n";
    assert_eq!(rewriting.header(latin), expected);
    let long = format!("Sender: {}@internal\r\n", "x".repeat(243));
    assert_eq!(header(&rewriting, &long), long, "no address is that long");
}

#[test]
fn what_from_said_is_kept_in_reply_to_unless_there_is_one() {
    let from_alone = Rewriting::new(vec![rule("@internal", "ops@example.org", &[From])]);
    for (received, expected) in [
        (
            "A: b\r\nFrom:\r\n Root (x)\r\n <root@internal>\r\n\r\n",
            "A: b\r\nReply-To:\r\n Root (x)\r\n <root@internal>\r\nFrom:\r\n Root (x)\r\n <ops@example.org>\r\n\r\n",
        ),
        ("From: a@internal", "Reply-To: a@internal\r\nFrom: ops@example.org"),
        ("From: a@internal\r\nreply-to:\r\n\r\n", "From: ops@example.org\r\nreply-to:\r\n\r\n"),
        ("From: a@b.example\r\n", "From: a@b.example\r\n"),
        (
            "From: a@internal\r\nFrom: b@internal\r\n",
            "Reply-To: a@internal\r\nFrom: ops@example.org\r\nFrom: ops@example.org\r\n",
        ),
        ("To: x@internal\r\n\r\nFrom: a@internal", "To: x@internal\r\n\r\nFrom: a@internal"),
    ] {
        assert_eq!(header(&from_alone, received), expected);
    }
    // Whose Reply-To is rewritten too wants replies at the new address.
    let both = rewriting("@internal", "ops@example.org");
    assert_eq!(header(&both, "From: a@internal\r\n"), "From: ops@example.org\r\n");
    assert_eq!(
        header(
            &Rewriting::new(vec![
                rule("a@internal", "@example.org", &[From]),
                rule("b@internal", "@example.org", &ALL),
            ]),
            "From: a@internal, b@internal\r\n"
        ),
        "Reply-To: a@internal, b@example.org\r\nFrom: a@example.org, b@example.org\r\n"
    );
}

#[test]
fn the_first_rule_that_covers_an_address_in_a_field_applies_and_no_other() {
    let rewriting = Rewriting::new(vec![
        rule("a@b.example", "c@d.example", &[From]),
        rule("@b.example", "@d.example", &[From, Envelope]),
        rule("*", "all@d.example", &[Sender]),
        rule("c@d.example", "never@d.example", &[From]),
    ]);
    assert_eq!(
        header(
            &rewriting,
            "Reply-To: a@b.example\r\nFrom: a@b.example, x@b.example\r\nSender: a@b.example\r\n"
        ),
        "Reply-To: a@b.example\r\nFrom: c@d.example, x@d.example\r\nSender: all@d.example\r\n"
    );
    for (sender, becomes) in
        [("<a@b.example>", "<a@d.example>"), ("<>", "<>"), ("<a@d.example>", "<a@d.example>")]
    {
        let sender = ReversePath::parse(sender).unwrap();
        let rewritten = rewriting.reverse_path(&sender).unwrap_or(sender);
        assert_eq!(rewritten.to_string(), becomes);
    }
}

#[test]
fn a_rule_may_be_for_the_mail_of_some_senders_alone() {
    let mut printer = rule("*", "ops@example.org", &ALL);
    printer.sender = vec![AddressPattern::parse("@printers.internal").unwrap()];
    let rewriting = Rewriting::new(vec![printer, rule("@internal", "@example.org", &ALL)]);
    for (sender, rules) in [("<p@printers.internal>", 2), ("<a@internal>", 1), ("<>", 1)] {
        let sender = ReversePath::parse(sender).unwrap();
        assert_eq!(rewriting.for_sender(&sender).rules().count(), rules, "{sender}");
    }
}

#[test]
fn a_from_field_of_100_kib_is_rewritten_like_any_other() {
    let (mut received, mut expected) = ("From:".to_owned(), "From:".to_owned());
    for number in 0..4_000 {
        received.push_str(&format!("\r\n \"Person {number}\" <p{number}@internal>,"));
        expected.push_str(&format!("\r\n \"Person {number}\" <p{number}@example.org>,"));
    }
    assert!(received.len() > 100 << 10);
    let rest = "\r\nSubject: x\r\n\r\n";
    let found = header(&rewriting("@internal", "@example.org"), &(received + rest));
    assert!(found == expected + rest);
    let name = format!("From: {} <a@internal>\r\n", "long ".repeat(30_000));
    let found = header(&rewriting("@internal", "@example.org"), &name);
    assert!(found.split("\r\n").all(|line| line.len() <= 78));
    assert!(found.replace("\r\n ", " ") == name.replace("@internal", "@example.org"));
}

#[test]
fn what_takes_an_addresss_place_is_an_address_or_a_domain() {
    for (text, problem) in [
        ("", "no @"),
        ("example.org", "no @"),
        ("*", "a pattern"),
        ("@", "neither an address nor a domain"),
        ("Ops <ops@example.org>", "neither an address nor a domain"),
        ("jörg@example.org", "beyond ASCII"),
    ] {
        let error = Replacement::parse(text).unwrap_err().to_string();
        assert!(error.contains(problem), "{text}: {error}");
    }
}

/// The fields that are not rewritten, and the body.
fn untouched(header: &[u8]) -> Vec<Vec<u8>> {
    let section = HeaderSection::read(header);
    let fields = section.fields().iter().filter(|field| OriginatorField::of(field).is_none());
    let mut found: Vec<_> = fields.map(|field| field.bytes().to_vec()).collect();
    found.push(section.rest().to_vec());
    found
}

proptest! {
    #[test]
    fn no_octet_outside_the_rewritten_fields_is_changed(
        lines in proptest::collection::vec(prop_oneof![
            "(From|Sender|Reply-To|To|X) ?:[ a@.<>\"(),:;\r\n]{0,20}( <a@b>)?\r\n".prop_map(String::into_bytes),
            proptest::collection::vec(any::<u8>(), 0..20),
        ], 0..8)
    ) {
        let received = lines.concat();
        let found = rewriting("*", "@example.org").header(&received);
        prop_assert_eq!(untouched(&found), untouched(&received));
        prop_assert_eq!(Rewriting::default().header(&received), received);
    }

    #[test]
    fn each_address_becomes_what_its_rule_says_and_is_found_where_it_was(
        list in "[ a@.<>\"(),:;\\\\\r\n]{0,30}( <a@b>)?(, c d <\"e f\"@g>)?"
    ) {
        let said = format!(" {list}\r\n");
        let rewriting = rewriting("*", "@example.org");
        let before = smtp::mailboxes(said.as_bytes());
        let after = rewriting.value(From, said.as_bytes());
        let expected = before.map(|mailboxes| {
            let new = |mailbox| rewriting.address(From, mailbox).unwrap_or_else(|| mailbox.clone());
            mailboxes.iter().map(new).collect::<Vec<_>>()
        });
        let found = smtp::mailboxes(&after.unwrap_or_else(|| said.clone().into_bytes()));
        prop_assert_eq!(found, expected, "{:?}", said);
    }
}
