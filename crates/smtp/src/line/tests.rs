use proptest::prelude::*;

use super::*;

type Cut = Vec<Result<Vec<u8>, LineFault>>;

/// Everything a framer makes of `parts`, and what it leaves.
fn cut(limit: usize, parts: &[&[u8]]) -> (Cut, Vec<u8>) {
    let mut framer = LineFramer::new(limit);
    let mut buffer = BytesMut::new();
    let mut lines = Vec::new();
    for part in parts {
        buffer.extend_from_slice(part);
        loop {
            match framer.next(&mut buffer) {
                Ok(Some(line)) => lines.push(Ok(line.as_bytes().to_vec())),
                Ok(None) => break,
                Err(fault) => lines.push(Err(fault)),
            }
        }
        assert!(buffer.len() < limit, "what waits is bounded");
    }
    (lines, buffer.to_vec())
}

/// The same by the rule's own words: one octet after the other, nothing clever.
fn by_the_rule(limit: usize, input: &[u8]) -> Cut {
    let mut lines = Vec::new();
    let mut line: Vec<u8> = Vec::new();
    let mut faulty = false;
    let mut tail = [0_u8; 2];
    for &octet in input {
        tail = [tail[1], octet];
        if faulty {
            if tail == *b"\r\n" {
                faulty = false;
                tail = [0; 2];
            }
            continue;
        }
        line.push(octet);
        let fault = match tail {
            [b'\r', b'\n'] => {
                line.truncate(line.len() - 2);
                lines.push(Ok(std::mem::take(&mut line)));
                tail = [0; 2];
                continue;
            }
            [b'\r', _] => Some(LineFault::BareCr),
            [_, b'\n'] => Some(LineFault::BareLf),
            [_, 0] => Some(LineFault::Nul),
            [_, _] if line.len() == limit => Some(LineFault::TooLong),
            [_, _] => None,
        };
        if let Some(fault) = fault {
            lines.push(Err(fault));
            line.clear();
            faulty = true;
        }
    }
    lines
}

#[test]
fn only_crlf_ends_a_line() {
    let table: [(&[u8], Cut); 9] = [
        (b"NOOP\r\nQUIT\r\n", vec![Ok(b"NOOP".to_vec()), Ok(b"QUIT".to_vec())]),
        (b"\r\n", vec![Ok(vec![])]),
        (b"NOOP", vec![]),
        (b"NOOP\r", vec![]),
        (b"a\nRCPT\r\nb\r\n", vec![Err(LineFault::BareLf), Ok(b"b".to_vec())]),
        (b"a\rRCPT\r\nb\r\n", vec![Err(LineFault::BareCr), Ok(b"b".to_vec())]),
        (b"a\r\r\nb\r\n", vec![Err(LineFault::BareCr), Ok(b"b".to_vec())]),
        (b"a\0RCPT\r\nb\r\n", vec![Err(LineFault::Nul), Ok(b"b".to_vec())]),
        (b"a\n\rx\ry\n\nz\r\nb\r\n", vec![Err(LineFault::BareLf), Ok(b"b".to_vec())]),
    ];
    for (input, lines) in table {
        assert_eq!(cut(512, &[input]).0, lines, "{:?}", input.escape_ascii().to_string());
    }
}

#[test]
fn a_line_may_be_as_long_as_the_limit_crlf_included() {
    let fits = [&[b'a'; 510][..], b"\r\n"].concat();
    assert_eq!(cut(512, &[&fits]).0, [Ok(vec![b'a'; 510])]);
    let too_long = [&[b'a'; 511][..], b"\r\nNOOP\r\n"].concat();
    assert_eq!(cut(512, &[&too_long]).0, [Err(LineFault::TooLong), Ok(b"NOOP".to_vec())]);
}

#[test]
fn the_tail_of_an_over_long_line_is_never_a_command() {
    let input = [&[b'a'; 5000][..], b"MAIL FROM:<mallory@example.com>\r\nQUIT\r\n"].concat();
    assert_eq!(cut(512, &[&input]).0, [Err(LineFault::TooLong), Ok(b"QUIT".to_vec())]);
}

