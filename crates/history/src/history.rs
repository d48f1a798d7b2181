//! Reading a history: what became of mail, from its files, whether a relay runs or not.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use mail::QueueId;
use rusqlite::{Connection, OptionalExtension as _, params_from_iter};
use serde::{Deserialize, Serialize};

use crate::address::AddressKey;
use crate::error::HistoryError;
use crate::facts::{Attempt, Decision, Session};
use crate::files::{Files, SegmentFile};
use crate::forget::forget;
use crate::gap::Gap;
use crate::proof::Proof;
use crate::query::{Conditions, Indexed, Order, Query};
use crate::row::{AttemptRow, GapRow, Row};
use crate::sql::{about, connect_to_read, damaged, fact, number};
use crate::verify::{Verified, verify};

/// A history that is read.
#[derive(Clone, Debug)]
pub struct History {
    files: Files,
}

/// What was found.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Found {
    /// The records, the newest first.
    pub records: Vec<FoundRecord>,
    /// Whether there are more than were asked for.
    pub more: bool,
    /// Files that could not be read, and why.
    pub unreadable: Vec<String>,
}

/// A record that was found.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum FoundRecord {
    /// An attempt.
    Attempt {
        /// The record's number.
        number: u64,
        /// The attempt by itself. Addresses are those that were kept.
        #[serde(flatten)]
        attempt: Box<Attempt>,
        /// What the policy asked for.
        policy: Decision,
        /// The session, if there was one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        session: Option<Box<Session>>,
    },
    /// Attempts that have no record.
    Gap {
        /// The record's number.
        number: u64,
        /// The gap.
        #[serde(flatten)]
        gap: Gap,
    },
}

/// How much there is.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Stats {
    /// How many segments.
    pub segments: u64,
    /// How many bytes they take.
    pub bytes: u64,
    /// How many records.
    pub records: u64,
    /// The number of the first record; absent where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<u64>,
    /// The number of the last record; absent where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<u64>,
    /// When the oldest segment was begun, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<u64>,
    /// Files that could not be read, and why.
    pub unreadable: Vec<String>,
}

impl History {
    /// The history in this directory.
    #[must_use]
    pub fn in_dir(dir: impl Into<PathBuf>) -> Self {
        Self { files: Files::new(dir.into()) }
    }

    /// Up to `limit` records that meet `query`, the newest first. A gap is among them only where
    /// nothing but times is asked for. Blocks: reads the disk.
    ///
    /// # Errors
    ///
    /// [`HistoryError`] where the directory could not be read. A file that cannot be read is named in
    /// what is found.
    pub fn find(&self, query: &Query, limit: usize) -> Result<Found, HistoryError> {
        let (mut records, mut more) = (Vec::new(), false);
        let unreadable = self.visit(query, Order::NewestFirst, |record| {
            more = records.len() == limit;
            if more {
                return ControlFlow::Break(());
            }
            records.push(record);
            ControlFlow::Continue(())
        })?;
        Ok(Found { records, more, unreadable })
    }

    /// Hands all records that meet `query` to `visitor`, until it has enough; which files could not be
    /// read, and why. Blocks: reads the disk.
    ///
    /// # Errors
    ///
    /// [`HistoryError`] where the directory could not be read.
    pub fn visit(
        &self,
        query: &Query,
        order: Order,
        mut visitor: impl FnMut(FoundRecord) -> ControlFlow<()>,
    ) -> Result<Vec<String>, HistoryError> {
        let (mut segments, mut unreadable) = (self.files.segments()?, Vec::new());
        if order == Order::NewestFirst {
            segments.reverse();
        }
        for file in &segments {
            match self.visit_segment(file, query, order, &mut visitor) {
                Ok(ControlFlow::Break(())) => break,
                Ok(ControlFlow::Continue(())) => {}
                Err(error) => unreadable.push(error.to_string()),
            }
        }
        Ok(unreadable)
    }

    /// How much there is. Blocks: reads the disk.
    ///
    /// # Errors
    ///
    /// [`HistoryError`] where the directory could not be read.
    pub fn stats(&self) -> Result<Stats, HistoryError> {
        let mut stats = Stats::default();
        for file in self.files.segments()? {
            stats.segments = stats.segments.saturating_add(1);
            stats.bytes = stats.bytes.saturating_add(file.size());
            match span_of(&file) {
                Ok((since, span)) => {
                    stats.since = stats.since.or(Some(since));
                    let Some((first, last, count)) = span else { continue };
                    stats.records = stats.records.saturating_add(count);
                    stats.first = stats.first.or(Some(first));
                    stats.last = Some(last);
                }
                Err(error) => stats.unreadable.push(error.to_string()),
            }
        }
        Ok(stats)
    }

    /// Whether nothing was changed, removed or put in: reads all of it. Blocks.
    ///
    /// # Errors
    ///
    /// [`HistoryError`] where the directory could not be read.
    pub fn verify(&self) -> Result<Verified, HistoryError> {
        Ok(verify(&self.files.segments()?))
    }

    /// The same of one segment by itself; none where the path is not that of a segment. Blocks.
    #[must_use]
    pub fn verify_segment(path: &Path) -> Option<Verified> {
        SegmentFile::at(path.to_owned()).map(|file| verify(&[file]))
    }

    /// A proof of what became of a message; none where nothing is known of it. Blocks: reads the disk.
    ///
    /// # Errors
    ///
    /// [`HistoryError`]: a segment could not be read, or its records cannot be proved.
    pub fn proof(&self, message: QueueId) -> Result<Option<Proof>, HistoryError> {
        let (mut proof, id) = (Proof::new(), message.to_string());
        for file in self.files.segments()? {
            proof.add(&file, &id)?;
        }
        Ok((!proof.records.is_empty()).then_some(proof))
    }

