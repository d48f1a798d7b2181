//! The TXT record at `_mta-sts.DOMAIN` (RFC 8461 §3.1).
//!
//! It says that there is a policy and gives its id; the policy itself comes over HTTPS.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::parsed::{
    Parsed, Warning, Warnings, is_extension_name, trim_blanks, trim_blanks_end, trim_blanks_start,
};

/// What an STS record begins with.
const VERSION: &[u8] = b"v=STSv1";

/// The longest id (RFC 8461 §3.1).
const ID_MAX: usize = 32;

/// The most fields of a record that are read: one has two, and a TXT record of 64 KiB has room for
/// 65,000 where the sender of mail reads it at each attempt.
const FIELDS_MAX: usize = 256;

/// The id of one version of a policy: 1 to 32 letters and digits (RFC 8461 §3.1).
///
/// Ids are compared as they are, case included; one says nothing about which is newer.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct PolicyId(Arc<str>);

impl PolicyId {
    /// Parses an id.
    ///
    /// # Errors
    ///
    /// [`RecordError::BadId`] where it is anything but 1 to 32 letters and digits.
    pub fn parse(text: &str) -> Result<Self, RecordError> {
        let fits = (1..=ID_MAX).contains(&text.len());
        if fits && text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            Ok(Self(text.into()))
        } else {
            Err(RecordError::BadId)
        }
    }

    /// The id as it was published.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PolicyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for PolicyId {
    type Error = RecordError;

    fn try_from(text: String) -> Result<Self, RecordError> {
        Self::parse(&text)
    }
}

impl From<PolicyId> for String {
    fn from(id: PolicyId) -> Self {
        id.as_str().to_owned()
    }
}

/// An STS record.
///
/// ```
/// use mta_sts::Record;
///
/// let parsed = Record::parse(b"v=STSv1; id=20160831085700Z;")?;
/// assert_eq!(parsed.value.id.as_str(), "20160831085700Z");
/// assert!(parsed.warnings.is_empty());
/// # Ok::<(), mta_sts::RecordError>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Record {
    /// Which version of the policy is published.
    pub id: PolicyId,
}

impl Record {
    /// Reads one TXT record, its character-strings joined without blanks (RFC 8461 §3.1).
    ///
    /// Unknown fields are ignored, and of a repeated field the first counts, whatever the later
    /// ones say (RFC 8461 §3.1). No more than 256 fields are read.
    /// Accepted with a warning: blanks at the end, delimiters together, malformed extensions.
    ///
    /// # Errors
    ///
    /// [`RecordError`] where the record is not an STS record or there is doubt about its id.
    pub fn parse(text: &[u8]) -> Result<Parsed<Self>, RecordError> {
        let fields = after_version(text).ok_or(RecordError::NotSts)?;
        let mut warnings = Warnings::default();
        let mut id = None;
        let mut doubtful = false;
        let last = fields.split(|byte| *byte == b';').count();
        for (number, raw) in (1..).zip(fields.split(|byte| *byte == b';')).take(FIELDS_MAX) {
            match Field::read(trim_blanks(raw)) {
                // `[sts-field-delim]` may end the record, and blanks may follow it.
                Field::Empty if number == last => {}
                Field::Empty => warnings.add(Warning::EmptyField),
                Field::Id(value) if id.is_none() => id = Some(read_id(value)?),
                // Of a repeated field the first counts, whatever the later ones say.
                Field::Extension | Field::Id(_) => {}
                Field::OtherCase => warnings.add(Warning::OtherCase { number }),
                Field::Malformed => warnings.add(Warning::MalformedExtension { number }),
                Field::Doubtful => doubtful = true,
            }
            if number == last && has_trailing_blanks(raw) {
                warnings.add(Warning::TrailingWhitespace);
            }
        }
        match id {
            Some(_) if doubtful => Err(RecordError::DoubtfulId),
            Some(id) => Ok(warnings.about(Self { id })),
            None => Err(RecordError::NoId),
        }
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v=STSv1; id={};", self.id)
    }
}

