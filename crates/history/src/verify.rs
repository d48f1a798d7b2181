//! Whether a history is what was written: each link is made again, and compared.

use std::path::Path;

use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use crate::chain::{Link, Rule};
use crate::digest::Digest;
use crate::error::HistoryError;
use crate::file_digest::has_its_digest;
use crate::files::SegmentFile;
use crate::proof::{Proof, ProvenRecord};
use crate::row::Row;
use crate::sql::{about, before, check_format, check_whole, connect_to_read, integer};

/// No more faults are told one by one.
const FAULTS_MOST: usize = 100;

/// What a verification found.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Verified {
    /// How many segments were read.
    pub segments: u64,
    /// How many records.
    pub records: u64,
    /// The number of the last record that is right, and its link: to be compared with a seal in a log
    /// that is kept elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<(u64, String)>,
    /// What must be in the log, where it is a proof that was verified.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub seals: Vec<Seal>,
    /// What is not as it was written: the first hundred.
    pub faults: Vec<Fault>,
}

/// A link that went to the log.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Seal {
    /// The number of the record that has it.
    pub number: u64,
    /// The link.
    pub link: String,
    /// When, in milliseconds since 1970.
    pub at: u64,
}

/// Something that is not as it was written.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Fault {
    /// The file.
    pub file: String,
    /// The record; absent: the file as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u64>,
    /// What is wrong.
    pub what: String,
}

impl Verified {
    /// What a verification of a proof, which is at `path`, finds.
    #[must_use]
    pub fn of_proof(proof: &Proof, path: &Path) -> Self {
        let mut verified = Self::default();
        let file = path.display().to_string();
        let fault = |what| Fault { file: file.clone(), number: None, what };
        verified.faults = proof.faults().into_iter().take(FAULTS_MOST).map(fault).collect();
        verified.records = u64::try_from(proof.records.len()).unwrap_or(u64::MAX);
        for ProvenRecord { number, link, sealed_at, .. } in &proof.records {
            verified.head = Some((*number, link.clone()));
            let seal = sealed_at.map(|at| Seal { number: *number, link: link.clone(), at });
            verified.seals.extend(seal.filter(|seal| !verified.seals.contains(seal)));
        }
        verified
    }

    /// Notes a fault.
    fn fault(&mut self, file: &SegmentFile, number: Option<u64>, what: impl Into<String>) {
        if self.faults.len() < FAULTS_MOST {
            let file = file.path.display().to_string();
            self.faults.push(Fault { file, number, what: what.into() });
        }
    }
}

/// Verifies segments, the oldest first.
pub(crate) fn verify(segments: &[SegmentFile]) -> Verified {
    let mut verified = Verified::default();
    let mut expected: Option<Link> = None;
    for file in segments {
        verified.segments = verified.segments.saturating_add(1);
        match verify_segment(file, expected, &mut verified) {
            Ok(link) => expected = Some(link),
            Err(error) => {
                verified.fault(file, None, error.to_string());
                expected = None;
            }
        }
    }
    verified
}

/// Verifies one segment; the link that the next one goes on from.
fn verify_segment(
    file: &SegmentFile,
    expected: Option<Link>,
    verified: &mut Verified,
) -> Result<Link, HistoryError> {
    let connection = connect_to_read(file)?;
    let rule = Rule::of_format(check_format(&connection, file)?);
    let mut link = before(&connection, file)?;
    // What stood before the first segment there is was old enough to go.
    if expected.is_some_and(|expected| link != expected) {
        verified.fault(file, None, "it does not go on where the segment before it ends");
    }
    let mut number = file.first;
    let failed = || HistoryError::segment(&file.path);
    let mut statement = connection
        .prepare(
            "SELECT record.number, record.text, record.link, decision.text, session.text FROM record \
             LEFT JOIN fact AS decision ON decision.id = record.decision \
             LEFT JOIN fact AS session ON session.id = record.session ORDER BY record.number",
        )
        .map_err(failed())?;
    let mut rows = statement.query([]).map_err(failed())?;
    while let Some(row) = rows.next().map_err(failed())? {
        let read = (|| {
            let record: (i64, String, Vec<u8>) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let facts: (Option<String>, Option<String>) = (row.get(3)?, row.get(4)?);
            Ok((record, facts))
        })();
        let ((there, text, kept), facts) = read.map_err(failed())?;
        verified.records = verified.records.saturating_add(1);
        if there != integer(number) {
            verified.fault(file, Some(number), "it is missing");
            number = u64::try_from(there).unwrap_or(number);
        }
        link = link.next(rule, &text);
        if Link::read(&kept) != Some(link) {
            verified.fault(file, Some(number), "its text is not what the chain was made of");
            // What follows is judged by itself.
            link = Link::read(&kept).unwrap_or(link);
        } else if let Some(what) = wrong_in(&text, number, facts) {
            verified.fault(file, Some(number), what);
        } else {
            verified.head = Some((number, link.to_string()));
        }
        number = number.saturating_add(1);
    }
    compare_head(&connection, file, link, verified)?;
    compare_octets(&connection, file, verified)?;
    compare_file(&connection, file, verified)?;
    Ok(link)
}

