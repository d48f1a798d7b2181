//! The TXT record at `_smtp._tls.DOMAIN` (RFC 8460 §3).
//!
//! It says that a domain wants reports, and where they go. Looking it up is the caller's.

use std::fmt;

use thiserror::Error;

use crate::destination::Destination;
use crate::domain::DomainName;
use crate::warning::{Parsed, Warning, Warnings};

/// What a record begins with.
const VERSION: &[u8] = b"v=TLSRPTv1";

/// The most destinations of a record that are used: a report goes to each of them, and whoever writes
/// the record chooses them.
const DESTINATIONS_MAX: usize = 5;

/// The most fields of a record that are read, and the most URIs of one field: a TXT record of 64 KiB
/// has room for 65,000.
const FIELDS_MAX: usize = 256;

/// The name that the record of a policy domain has (RFC 8460 §3).
#[must_use]
pub fn record_name(domain: &DomainName) -> String {
    format!("_smtp._tls.{domain}")
}

/// A TLSRPT record.
///
/// ```
/// use tls_rpt::{Destination, Record};
///
/// let record = Record::parse(b"v=TLSRPTv1; rua=mailto:reports@example.org")?;
/// assert!(record.warnings.is_empty());
/// let [Destination::Mailto(address)] = record.value.destinations() else { panic!() };
/// assert_eq!(address.to_string(), "reports@example.org");
/// # Ok::<(), tls_rpt::RecordError>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Record {
    destinations: Vec<Destination>,
}

impl Record {
    /// Reads one TXT record, its character-strings joined without blanks (RFC 8460 §3).
    ///
    /// The URIs of all `rua` fields count, wherever they stand; unknown fields are ignored.
    ///
    /// # Errors
    ///
    /// [`RecordError`] where the record is not a TLSRPT record or has no destination that can be used.
    pub fn parse(text: &[u8]) -> Result<Parsed<Self>, RecordError> {
        let (fields, blank) = after_version(text).ok_or(RecordError::NotTlsRpt)?;
        let mut reading = Reading::default();
        if blank {
            reading.warnings.add(Warning::BlankAfterVersion);
        }
        let last = fields.split(|byte| *byte == b';').count();
        for (number, raw) in (1..).zip(fields.split(|byte| *byte == b';')) {
            if number > FIELDS_MAX {
                reading.warnings.add(Warning::TooManyFields { number });
                break;
            }
            let field = trim_end(trim_start(raw));
            reading.field(field, number, last);
            if number == last && !field.is_empty() && trim_end(raw) != raw {
                reading.warnings.add(Warning::TrailingWhitespace);
            }
        }
        reading.end()
    }

    /// Where reports go, the first 5, each once; never empty.
    #[must_use]
    pub fn destinations(&self) -> &[Destination] {
        &self.destinations
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("v=TLSRPTv1; rua=")?;
        for (number, destination) in self.destinations.iter().enumerate() {
            let comma = if number == 0 { "" } else { "," };
            write!(f, "{comma}{destination}")?;
        }
        f.write_str(";")
    }
}

/// Finds the one TLSRPT record among the TXT records of `_smtp._tls.DOMAIN` (RFC 8460 §3).
///
/// Records that do not begin with `v=TLSRPTv1;` are discarded before they are counted.
///
/// # Errors
///
/// [`NoRecord`] where none or several are left, or the one that is left is invalid. All three mean
/// that the domain wants no reports.
pub fn select<T: AsRef<[u8]>>(texts: &[T]) -> Result<Parsed<Record>, NoRecord> {
    let mut found = texts.iter().map(AsRef::as_ref).filter(|text| after_version(text).is_some());
    let first = found.next().ok_or(NoRecord::Absent)?;
    match found.count() {
        0 => Ok(Record::parse(first)?),
        others => Err(NoRecord::Several(others + 1)),
    }
}

/// Why a domain publishes no usable TLSRPT record.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum NoRecord {
    /// There is no TXT record, or none is a TLSRPT record.
    #[error("no TLSRPT record is published")]
    Absent,
    /// There is one, and it is invalid.
    #[error("the TLSRPT record is invalid")]
    Invalid(#[from] RecordError),
    /// There are several, which counts as none (RFC 8460 §3).
    #[error("{0} TLSRPT records are published, which counts as none")]
    Several(usize),
}