/// Finds the one STS record among the TXT records of `_mta-sts.DOMAIN` (RFC 8461 §3.1).
///
/// Records that do not begin with `v=STSv1;` are discarded before they are counted.
///
/// # Errors
///
/// [`NoRecord`] where none or several are left, or the one that is left is invalid. All three mean
/// that no policy is published; none of them removes a policy that is cached (RFC 8461 §5.1).
pub fn select<T: AsRef<[u8]>>(texts: &[T]) -> Result<Parsed<Record>, NoRecord> {
    let mut found = texts.iter().map(AsRef::as_ref).filter(|text| after_version(text).is_some());
    let first = found.next().ok_or(NoRecord::Absent)?;
    match found.count() {
        0 => Ok(Record::parse(first)?),
        others => Err(NoRecord::Several(others + 1)),
    }
}

/// Why a domain publishes no usable STS record.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum NoRecord {
    /// There is no TXT record, or none is an STS record.
    #[error("no STS record is published")]
    Absent,
    /// There is one, and it is invalid.
    #[error("the STS record is invalid")]
    Invalid(#[from] RecordError),
    /// There are several, which counts as none (RFC 8461 §3.1).
    #[error("{0} STS records are published, which counts as none")]
    Several(usize),
}

impl NoRecord {
    /// A word for a metric or a table.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Invalid(_) => "invalid",
            Self::Several(_) => "several",
        }
    }
}

/// Why a text is not an STS record.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum RecordError {
    /// The id is not 1 to 32 letters and digits.
    #[error("the id is not 1 to 32 letters and digits")]
    BadId,
    /// Beside the id stands a malformed field that may have been meant as one.
    #[error("a malformed field may have been meant as the id")]
    DoubtfulId,
    /// There is no id.
    #[error("there is no id")]
    NoId,
    /// It does not begin with `v=STSv1;`.
    #[error("it does not begin with \"v=STSv1;\"")]
    NotSts,
}

impl RecordError {
    /// A word for a metric or a table.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::BadId => "bad id",
            Self::DoubtfulId => "doubtful id",
            Self::NoId => "no id",
            Self::NotSts => "not v=STSv1;",
        }
    }
}

/// The fields after `v=STSv1;`, or nothing where the record does not begin so.
fn after_version(text: &[u8]) -> Option<&[u8]> {
    trim_blanks_start(text.strip_prefix(VERSION)?).strip_prefix(b";")
}

fn read_id(value: &[u8]) -> Result<PolicyId, RecordError> {
    PolicyId::parse(str::from_utf8(value).unwrap_or_default())
}

fn has_trailing_blanks(raw: &[u8]) -> bool {
    let kept = trim_blanks_end(raw);
    !kept.is_empty() && kept.len() < raw.len()
}

/// What stands between two delimiters.
enum Field<'t> {
    /// Not a valid field, and so close to an id that ignoring it would be a guess.
    Doubtful,
    Empty,
    Extension,
    Id(&'t [u8]),
    Malformed,
    /// A valid extension whose name is `id` but for the case.
    OtherCase,
}

impl<'t> Field<'t> {
    fn read(field: &'t [u8]) -> Self {
        if field.is_empty() {
            return Self::Empty;
        }
        if let Some(id) = field.strip_prefix(b"id=") {
            return Self::Id(id);
        }
        let equals = field.iter().position(|byte| *byte == b'=');
        let (name, value) =
            equals.and_then(|at| field.split_at_checked(at)).unwrap_or((field, b""));
        let value = value.strip_prefix(b"=").unwrap_or_default();
        let valid = is_extension_name(name) && is_extension_value(value);
        match (valid, resembles_id(name)) {
            (true, true) => Self::OtherCase,
            (true, false) => Self::Extension,
            (false, true) => Self::Doubtful,
            (false, false) => Self::Malformed,
        }
    }
}

/// `1*(%x21-3A / %x3C / %x3E-7E)`: visible, and neither `;` nor `=`.
fn is_extension_value(value: &[u8]) -> bool {
    !value.is_empty() && value.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'=')
}

