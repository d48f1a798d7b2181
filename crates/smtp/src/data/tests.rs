use proptest::prelude::*;

use super::*;

const THE_END: &[u8] = b"\r\n.\r\n";

/// What the machine makes of `parts`: where it ended in the whole, the message, the faults.
fn end(parts: &[&[u8]]) -> (Option<usize>, Vec<u8>, Faults) {
    let mut machine = EndOfData::new();
    let mut message = Vec::new();
    let mut before = 0;
    for part in parts {
        match machine.feed(part, &mut message) {
            Progress::More => before += part.len(),
            Progress::Done { consumed } => {
                return (Some(before + consumed), message, machine.faults());
            }
        }
    }
    (None, message, machine.faults())
}

/// Where the message ends by the rule's own words, the CRLF of DATA counted in.
fn end_by_the_rule(input: &[u8]) -> Option<usize> {
    let with_command = [b"\r\n", input].concat();
    memchr::memmem::find(&with_command, THE_END).map(|at| at + THE_END.len() - 2)
}

/// The message by the rule's own words: a dot after CRLF is taken away, here all but the last.
fn message_by_the_rule(input: &[u8], end: usize) -> Vec<u8> {
    let raw = [b"\r\n", &input[..end - 3]].concat();
    let mut message = Vec::new();
    for (at, &octet) in raw.iter().enumerate() {
        if !(octet == b'.' && raw[..at].ends_with(b"\r\n")) {
            message.push(octet);
        }
    }
    message.split_off(2)
}

fn is_crlf_clean(text: &[u8]) -> bool {
    let bare_cr =
        text.iter().enumerate().any(|(i, &b)| b == b'\r' && text.get(i + 1) != Some(&b'\n'));
    let bare_lf = text.iter().enumerate().any(|(i, &b)| b == b'\n' && !text[..i].ends_with(b"\r"));
    !bare_cr && !bare_lf
}

/// Every sequence of `length` of the octets that matter.
fn sequences(length: u32) -> impl Iterator<Item = Vec<u8>> {
    (0..4_usize.pow(length)).map(move |mut n| {
        let octet = |_| {
            let octet = b".\r\na"[n % 4];
            n /= 4;
            octet
        };
        (0..length).map(octet).collect()
    })
}

#[test]
fn a_message_ends_at_crlf_dot_crlf() {
    let table: [(&[u8], usize, &[u8]); 8] = [
        (b".\r\n", 3, b""),
        (b"\r\n.\r\n", 5, b"\r\n"),
        (b"a\r\n.\r\n", 6, b"a\r\n"),
        (b"a\r\n.\r\nQUIT\r\n.\r\n", 6, b"a\r\n"),
        (b"..\r\n.\r\n", 7, b".\r\n"),
        (b".a\r\n.\r\n", 7, b"a\r\n"),
        (b"a\r\n..b\r\n...\r\n.\r\n", 16, b"a\r\n.b\r\n..\r\n"),
        (b"a.\r\n.\r\n", 7, b"a.\r\n"),
    ];
    for (input, consumed, message) in table {
        let (at, out, faults) = end(&[input]);
        let shown = input.escape_ascii().to_string();
        assert_eq!(at, Some(consumed), "{shown}");
        assert_eq!(out, message, "{shown}");
        assert!(faults.is_empty(), "{shown}");
    }
}