/// Why a text is not a TLSRPT record.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum RecordError {
    /// No destination can be used.
    #[error("there is no destination that can be used")]
    NoDestination,
    /// It has no `rua`.
    #[error("there is no rua")]
    NoRua,
    /// It does not begin with `v=TLSRPTv1;`.
    #[error("it does not begin with \"v=TLSRPTv1;\"")]
    NotTlsRpt,
}

/// The fields after the version, and whether a blank stands before its delimiter; nothing where the
/// record does not begin with the version.
fn after_version(text: &[u8]) -> Option<(&[u8], bool)> {
    let rest = text.strip_prefix(VERSION)?;
    let trimmed = trim_start(rest);
    Some((trimmed.strip_prefix(b";")?, trimmed.len() < rest.len()))
}

/// `bytes` without the blanks at its start: WSP of RFC 5234.
const fn trim_start(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    bytes
}

/// `bytes` without the blanks at its end.
const fn trim_end(mut bytes: &[u8]) -> &[u8] {
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// A record while it is read.
#[derive(Debug, Default)]
struct Reading {
    destinations: Vec<Destination>,
    /// How many URIs have come.
    uris: usize,
    has_rua: bool,
    warnings: Warnings,
}

impl Reading {
    /// Reads a field, the blanks around it taken off.
    fn field(&mut self, field: &[u8], number: usize, last: usize) {
        if field.is_empty() {
            // A delimiter may end the record, and blanks may follow it.
            if number < last {
                self.warnings.add(Warning::EmptyField);
            }
        } else if let Some(uris) = field.strip_prefix(b"rua=") {
            self.has_rua = true;
            self.rua(&String::from_utf8_lossy(uris));
        } else if !is_extension(field) {
            self.warnings.add(Warning::MalformedExtension { number });
        } else if field.get(..4).is_some_and(|start| start.eq_ignore_ascii_case(b"rua=")) {
            self.warnings.add(Warning::OtherCase { number });
        }
    }

    /// Reads the URIs of a `rua` field.
    fn rua(&mut self, uris: &str) {
        for uri in uris.split(',').take(FIELDS_MAX) {
            let uri = uri.trim_matches([' ', '\t']);
            if uri.is_empty() {
                self.warnings.add(Warning::EmptyField);
                continue;
            }
            self.uris += 1;
            self.uri(uri, self.uris);
        }
    }

    /// Reads a URI.
    fn uri(&mut self, uri: &str, number: usize) {
        match Destination::parse(uri, number, &mut self.warnings) {
            Err(why) => self.warnings.add(Warning::Unusable { number, why }),
            Ok(destination) if self.destinations.contains(&destination) => {
                self.warnings.add(Warning::Repeated { number });
            }
            Ok(_) if self.destinations.len() == DESTINATIONS_MAX => {
                self.warnings.add(Warning::TooManyDestinations { number });
            }
            Ok(destination) => self.destinations.push(destination),
        }
    }

    /// What was read.
    fn end(self) -> Result<Parsed<Record>, RecordError> {
        if !self.has_rua {
            Err(RecordError::NoRua)
        } else if self.destinations.is_empty() {
            Err(RecordError::NoDestination)
        } else {
            Ok(self.warnings.about(Record { destinations: self.destinations }))
        }
    }
}

/// `tlsrpt-extension` of RFC 8460 §3.
fn is_extension(field: &[u8]) -> bool {
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-.".contains(byte);
    let is_value = |byte: &u8| byte.is_ascii_graphic() && *byte != b'=';
    let mut parts = field.splitn(2, |byte| *byte == b'=');
    let name = parts.next().unwrap_or_default();
    let value = parts.next().unwrap_or_default();
    name.first().is_some_and(u8::is_ascii_alphanumeric)
        && name.len() <= 32
        && name.iter().all(is_name)
        && !value.is_empty()
        && value.iter().all(is_value)
}

#[cfg(test)]
mod tests;