/// Whether what records name by its digest has it.
fn compare_octets(
    connection: &Connection,
    file: &SegmentFile,
    verified: &mut Verified,
) -> Result<(), HistoryError> {
    if check_format(connection, file)? < 2 {
        return Ok(());
    }
    for (table, column) in [("blob", "octets"), ("fact", "text")] {
        let sql = format!("SELECT sha256, CAST({column} AS BLOB) FROM {table}");
        let mut statement = connection.prepare(&sql).map_err(HistoryError::segment(&file.path))?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
        for row in rows.map_err(HistoryError::segment(&file.path))? {
            let (kept, octets): (Vec<u8>, Vec<u8>) =
                row.map_err(HistoryError::segment(&file.path))?;
            if Digest::read(&kept) != Some(Digest::of(&[&octets])) {
                verified.fault(file, None, format!("a {table} has another digest than it says"));
            }
        }
    }
    Ok(())
}

/// Whether a closed segment is, octet by octet, what it was when it closed.
fn compare_file(
    connection: &Connection,
    file: &SegmentFile,
    verified: &mut Verified,
) -> Result<(), HistoryError> {
    // Where the digest is there, the segment need not say that it is closed.
    match has_its_digest(file)? {
        Some(true) => {}
        Some(false) => verified.fault(file, None, "the file is not what it was when it closed"),
        None => {
            let is_closed = about(connection, file, "closed_at")?.is_some();
            if is_closed && check_format(connection, file)? >= 2 {
                verified.fault(file, None, "the file with its digest is missing");
            }
        }
    }
    Ok(())
}

/// Whether a closed segment ends with the link that it says.
fn compare_head(
    connection: &Connection,
    file: &SegmentFile,
    link: Link,
    verified: &mut Verified,
) -> Result<(), HistoryError> {
    let head = about(connection, file, "head")?;
    if head.is_some_and(|head| head != link.to_string()) {
        verified.fault(file, None, "records at its end are missing");
    }
    check_whole(connection, &file.path)
}

/// What is wrong in a record whose link is right: what it names is not what it was, or it does not
/// stand where it says.
fn wrong_in(
    text: &str,
    number: u64,
    facts: (Option<String>, Option<String>),
) -> Option<&'static str> {
    let Ok(row) = serde_json::from_str::<Row>(text) else { return Some("it cannot be read") };
    if row.number() != number {
        return Some("it has another number");
    }
    let Row::Attempt(attempt) = row else { return None };
    let (decision, session) = facts;
    let is_of = |digest: Option<&String>, text: Option<String>| match (digest, text) {
        (Some(digest), Some(text)) => *digest == Digest::of(&[text.as_bytes()]).to_string(),
        (None, None) => true,
        // The record itself says that it was lost.
        (Some(_), None) => attempt.lost.0,
        (None, Some(_)) => false,
    };
    if !is_of(Some(&attempt.decision), decision) {
        return Some("the policy's decision is not what it was");
    }
    (!is_of(attempt.session.as_ref(), session)).then_some("the session is not what it was")
}
