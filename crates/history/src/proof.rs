//! A proof of what became of a message: its records, all that they name, and the way from each to a
//! link of the chain that went to the log. It can be checked anywhere, and says nothing of other mail.

use std::collections::{BTreeSet, HashSet};

use rusqlite::{Connection, OptionalExtension as _, params};
use serde::{Deserialize, Serialize};

use crate::chain::{Link, Rule};
use crate::digest::{Digest, hex, unhex};
use crate::error::HistoryError;
use crate::files::SegmentFile;
use crate::kept::BlobKind;
use crate::names::names_in;
use crate::row::Row;
use crate::sql::{about, before, check_format, connect_to_read, damaged, integer};

/// The form of a proof.
const FORM: u32 = 1;

/// A proof of what became of a message (`docs/history-format.md`).
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Proof {
    /// Its form, which is 1.
    pub proof: u32,
    /// The name of the relay.
    pub relay: String,
    /// The records of the message's attempts, the oldest first.
    pub records: Vec<ProvenRecord>,
    /// The texts of what they name.
    pub facts: Vec<String>,
    /// Certificates and policies that the facts name.
    pub blobs: Vec<ProvenBlob>,
}

/// A record, and the way from it to a link of the chain.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ProvenRecord {
    /// The link before the record.
    pub before: String,
    /// The record's text.
    pub text: String,
    /// The SHA-256 of the texts that follow it, up to that of the link.
    pub after: Vec<String>,
    /// The number of the record that has the link.
    pub number: u64,
    /// The link.
    pub link: String,
    /// When it went to the log, in milliseconds since 1970; absent: it had not when the proof was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed_at: Option<u64>,
}

/// A certificate or the text of a policy.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ProvenBlob {
    /// `certificate` or `policy`.
    pub kind: String,
    /// Its octets, in hexadecimal digits.
    pub hex: String,
}

impl Proof {
    /// A proof that has no record yet.
    pub(crate) fn new() -> Self {
        Self { proof: FORM, ..Self::default() }
    }

    /// Adds the records of a message that a segment has.
    pub(crate) fn add(&mut self, file: &SegmentFile, queue_id: &str) -> Result<(), HistoryError> {
        let connection = connect_to_read(file)?;
        let failed = || HistoryError::segment(&file.path);
        let rows = (|| {
            let sql = "SELECT number, text, decision, session FROM record WHERE queue_id = ?1 \
                       ORDER BY number";
            let mut select = connection.prepare(sql)?;
            let rows = select.query_map([queue_id], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
            })?;
            rows.collect::<rusqlite::Result<Vec<(i64, String, Option<i64>, Option<i64>)>>>()
        })();
        let rows = rows.map_err(failed())?;
        if rows.is_empty() {
            return Ok(());
        }
        if Rule::of_format(check_format(&connection, file)?) == Rule::OfTexts {
            return Err(HistoryError::Unprovable { path: file.path.clone() });
        }
        self.relay = about(&connection, file, "relay")?.unwrap_or_default();
        for (number, text, decision, session) in rows {
            self.records.push(proven(&connection, file, number, text)?);
            for id in [decision, session].into_iter().flatten() {
                self.add_fact(&connection, id).map_err(failed())?;
            }
        }
        Ok(())
    }

    /// Adds a fact, and what it names, once.
    fn add_fact(&mut self, connection: &Connection, id: i64) -> rusqlite::Result<()> {
        let select = "SELECT text FROM fact WHERE id = ?1";
        let text: Option<String> =
            connection.query_row(select, [id], |row| row.get(0)).optional()?;
        let Some(text) = text.filter(|text| !self.facts.contains(text)) else { return Ok(()) };
        for (_kind, digest) in names_in(&text) {
            let select = "SELECT kind, octets FROM blob WHERE sha256 = ?1";
            let found: Option<(String, Vec<u8>)> = connection
                .query_row(select, [digest.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?;
            let blob = found.map(|(kind, octets)| ProvenBlob { kind, hex: hex(&octets) });
            self.blobs.extend(blob.filter(|blob| !self.blobs.contains(blob)));
        }
        self.facts.push(text);
        Ok(())
    }

    /// What is wrong with it: nothing, if all of it is what was written before the links went to the log.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        if self.proof != FORM {
            return vec![format!("its form is {}, and this program knows {FORM}", self.proof)];
        }
        let facts: HashSet<String> =
            self.facts.iter().map(|text| digest_of(text.as_bytes())).collect();
        let mut faults: Vec<String> = Vec::new();
        if self.records.is_empty() {
            faults.push("it has no record".to_owned());
        }
        let mut named = BTreeSet::new();
        for (place, record) in self.records.iter().enumerate() {
            let place = place.saturating_add(1);
            let wrong = record.fault(&facts, &mut named);
            faults.extend(wrong.map(|what| format!("record {place}: {what}")));
        }
        let strange = facts.iter().filter(|digest| !named.contains(*digest));
        faults.extend(strange.map(|_| "a fact is of no record".to_owned()));
        let of_facts: Vec<_> = self.facts.iter().flat_map(|text| names_in(text)).collect();
        for ProvenBlob { kind, hex } in &self.blobs {
            let digest = unhex(hex).map(|octets| Digest::of(&[&octets]));
            let is_it =
                |(named, of): &(BlobKind, Digest)| named.word() == kind && Some(*of) == digest;
            if !of_facts.iter().any(is_it) {
                faults.push(format!("a {kind} is not one that a fact names"));
            }
        }
        faults
    }
}

