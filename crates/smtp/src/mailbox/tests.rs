use proptest::prelude::*;

use super::*;

#[test]
fn an_address_is_read_for_what_it_means_and_written_one_way() {
    let good = [
        // As it comes, what its local part says, as it is written.
        ("bob@example.com", "bob", "bob@example.com"),
        ("Bob@Example.COM", "Bob", "Bob@example.com"),
        ("bob@example.com.", "bob", "bob@example.com"),
        ("a.b+c_d@example.com", "a.b+c_d", "a.b+c_d@example.com"),
        (
            "!#$%&'*+-/=?^_`{|}~@example.com",
            "!#$%&'*+-/=?^_`{|}~",
            "!#$%&'*+-/=?^_`{|}~@example.com",
        ),
        ("bob@localhost", "bob", "bob@localhost"),
        ("\"bob\"@example.com", "bob", "bob@example.com"),
        ("\"b\\o\\b\"@example.com", "bob", "bob@example.com"),
        ("\"bob smith\"@example.com", "bob smith", "\"bob smith\"@example.com"),
        ("\"a@b\"@example.com", "a@b", "\"a@b\"@example.com"),
        ("\"a..b\"@example.com", "a..b", "\"a..b\"@example.com"),
        ("\".a\"@example.com", ".a", "\".a\"@example.com"),
        ("\"a.\"@example.com", "a.", "\"a.\"@example.com"),
        ("\"\"@example.com", "", "\"\"@example.com"),
        // Providers have given out such addresses, and their users write from them.
        ("u..x@example.com", "u..x", "\"u..x\"@example.com"),
        ("u.@example.com", "u.", "\"u.\"@example.com"),
        (".u@example.com", ".u", "\".u\"@example.com"),
        ("u...@example.com", "u...", "\"u...\"@example.com"),
        (".@example.com", ".", "\".\"@example.com"),
        ("\"a\\\"b\\\\c\"@example.com", "a\"b\\c", "\"a\\\"b\\\\c\"@example.com"),
        ("\"x> SIZE=1\"@example.com", "x> SIZE=1", "\"x> SIZE=1\"@example.com"),
        ("bob@[192.0.2.1]", "bob", "bob@[192.0.2.1]"),
        ("bob@[IPv6:2001:DB8::1]", "bob", "bob@[IPv6:2001:db8::1]"),
        ("bob@[ipv6:::1]", "bob", "bob@[IPv6:::1]"),
        ("bob@[IPv6:::ffff:192.0.2.1]", "bob", "bob@[IPv6:::ffff:192.0.2.1]"),
        ("jörg@example.com", "jörg", "jörg@example.com"),
        ("bob@bücher.example", "bob", "bob@xn--bcher-kva.example"),
        ("用户@例え.テスト", "用户", "用户@xn--r8jz45g.xn--zckzah"),
    ];
    for (text, local, written) in good {
        let mailbox = Mailbox::parse(text).unwrap();
        assert_eq!(mailbox.local().as_str(), local, "{text}");
        assert_eq!(mailbox.to_string(), written, "{text}");
    }
}

#[test]
fn what_is_no_address_is_refused() {
    let bad = [
        ("", "nothing"),
        ("bob", "no domain"),
        ("@example.com", "no local part"),
        ("bob@", "no domain"),
        ("bob@@example.com", "two at signs"),
        ("a@b@example.com", "two at signs"),
        ("bob smith@example.com", "blank without quotes"),
        (" bob@example.com", "blank first"),
        ("bob@example.com ", "blank last"),
        ("bob@exa mple.com", "blank in the domain"),
        ("bob,ann@example.com", "a list"),
        ("bob>@example.com", "angle bracket"),
        ("(x)bob@example.com", "comment"),
        ("bo\"b\"@example.com", "quote inside"),
        ("\"bob@example.com", "unclosed quote"),
        ("\"bob\\\"@example.com", "unclosed quote"),
        ("\"bob\\", "backslash last"),
        ("\"bob\"x@example.com", "text after the quotes"),
        ("\"bob\"", "no domain"),
        ("\"a\"@\"b\"@example.com", "quotes in the domain"),
        ("bob\0@example.com", "NUL"),
        ("bob\r\n@example.com", "line end"),
        ("\"bob\r\nRCPT TO:<x>\"@example.com", "line end in quotes"),
        ("\"bob\\\r\\\n\"@example.com", "quoted line end"),
        ("\"tab\t\"@example.com", "tab"),
        ("del\u{7f}@example.com", "DEL"),
        ("nel\u{85}@example.com", "a control character beyond ASCII"),
        ("\"nel\u{85}\"@example.com", "a control character beyond ASCII"),
        ("bob@192.0.2.1", "address without brackets"),
        ("bob@[192.0.2.1", "bracket missing"),
        ("bob@192.0.2.1]", "bracket missing"),
        ("bob@[192.0.2.256]", "no octet"),
        ("bob@[192.0.2.01]", "octal or not"),
        ("bob@[192.0.2]", "three octets"),
        ("bob@[]", "nothing in brackets"),
        ("bob@[2001:db8::1]", "no tag"),
        ("bob@[IPv6:192.0.2.1]", "wrong tag"),
        ("bob@[IPv6:fe80::1%eth0]", "zone"),
        ("bob@[x-tag:content]", "no registered tag"),
        ("bob@[192.0.2.1].example", "more after the literal"),
    ];
    for (text, why) in bad {
        assert!(Mailbox::parse(text).is_err(), "{why}: {text:?}");
    }
}