/// The forms published for SMTP smuggling (CVE-2023-51764, -51765, -51766 and the like), after a line
/// and as the first thing after DATA.
#[test]
fn no_smuggling_form_ends_a_message() {
    let forms: [&[u8]; 19] = [
        b"\n.\n",
        b"\n.\r\n",
        b"\r\n.\n",
        b"\r.\r",
        b"\r.\n",
        b"\r.\r\n",
        b"\n.\r",
        b"\r\n.\r",
        b"\r\n.\r\r\n",
        b"\r\n.\r\r\r\n",
        b"\r\n.\0\r\n",
        b"\r\n\0.\r\n",
        b"\r\n. \r\n",
        b"\r\n .\r\n",
        b"\r\n.\t\r\n",
        b"\r\n..\r\n",
        b"\r\r\n\n.\r\n",
        b"\n\n.\r\n",
        b"\r\n\r.\r\n",
    ];
    let smuggled = b"MAIL FROM:<mallory@example.com>\r\nRCPT TO:<bob@example.net>\r\nDATA\r\n";
    for form in forms {
        for start in [&b"Subject: x"[..], b""] {
            let input = [start, form, smuggled, b"evil"].concat();
            let shown = form.escape_ascii().to_string();
            assert_eq!(end(&[&input]).0, None, "{shown}");
            let whole = [&input, THE_END].concat();
            let (at, message, faults) = end(&[&whole]);
            assert_eq!(at, Some(whole.len()), "{shown}");
            assert_eq!(faults.is_empty(), is_crlf_clean(&message), "{shown}");
        }
    }
    for form in [&b".\n"[..], b".\r", b".\r\r\n", b"\n.\n", b"\n.\r\n", b". \r\n", b"..\r\n"] {
        let input = [form, smuggled].concat();
        assert_eq!(end(&[&input]).0, None, "{}", form.escape_ascii());
    }
}

#[test]
fn bare_cr_and_bare_lf_are_told_apart() {
    let table: [(&[u8], Option<DataFault>); 8] = [
        (b"a\r\n.\r\n", None),
        (b"a\rb\r\n.\r\n", Some(DataFault::BareCr)),
        (b"a\nb\r\n.\r\n", Some(DataFault::BareLf)),
        (b"\n\r\n.\r\n", Some(DataFault::BareLf)),
        (b"\r\r\n.\r\n", Some(DataFault::BareCr)),
        (b".\n\r\n.\r\n", Some(DataFault::BareLf)),
        (b".\ra\r\n.\r\n", Some(DataFault::BareCr)),
        (b"a\r\n.\r\n\n\r", None),
    ];
    for (input, fault) in table {
        let (at, _, faults) = end(&[input]);
        assert!(at.is_some());
        assert_eq!(faults.gravest(), fault, "{}", input.escape_ascii());
        assert_eq!(faults.contains(DataFault::BareCr), fault == Some(DataFault::BareCr));
        assert_eq!(faults.contains(DataFault::BareLf), fault == Some(DataFault::BareLf));
    }
}

#[test]
fn a_text_line_may_have_a_thousand_octets_crlf_included_and_dot_not() {
    let line =
        |dots: usize, length: usize| [&vec![b'.'; dots][..], &vec![b'a'; length], THE_END].concat();
    assert!(end(&[&line(0, 998)]).2.is_empty());
    assert!(end(&[&line(1, 998)]).2.is_empty());
    assert!(end(&[&line(2, 997)]).2.is_empty());
    for input in [line(0, 999), line(1, 999), line(2, 998), line(0, 5000)] {
        assert_eq!(end(&[&input]).2.gravest(), Some(DataFault::LineTooLong));
        let octets: Vec<&[u8]> = input.chunks(1).collect();
        assert_eq!(end(&octets).2.gravest(), Some(DataFault::LineTooLong));
    }
    let many = [b"abc\r\n".repeat(1000), THE_END.to_vec()].concat();
    assert!(end(&[&many]).2.is_empty(), "each line is counted from zero");
    let mut lenient = EndOfData::with_line_limit(usize::MAX);
    assert!(matches!(lenient.feed(&line(0, 5000), &mut Vec::new()), Progress::Done { .. }));
    assert!(lenient.faults().is_empty());
}

#[test]
fn nothing_is_taken_after_the_end() {
    let mut machine = EndOfData::new();
    let mut message = Vec::new();
    assert_eq!(machine.feed(b".\r\n.\r\n", &mut message), Progress::Done { consumed: 3 });
    assert_eq!(machine.feed(b".\r\n", &mut message), Progress::Done { consumed: 0 });
    assert_eq!(message, b"");
}

#[test]
fn every_fault_has_its_refusal() {
    for fault in [DataFault::BareCr, DataFault::BareLf, DataFault::LineTooLong] {
        assert_eq!(fault.reply().to_string(), format!("554 5.6.0 {fault}\r\n"));
    }
}

