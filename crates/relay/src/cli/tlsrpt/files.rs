//! Reports in files, messages, mailboxes and folders.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use mail_parser::{Message, MessageParser, MessagePart, MimeHeaders as _, PartType};
use tls_rpt::{Deviation, Parsed, ReceivedReport};

/// The largest file that is read: a mailbox of many reports.
const FILE_MAX: u64 = 256 << 20;

/// How deep folders are looked into, and messages within messages.
const DEPTH_MAX: usize = 8;

/// A report that was read, or why there is none.
type ReadReport = Result<Parsed<ReceivedReport, Deviation>, String>;

/// Each report in the file or folder that was named, with the name of its file.
pub(super) fn of(named: &OsStr) -> Vec<(String, ReadReport)> {
    let files = if named == "-" { Ok(vec![named.to_owned()]) } else { within(named, DEPTH_MAX) };
    let files = files.unwrap_or_else(|_cannot_be_listed| vec![named.to_owned()]);
    let read = |file: OsString| {
        let name = file.display().to_string();
        let reports = match octets(&file) {
            Ok(octets) => reports(&octets),
            Err(error) => vec![Err(error.to_string())],
        };
        reports.into_iter().map(move |report| (name.clone(), report))
    };
    files.into_iter().flat_map(read).collect()
}

/// The files in a folder and the folders in it, in order, hidden ones left out; a file is itself.
fn within(path: &OsStr, depth: usize) -> io::Result<Vec<OsString>> {
    if !fs::metadata(path)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut entries = fs::read_dir(path)?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    entries.retain(|entry| !entry.file_name().as_encoded_bytes().starts_with(b"."));
    let mut found = Vec::new();
    for entry in entries {
        let kind = entry.file_type()?;
        if kind.is_file() {
            found.push(entry.path().into_os_string());
        } else if kind.is_dir() && depth > 0 {
            found.extend(within(entry.path().as_os_str(), depth - 1)?);
        }
    }
    Ok(found)
}

/// What a file holds; `-` is standard input.
fn octets(file: &OsStr) -> io::Result<Vec<u8>> {
    let input: Box<dyn Read> =
        if file == "-" { Box::new(io::stdin()) } else { Box::new(File::open(Path::new(file))?) };
    let mut octets = Vec::new();
    let length = input.take(FILE_MAX + 1).read_to_end(&mut octets)?;
    if u64::try_from(length).is_ok_and(|length| length <= FILE_MAX) {
        Ok(octets)
    } else {
        Err(io::Error::other(format!("it is larger than {} MiB", FILE_MAX >> 20)))
    }
}

/// Each report in `octets`: a report, a message, or a mailbox.
fn reports(octets: &[u8]) -> Vec<ReadReport> {
    let text = octets.strip_prefix(b"\xef\xbb\xbf").unwrap_or(octets).trim_ascii_start();
    if octets.starts_with(&[0x1f, 0x8b]) || text.starts_with(b"{") {
        return vec![read(octets)];
    }
    let messages = if octets.starts_with(b"From ") { messages(octets) } else { vec![octets] };
    let parser = MessageParser::default();
    let messages = messages.into_iter().filter_map(|message| parser.parse(message));
    let found: Vec<_> = messages.flat_map(|message| of_message(&message, DEPTH_MAX)).collect();
    if found.is_empty() { vec![Err("there is no TLS report in it".to_owned())] } else { found }
}

/// The messages of a mailbox (RFC 4155).
fn messages(mailbox: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    let (mut begin, mut at, mut after_blank) = (0, 0, true);
    for line in mailbox.split_inclusive(|octet| *octet == b'\n') {
        if after_blank && line.starts_with(b"From ") {
            found.extend(mailbox.get(begin..at));
            begin = at + line.len();
        }
        after_blank = line.trim_ascii().is_empty();
        at += line.len();
    }
    found.extend(mailbox.get(begin..at));
    found.retain(|message| !message.is_empty());
    found
}

/// The reports in a message, and in messages within it.
fn of_message(message: &Message<'_>, depth: usize) -> Vec<ReadReport> {
    let of_part = |part: &MessagePart<'_>| {
        if let PartType::Message(inner) = &part.body
            && depth > 0
        {
            of_message(inner, depth - 1)
        } else if is_report(part) {
            vec![read(part.contents())]
        } else {
            Vec::new()
        }
    };
    message.parts.iter().flat_map(of_part).collect()
}

/// Whether a part says that it is a report (RFC 8460 §5.1, §5.3).
fn is_report(part: &MessagePart<'_>) -> bool {
    let is_tlsrpt = part.content_type().is_some_and(|kind| {
        let subtype = kind.subtype().unwrap_or_default().to_ascii_lowercase();
        kind.ctype().eq_ignore_ascii_case("application") && subtype.starts_with("tlsrpt+")
    });
    let name = part.attachment_name().unwrap_or_default().to_ascii_lowercase();
    is_tlsrpt || name.ends_with(".json") || name.ends_with(".json.gz")
}

/// Reads a report.
fn read(octets: &[u8]) -> ReadReport {
    ReceivedReport::read(octets).map_err(|error| error.to_string())
}