/// Whether the name is `id` in any case, or begins with it and goes on as no name can.
fn resembles_id(name: &[u8]) -> bool {
    let name = trim_blanks(name);
    let goes_on = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-.".contains(byte);
    match name.split_at_checked(2) {
        Some((start, rest)) => {
            start.eq_ignore_ascii_case(b"id") && !rest.first().is_some_and(goes_on)
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(text: &str) -> Result<String, RecordError> {
        Record::parse(text.as_bytes()).map(|parsed| parsed.value.id.to_string())
    }

    fn warnings(text: &str) -> Vec<&'static str> {
        Record::parse(text.as_bytes()).unwrap().warnings.iter().map(Warning::label).collect()
    }

    #[test]
    fn the_first_of_a_repeated_id_wins() {
        assert_eq!(id("v=STSv1; id=a; id=b").unwrap(), "a");
        assert!(warnings("v=STSv1; id=a; id=b").is_empty());
        for later in ["id=", "id=b-c", "id= ", "id==", "id=b c", "v=STSv2", "v=", "id=a\u{7f}"] {
            assert_eq!(id(&format!("v=STSv1; id=a; {later};")).unwrap(), "a", "{later}");
        }
        for first in ["id=", "id=b-c", "id=b c"] {
            assert_eq!(id(&format!("v=STSv1; {first}; id=a")), Err(RecordError::BadId), "{first}");
        }
    }

    #[test]
    fn repeated_and_empty_delimiters_are_accepted_with_a_warning() {
        for text in ["v=STSv1;;id=a", "v=STSv1; ; id=a;", "v=STSv1; id=a;;", "v=STSv1; id=a; ; "] {
            assert_eq!(id(text).unwrap(), "a");
            assert_eq!(warnings(text), ["empty field"], "{text}");
        }
        assert!(warnings("v=STSv1; id=a ; \t").is_empty());
    }

    #[test]
    fn a_field_that_may_be_meant_as_the_id_is_not_ignored() {
        for text in [
            "v=STSv1; id = b; id=a",
            "v=STSv1; id=a; id",
            "v=STSv1; id=a; ID =b",
            "v=STSv1; id=a; id:b",
            "v=STSv1; id=a; Id=",
        ] {
            assert_eq!(id(text), Err(RecordError::DoubtfulId), "{text}");
        }
        assert_eq!(warnings("v=STSv1; ID=b; id=a"), ["other case"]);
        assert_eq!(warnings("v=STSv1; idea; id=a"), ["malformed extension"]);
        assert!(warnings("v=STSv1; id.2=b; id=a").is_empty());
    }

    #[test]
    fn other_txt_records_are_discarded_and_two_sts_records_count_as_none() {
        let other = "v=spf1 -all";
        assert_eq!(select(&[other, "v=STSv1; id=a"]).unwrap().value.id.as_str(), "a");
        assert_eq!(select(&[other, "v=STSv2; id=b"]), Err(NoRecord::Absent));
        assert_eq!(select::<&str>(&[]), Err(NoRecord::Absent));
        assert_eq!(select(&["v=STSv1; id=a", "v=STSv1; id=a"]), Err(NoRecord::Several(2)));
        assert_eq!(select(&["v=STSv1; id=a", "v=STSv1;"]), Err(NoRecord::Several(2)));
        assert_eq!(select(&["v=STSv1;"]), Err(NoRecord::Invalid(RecordError::NoId)));
    }

    fn blanks() -> &'static str {
        "[ \t]{0,3}"
    }

    proptest! {
        #[test]
        fn reading_a_record_never_panics(text in prop::collection::vec(any::<u8>(), 0..200)) {
            drop(Record::parse(&text));
            drop(Record::parse(&[b"v=STSv1;", text.as_slice()].concat()));
        }

        #[test]
        fn reading_a_printed_record_gives_it_back(id in "[A-Za-z0-9]{1,32}") {
            let record = Record { id: PolicyId::parse(&id).unwrap() };
            let parsed = Record::parse(record.to_string().as_bytes()).unwrap();
            prop_assert_eq!(parsed, Parsed { value: record, warnings: vec![] });
        }

        #[test]
        fn a_warning_never_changes_the_id(
            id in "[A-Za-z0-9]{1,32}",
            noise in prop::collection::vec("[^;=]{0,12}|[b-z=]{0,8}|I?D?=?[a-z]{0,3}", 0..6),
            place in 0usize..6,
            before in blanks(),
            after in blanks(),
        ) {
            let mut fields = noise;
            fields.retain(|field| !field.trim().starts_with("id="));
            let place = place.min(fields.len());
            fields.insert(place, format!("id={id}"));
            let text = format!("v=STSv1{before};{after}{}{after}", fields.join(&format!("{before};{after}")));
            if let Ok(parsed) = Record::parse(text.as_bytes()) {
                prop_assert_eq!(parsed.value.id.as_str(), id);
            }
        }
    }
}