impl ProvenRecord {
    /// What is wrong with the record; `named` gets the facts that it names.
    fn fault(&self, facts: &HashSet<String>, named: &mut BTreeSet<String>) -> Option<&'static str> {
        let Ok(Row::Attempt(row)) = serde_json::from_str(&self.text) else {
            return Some("its text is not that of an attempt");
        };
        let Some(before) = Link::parse(&self.before) else {
            return Some("the link before is none");
        };
        let mut link = before.next(Rule::OfDigests, &self.text);
        for digest in &self.after {
            let Some(digest) = Digest::parse(digest) else {
                return Some("a digest after it is none");
            };
            link = link.next_of(&digest);
        }
        if link.to_string() != self.link {
            return Some("the chain from it does not lead to the link");
        }
        let length = u64::try_from(self.after.len()).unwrap_or(u64::MAX);
        if row.number.saturating_add(length) != self.number {
            return Some("the link is that of another number");
        }
        for digest in [Some(&row.decision), row.session.as_ref()].into_iter().flatten() {
            named.insert(digest.clone());
            if !facts.contains(digest) && !row.lost.0 {
                return Some("a fact that it names is missing");
            }
        }
        None
    }
}

/// A record, with the way to the next link that went to the log, or to the last one there is.
fn proven(
    connection: &Connection,
    file: &SegmentFile,
    number: i64,
    text: String,
) -> Result<ProvenRecord, HistoryError> {
    let failed = || HistoryError::segment(&file.path);
    let link_of = |number: i64| {
        let select = "SELECT link FROM record WHERE number = ?1";
        connection.query_row(select, [number], |row| row.get::<_, Vec<u8>>(0))
    };
    let as_link =
        |octets: &[u8]| Link::read(octets).ok_or_else(|| damaged(file, "a link is cut short"));
    let previous = if number == integer(file.first) {
        before(connection, file)?
    } else {
        as_link(&link_of(number.saturating_sub(1)).map_err(failed())?)?
    };
    let select = "SELECT number, at FROM seal WHERE number >= ?1 ORDER BY number LIMIT 1";
    let seal: Option<(i64, i64)> = connection
        .query_row(select, [number], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()
        .map_err(failed())?;
    let (last, sealed_at) = match seal {
        Some((number, at)) => (number, Some(u64::try_from(at).unwrap_or(0))),
        None => {
            let select = "SELECT max(number) FROM record";
            (connection.query_row(select, [], |row| row.get(0)).map_err(failed())?, None)
        }
    };
    let after = (|| {
        let select = "SELECT text FROM record WHERE number > ?1 AND number <= ?2 ORDER BY number";
        let mut select = connection.prepare(select)?;
        let texts = select.query_map(params![number, last], |row| row.get::<_, String>(0))?;
        let digests = texts.map(|text| text.map(|text| digest_of(text.as_bytes())));
        digests.collect::<rusqlite::Result<Vec<String>>>()
    })();
    Ok(ProvenRecord {
        before: previous.to_string(),
        text,
        after: after.map_err(failed())?,
        number: u64::try_from(last).unwrap_or(0),
        link: as_link(&link_of(last).map_err(failed())?)?.to_string(),
        sealed_at,
    })
}

/// The SHA-256 of octets, as text.
fn digest_of(octets: &[u8]) -> String {
    Digest::of(&[octets]).to_string()
}