#[test]
fn a_local_part_of_64_octets_and_more_is_taken() {
    for length in [64, 65, 200] {
        let text = format!("{}@example.com", "a".repeat(length));
        assert_eq!(Mailbox::parse(&text).unwrap().to_string(), text);
    }
    let escaped = format!("\"{}\"@example.com", "\\\"".repeat(64));
    assert_eq!(Mailbox::parse(&escaped).unwrap().to_string(), escaped);
    assert!(LocalPart::new(&"a".repeat(LocalPart::MAX_OCTETS)).is_ok());
    assert!(LocalPart::new(&"ä".repeat(LocalPart::MAX_OCTETS / 2 + 1)).is_err());
}

#[test]
fn a_mailbox_has_at_most_254_octets_as_it_is_written() {
    let domain = format!("{0}.{0}.{0}.example", "d".repeat(60));
    let room = Mailbox::MAX_OCTETS - domain.len() - 1;
    assert!(room < LocalPart::MAX_OCTETS, "it is not the local part that is too long");
    assert!(Mailbox::parse(&format!("{}@{domain}", "a".repeat(room))).is_ok());
    assert!(Mailbox::parse(&format!("{}@{domain}", "a".repeat(room + 1))).is_err());
    // Quotes count, where they are needed.
    assert!(Mailbox::parse(&format!("\"{}\"@{domain}", "a".repeat(room))).is_ok());
    assert!(Mailbox::parse(&format!("\"{} \"@{domain}", "a".repeat(room - 3))).is_ok());
    assert!(Mailbox::parse(&format!("\"{} \"@{domain}", "a".repeat(room - 2))).is_err());
}

#[test]
fn only_the_local_part_can_need_smtputf8() {
    assert!(Mailbox::parse("bob@bücher.example").unwrap().is_ascii());
    assert!(!Mailbox::parse("jörg@example.com").unwrap().is_ascii());
    assert!(!Mailbox::parse("\"jörg x\"@example.com").unwrap().is_ascii());
}

pub(crate) fn any_mailbox() -> impl Strategy<Value = Mailbox> {
    let local = prop_oneof!["[a-z.\"\\\\@<> =:,\\[\\]()]{0,64}", "\\PC{0,16}", "[a-z]{1,64}"];
    let domain = prop_oneof![
        "[a-z0-9]{1,20}(\\.[a-z]{1,20}){0,3}",
        any::<Ipv4Addr>().prop_map(|a| format!("[{a}]")),
        any::<Ipv6Addr>().prop_map(|a| format!("[IPv6:{a}]")),
    ];
    (local, domain).prop_filter_map("no address", |(local, domain)| {
        let local = LocalPart::new(&local).ok()?;
        Mailbox::new(local, MailboxDomain::parse(&domain).ok()?).ok()
    })
}

proptest! {
    #[test]
    fn a_written_address_reads_as_itself(mailbox in any_mailbox()) {
        let written = mailbox.to_string();
        prop_assert!(!written.chars().any(char::is_control));
        prop_assert!(written.len() <= Mailbox::MAX_OCTETS);
        let octets = mailbox.local.octets() + 1 + mailbox.domain.octets();
        prop_assert_eq!(octets, written.len());
        prop_assert_eq!(Mailbox::parse(&written).unwrap(), mailbox);
    }

    #[test]
    fn whatever_reads_as_an_address_is_written_and_read_again(
        text in "[ab.\"\\\\ @<>\\[\\]:19ä\r\n]{0,24}|\"[^\"]{0,10}\"@a|\\PC{0,30}@\\PC{1,10}"
    ) {
        if let Ok(mailbox) = Mailbox::parse(&text) {
            prop_assert_eq!(Mailbox::parse(&mailbox.to_string()).unwrap(), mailbox);
        }
    }
}
