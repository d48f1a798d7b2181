//! Every row of the conformance vectors, against what this crate does.

use mta_sts::{MxHost, MxPattern, Parsed, Policy, Record, Warning};

const TABLE: &str = include_str!("vectors/mta-sts.tsv");

/// What a row says and what came of it.
#[derive(Debug, Default, PartialEq)]
struct Verdict {
    expect: String,
    parsed: String,
    reason: String,
}

#[test]
fn every_vector_holds() {
    let mut rows = 0;
    let mut faults = Vec::new();
    for (index, row) in TABLE.lines().enumerate().skip(1) {
        let mut columns = row.split('\t');
        let mut column = || columns.next().unwrap_or_default();
        let (kind, input, _rfc) = (column(), unescape(column()), column());
        let [expect, parsed, reason] = [column(), column(), column()].map(str::to_owned);
        let expected = Verdict { expect, parsed, reason };
        let found = match kind {
            "record" => verdict(Record::parse(&input), record, |error| error.label()),
            "policy" => verdict(Policy::parse(&input), policy, |error| error.label()),
            "mxmatch" => mxmatch(str::from_utf8(&input).unwrap()),
            other => panic!("{other}?"),
        };
        if found != expected {
            faults.push(format!("row {}: {row}\n  found {found:?}", index + 1));
        }
        rows += 1;
    }
    assert_eq!(rows, 126, "the table has lost or gained rows");
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

fn verdict<T, E>(
    read: Result<Parsed<T>, E>,
    print: fn(&T) -> String,
    label: fn(&E) -> &'static str,
) -> Verdict {
    match read {
        Ok(read) => {
            let reason = read.warnings.first().map_or("", Warning::label);
            let expect = if read.warnings.is_empty() { "accept" } else { "warn" };
            Verdict { expect: expect.into(), parsed: print(&read.value), reason: reason.into() }
        }
        Err(error) => {
            Verdict { expect: "reject".into(), parsed: String::new(), reason: label(&error).into() }
        }
    }
}

fn record(record: &Record) -> String {
    record.id.to_string()
}

fn policy(policy: &Policy) -> String {
    let mx: Vec<_> = policy.mx().iter().map(MxPattern::as_str).collect();
    format!("{} {} {}", policy.mode(), policy.max_age().as_secs(), mx.join(","))
}

/// `HOST ~ PATTERN`; what is no host or no pattern matches nothing.
fn mxmatch(input: &str) -> Verdict {
    let (host, pattern) = input.split_once(" ~ ").unwrap();
    let matches = match (MxHost::parse(host), MxPattern::parse(pattern)) {
        (Ok(host), Ok(pattern)) => pattern.matches(&host),
        (Err(_), _) | (_, Err(_)) => false,
    };
    Verdict { expect: if matches { "match" } else { "nomatch" }.into(), ..Verdict::default() }
}

/// `\n \r \t \\`, `\xNN` a byte, `\uNNNN` a character.
fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        bytes.extend_from_slice(before.as_bytes());
        let (kind, tail) = after.split_at(1);
        let hex = |digits| u32::from_str_radix(tail.get(..digits).unwrap(), 16).unwrap();
        let mut used = 0;
        match kind {
            "n" => bytes.push(b'\n'),
            "r" => bytes.push(b'\r'),
            "t" => bytes.push(b'\t'),
            "\\" => bytes.push(b'\\'),
            "x" => {
                used = 2;
                bytes.push(hex(2).try_into().unwrap());
            }
            "u" => {
                used = 4;
                let c = char::from_u32(hex(4)).unwrap();
                bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
            other => panic!("\\{other}?"),
        }
        rest = &tail[used..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}