/// Every sequence of up to eight of the octets that matter, whole and octet by octet.
#[test]
fn nothing_but_crlf_dot_crlf_ends_a_message() {
    for input in (0..=8).flat_map(sequences) {
        let shown = input.escape_ascii().to_string();
        let whole = end(&[&input]);
        let octets: Vec<&[u8]> = input.chunks(1).collect();
        assert_eq!(whole, end(&octets), "{shown}");
        let (at, message, faults) = whole;
        assert_eq!(at, end_by_the_rule(&input), "{shown}");
        if let Some(at) = at {
            assert_eq!(message, message_by_the_rule(&input, at), "{shown}");
            assert_eq!(faults.is_empty(), is_crlf_clean(&input[..at]), "{shown}");
            assert_eq!(faults.is_empty(), is_crlf_clean(&message), "{shown}");
        }
    }
}

fn stuff(parts: &[&[u8]]) -> Vec<u8> {
    let mut stuffer = DotStuffer::new();
    let mut wire = Vec::new();
    for part in parts {
        stuffer.feed(part, &mut wire);
    }
    stuffer.finish(&mut wire);
    wire
}

/// A message as it arrives: with its last line ended.
fn completed(message: &[u8]) -> Vec<u8> {
    let ended = message.is_empty() || message.ends_with(b"\r\n");
    [message, if ended { b"" } else { b"\r\n" }].concat()
}

fn assert_arrives(message: &[u8]) {
    let shown = message.escape_ascii().to_string();
    let wire = stuff(&[message]);
    let (at, arrived, _) = end(&[&wire]);
    assert_eq!(at, Some(wire.len()), "{shown}");
    assert_eq!(arrived, completed(message), "{shown}");
}

#[test]
fn dots_are_doubled_where_a_line_begins() {
    let table: [(&[u8], &[u8]); 9] = [
        (b"", b".\r\n"),
        (b"a", b"a\r\n.\r\n"),
        (b"a\r\n", b"a\r\n.\r\n"),
        (b"a\r\n\r\n", b"a\r\n\r\n.\r\n"),
        (b".", b"..\r\n.\r\n"),
        (b".\r\nRSET\r\n", b"..\r\nRSET\r\n.\r\n"),
        (b"a.b\r\n.c\r\n..\r\n", b"a.b\r\n..c\r\n...\r\n.\r\n"),
        (b"a\r\n.\r\n.\r\n", b"a\r\n..\r\n..\r\n.\r\n"),
        (b"a\r", b"a\r\r\n.\r\n"),
    ];
    for (message, wire) in table {
        assert_eq!(stuff(&[message]), wire, "{}", message.escape_ascii());
    }
}

/// Every sequence of up to seven of the octets that matter.
#[test]
fn what_is_sent_arrives_and_ends_where_it_ends() {
    for message in (0..=7).flat_map(sequences) {
        assert_arrives(&message);
        let octets: Vec<&[u8]> = message.chunks(1).collect();
        assert_eq!(stuff(&[&message]), stuff(&octets), "{}", message.escape_ascii());
        for middle in 0..message.len() {
            let (a, b) = message.split_at(middle);
            assert_eq!(stuff(&[&message]), stuff(&[a, b]), "{}", message.escape_ascii());
        }
    }
}

proptest! {
    #[test]
    fn any_message_arrives_as_it_was(message in prop::collection::vec(any::<u8>(), 0..400)) {
        assert_arrives(&message);
    }

    #[test]
    fn a_message_of_lines_arrives_as_it_was(
        lines in prop::collection::vec("\\.{0,2}[a-z.]{0,80}", 0..30),
        size in 1..50_usize,
    ) {
        let message = lines.join("\r\n").into_bytes();
        let parts: Vec<&[u8]> = message.chunks(size).collect();
        let wire = stuff(&parts);
        let pieces: Vec<&[u8]> = wire.chunks(size + 1).collect();
        let (at, arrived, faults) = end(&pieces);
        prop_assert_eq!(at, Some(wire.len()));
        prop_assert_eq!(arrived, completed(&message));
        prop_assert!(faults.is_empty());
    }
}