#[test]
fn an_over_long_line_is_refused_before_it_ends() {
    let (lines, rest) = cut(512, &[&[b'a'; 512]]);
    assert_eq!(lines, [Err(LineFault::TooLong)]);
    assert!(rest.is_empty());
}

#[test]
fn a_line_without_end_takes_no_room() {
    let part = [b'a'; 1000];
    let (lines, rest) = cut(512, &[&part[..]; 100]);
    assert_eq!(lines, [Err(LineFault::TooLong)]);
    assert!(rest.is_empty());
}

#[test]
fn what_follows_a_line_stays_in_the_buffer() {
    let mut framer = LineFramer::new(512);
    let mut buffer = BytesMut::from("DATA\r\n\n\r\0 whatever");
    assert_eq!(framer.next(&mut buffer).unwrap().unwrap().as_bytes(), b"DATA");
    assert_eq!(&buffer[..], b"\n\r\0 whatever");
}

#[test]
fn the_limit_can_be_raised_for_the_next_line() {
    let mut framer = LineFramer::new(8);
    let mut buffer = BytesMut::from("AUTH\r\n0123456789\r\n");
    assert!(framer.next(&mut buffer).unwrap().is_some());
    framer.set_limit(LineFramer::AUTH_LIMIT);
    assert_eq!(framer.next(&mut buffer).unwrap().unwrap().as_ref(), b"0123456789");
}

#[test]
fn a_limit_of_nothing_still_ends() {
    for limit in [0, 1, 2] {
        let mut framer = LineFramer::new(limit);
        let mut buffer = BytesMut::new();
        assert_eq!(framer.next(&mut buffer), Ok(None));
        buffer.extend_from_slice(b"ab\r\n\r\n");
        assert_eq!(framer.next(&mut buffer), Err(LineFault::TooLong));
        assert_eq!(framer.next(&mut buffer).unwrap().unwrap().as_bytes(), b"");
        assert_eq!(framer.next(&mut buffer), Ok(None));
    }
}

#[test]
fn every_fault_has_its_refusal() {
    for fault in [LineFault::BareCr, LineFault::BareLf, LineFault::Nul, LineFault::TooLong] {
        assert_eq!(fault.reply().to_string(), format!("500 5.5.2 {fault}\r\n"));
    }
}

/// Every sequence of seven of the octets that matter, whole, octet by octet, and by the rule.
#[test]
fn lines_are_cut_by_the_rule_however_the_octets_arrive() {
    for limit in [2, 3, 5, 512] {
        for mut n in 0..4_usize.pow(7) {
            let input: Vec<u8> = (0..7)
                .map(|_| {
                    let octet = b"a\r\n\0"[n % 4];
                    n /= 4;
                    octet
                })
                .collect();
            let whole = cut(limit, &[&input]);
            let octets: Vec<&[u8]> = input.chunks(1).collect();
            assert_eq!(
                whole,
                cut(limit, &octets),
                "{limit} {:?}",
                input.escape_ascii().to_string()
            );
            assert_eq!(
                whole.0,
                by_the_rule(limit, &input),
                "{limit} {:?}",
                input.escape_ascii().to_string()
            );
        }
    }
}

proptest! {
    #[test]
    fn chunks_make_no_difference(
        input in prop::collection::vec(prop::sample::select(b"ab \r\n\r\n\0".to_vec()), 0..200),
        sizes in prop::collection::vec(1..20_usize, 1..40),
        limit in 2..64_usize,
    ) {
        let mut parts: Vec<&[u8]> = Vec::new();
        let mut rest = &input[..];
        for size in sizes {
            let (part, after) = rest.split_at(size.min(rest.len()));
            parts.push(part);
            rest = after;
        }
        parts.push(rest);
        let pieces = cut(limit, &parts);
        prop_assert_eq!(&pieces.0, &by_the_rule(limit, &input));
        prop_assert_eq!(pieces, cut(limit, &[&input]));
    }
}