    /// Removes an address that is kept in clear; in how many segments it was. Blocks: writes to the disk.
    ///
    /// # Errors
    ///
    /// [`HistoryError`]: what could not be written may have it still.
    pub fn forget(&self, address: &str) -> Result<usize, HistoryError> {
        let mut places = 0_usize;
        for file in self.files.segments()? {
            let removed = forget(&file, &self.keys(&file)?, address)?;
            places = places.saturating_add(usize::from(removed > 0));
        }
        Ok(places)
    }

    /// Hands the records of one segment that meet a query to `visitor`.
    fn visit_segment(
        &self,
        file: &SegmentFile,
        query: &Query,
        order: Order,
        visitor: &mut impl FnMut(FoundRecord) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, HistoryError> {
        let connection = connect_to_read(file)?;
        let indexed = match about(&connection, file, "closed_at")? {
            Some(_) => Indexed::Yes,
            None => Indexed::NotYet,
        };
        let conditions = Conditions::of(query, &self.keys(file)?, indexed);
        let sql = conditions.select(order);
        let failed = || HistoryError::segment(&file.path);
        let mut statement = connection.prepare(&sql).map_err(failed())?;
        let mut rows = statement.query(params_from_iter(conditions.values)).map_err(failed())?;
        let mut facts = Facts { connection: &connection, file, known: HashMap::new() };
        while let Some(row) = rows.next().map_err(failed())? {
            let text: String = row.get(0).map_err(failed())?;
            let (decision, session) =
                (row.get(1).map_err(failed())?, row.get(2).map_err(failed())?);
            if visitor(facts.whole(&text, decision, session)?).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// The keys under which addresses in a segment may be hashed.
    fn keys(&self, file: &SegmentFile) -> Result<Vec<AddressKey>, HistoryError> {
        let mut keys = self.files.keys()?;
        keys.extend(file.key()?);
        Ok(keys)
    }
}

/// When a segment was begun, and the first number, the last, and how many records there are.
#[expect(clippy::type_complexity, reason = "it is taken apart at once")]
fn span_of(file: &SegmentFile) -> Result<(u64, Option<(u64, u64, u64)>), HistoryError> {
    let connection = connect_to_read(file)?;
    let since = number(&connection, file, "opened_at")?;
    let span = connection
        .query_row("SELECT min(number), max(number), count(*) FROM record", [], |row| {
            let (first, last, count): (Option<i64>, Option<i64>, i64) =
                (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok(first.zip(last).map(|(first, last)| (first, last, count)))
        })
        .map_err(HistoryError::segment(&file.path))?;
    let unsigned = |number: i64| u64::try_from(number).unwrap_or(0);
    Ok((since, span.map(|(a, b, c)| (unsigned(a), unsigned(b), unsigned(c)))))
}

/// What the records of a segment share.
struct Facts<'a> {
    connection: &'a Connection,
    file: &'a SegmentFile,
    /// Facts that were read, and addresses by what they are looked for by.
    known: HashMap<i64, String>,
}

impl Facts<'_> {
    /// A record with what it only names.
    fn whole(
        &mut self,
        text: &str,
        decision: Option<i64>,
        session: Option<i64>,
    ) -> Result<FoundRecord, HistoryError> {
        match self.read::<Row>(text)? {
            Row::Gap(GapRow { number, gap }) => Ok(FoundRecord::Gap { number, gap }),
            Row::Attempt(row) => {
                let AttemptRow { number, attempt, .. } = *row;
                let attempt = Box::new(self.with_addresses(attempt)?);
                let policy = self.fact(decision)?.map(|text| self.read(&text)).transpose()?;
                let policy = policy.unwrap_or_else(Decision::lost);
                let session = self.fact(session)?.map(|text| self.read(&text)).transpose()?;
                Ok(FoundRecord::Attempt { number, attempt, policy, session })
            }
        }
    }

    /// The attempt with the addresses that can be read.
    fn with_addresses(&self, attempt: Attempt) -> Result<Attempt, HistoryError> {
        let sender = attempt.sender.map(|hash| self.address(hash)).transpose()?;
        let recipients: Result<Vec<_>, _> =
            attempt.recipients.into_iter().map(|hash| self.address(hash)).collect();
        Ok(Attempt { sender, recipients: recipients?, ..attempt })
    }

    /// An address, if it can be read; else what it is looked for by.
    fn address(&self, hash: String) -> Result<String, HistoryError> {
        let address = self
            .connection
            .prepare_cached("SELECT address FROM address WHERE hash = ?1")
            .and_then(|mut select| select.query_row([&hash], |row| row.get(0)).optional());
        Ok(address.map_err(HistoryError::segment(&self.file.path))?.unwrap_or(hash))
    }

    /// The text of a fact.
    fn fact(&mut self, id: Option<i64>) -> Result<Option<String>, HistoryError> {
        let Some(id) = id else { return Ok(None) };
        if let Some(text) = self.known.get(&id) {
            return Ok(Some(text.clone()));
        }
        let text = fact(self.connection, self.file, id)?;
        self.known.insert(id, text.clone());
        Ok(Some(text))
    }

    /// What a text says.
    fn read<T: for<'de> Deserialize<'de>>(&self, text: &str) -> Result<T, HistoryError> {
        serde_json::from_str(text)
            .map_err(|_malformed| damaged(self.file, "a record cannot be read"))
    }
}
