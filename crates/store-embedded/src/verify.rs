//! Comparing the spool with the index, without changing either.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{io, thread};

use mail::QueueId;
use store::{Findings, Problem};

use crate::error::OpenError;
use crate::index::{EngineError, Lookup, for_each};
use crate::key::Key;
use crate::offline::{AtRest, KEPT_FREE, store_row};
use crate::recovery::{check, replay};
use crate::rows::{MessageRow, RecordLocation};
use crate::spool::scan::{Bodies, Body, Found, Record, header_at, scan};
use crate::spool::settled_log::SettledLog;
use crate::spool::{Paths, settled_log_of};

/// How long the committer may take to say in a settled log what has just been settled.
const LOG_LAG: Duration = Duration::from_secs(1);

/// Compares the spool with the index of a queue that no process has open, and changes nothing in
/// its directory. The index is opened in a copy, in the system's directory for temporary files.
///
/// # Errors
///
/// [`OpenError`]; a process that has the queue open is one, too little room for the copy another.
pub fn verify(dir: &Path) -> Result<Findings, OpenError> {
    verify_in(dir, &std::env::temp_dir(), KEPT_FREE)
}

/// The same with the copy in `scratch`, where so many bytes stay free.
pub(crate) fn verify_in(dir: &Path, scratch: &Path, kept_free: u64) -> Result<Findings, OpenError> {
    let rest = AtRest::take(dir, scratch, kept_free)?;
    let AtRest { paths, store, .. } = &rest;
    let findings = rest.open_copy().and_then(|engine| {
        // The copy alone is brought up to date from the journal.
        let replayed = replay(paths, *store, &engine, store_row(&engine)?)?;
        let mut comparison = Comparison::new(&engine, paths, *store);
        comparison.gone = replayed.gone;
        comparison.check_index()?;
        comparison.run()?;
        Ok(comparison.findings)
    });
    Ok(findings.unwrap_or_else(|error| {
        let problems = vec![Problem::Index { why: error.to_string() }];
        Findings { problems, ..Findings::default() }
    }))
}

/// Compares the spool with the index while the store is in use. Reads all of both.
pub(crate) fn findings(
    engine: &dyn Lookup,
    paths: &Paths,
    store: u64,
) -> Result<Findings, EngineError> {
    let mut comparison = Comparison::new(engine, paths, store);
    comparison.run()?;
    Ok(comparison.findings)
}

/// A comparison that is going on.
#[derive(Debug)]
struct Comparison<'a> {
    engine: &'a dyn Lookup,
    paths: &'a Paths,
    store: u64,
    findings: Findings,
    /// Messages that are known to have left the queue.
    gone: HashSet<QueueId>,
    /// Records that may be unknown, or settled so lately that no settled log says so yet.
    suspects: Vec<(QueueId, PathBuf, u32)>,
}

impl<'a> Comparison<'a> {
    /// Nothing compared yet.
    fn new(engine: &'a dyn Lookup, paths: &'a Paths, store: u64) -> Self {
        Self {
            engine,
            paths,
            store,
            findings: Findings::default(),
            gone: HashSet::new(),
            suspects: Vec::new(),
        }
    }

    /// Compares the index with itself; only while nobody changes it.
    fn check_index(&mut self) -> Result<(), EngineError> {
        match check(self.engine, &store_row(self.engine)?) {
            Ok(_waiting) => Ok(()),
            Err(error) if error.is_damage() => {
                self.findings.problems.push(Problem::Index { why: error.to_string() });
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Looks for the record of each message, and for the message of each record.
    fn run(&mut self) -> Result<(), EngineError> {
        let row = store_row(self.engine)?;
        let mark = (row.mark_segment, row.mark_offset);
        self.compare_messages()?;
        for segment in self.paths.segments()? {
            let path = self.paths.segment(segment);
            self.compare_file(&path, |offset| (segment, offset) < mark)?;
        }
        for id in self.paths.bigs()? {
            if self.engine.find(&Key::finished_body(id))?.is_none() {
                self.compare_file(&self.paths.big(id), |_| true)?;
            }
        }
        self.judge_suspects()
    }

    /// Looks for the record of each message.
    fn compare_messages(&mut self) -> Result<(), EngineError> {
        let (engine, paths) = (self.engine, self.paths);
        for_each(engine, Key::first(b'M'), &Key::end(b'M'), |key, value| {
            let id = key.message_id()?;
            self.findings.messages = self.findings.messages.saturating_add(1);
            let row = MessageRow::decode(&value)?;
            // It may have left or moved between the look into the index and the file.
            if let Err(why) = find_record(paths, id, &row)
                && engine.find(&key)? == Some(value)
            {
                self.findings.problems.push(Problem::Record { id, why });
            }
            Ok(())
        })
    }

    /// Looks for the message of each record of a file, as far as the index knows the file.
    fn compare_file(
        &mut self,
        path: &Path,
        is_indexed: impl Fn(u64) -> bool,
    ) -> Result<(), EngineError> {
        let settled = SettledLog::load(&settled_log_of(path))?;
        let scanned = scan(path, self.store, 0, Bodies::Check, |found| match found {
            Found::Record(record) if is_indexed(record.offset) => {
                self.compare_record(path, &record, &settled)
            }
            Found::Damage { offset, size, why } if is_indexed(offset) => {
                let (file, why) = (self.short(path), why.to_owned());
                self.findings.problems.push(Problem::Damage { file, offset, size, why });
                Ok(())
            }
            Found::Changes { .. }
            | Found::Damage { .. }
            | Found::Record(_)
            | Found::Torn { .. } => Ok(()),
        });
        match scanned {
            Err(EngineError::Io(error)) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    /// Looks for the message of a record.
    fn compare_record(
        &mut self,
        path: &Path,
        record: &Record,
        settled: &SettledLog,
    ) -> Result<(), EngineError> {
        let id = record.header.id;
        let is_queued = self.engine.find(&Key::message(id))?.is_some();
        if record.body == Body::Damaged {
            if is_queued {
                let why = "the body's checksum is wrong".to_owned();
                self.findings.problems.push(Problem::Record { id, why });
            }
            return Ok(());
        }
        self.findings.records = self.findings.records.saturating_add(1);
        if !is_queued && !self.gone.contains(&id) {
            let recipients = u32::try_from(record.envelope.recipients().len()).unwrap_or(u32::MAX);
            if !holds_all(settled, id, recipients) {
                self.suspects.push((id, path.to_path_buf(), recipients));
            }
        }
        Ok(())
    }

    /// Looks again at records that nothing was known of.
    fn judge_suspects(&mut self) -> Result<(), EngineError> {
        if self.suspects.is_empty() {
            return Ok(());
        }
        thread::sleep(LOG_LAG);
        let mut log = (PathBuf::new(), SettledLog::default());
        for (id, path, recipients) in std::mem::take(&mut self.suspects) {
            if log.0 != path {
                log = (path.clone(), SettledLog::load(&settled_log_of(&path))?);
            }
            let is_gone = !path.exists() || holds_all(&log.1, id, recipients);
            if !is_gone && self.engine.find(&Key::message(id))?.is_none() {
                let file = self.short(&path);
                self.findings.problems.push(Problem::Unknown { id, file });
            }
        }
        Ok(())
    }

    /// The path within the store.
    fn short(&self, path: &Path) -> PathBuf {
        path.strip_prefix(self.paths.root()).unwrap_or(path).to_path_buf()
    }
}

/// Whether a settled log says that all recipients of a message are settled.
fn holds_all(settled: &SettledLog, id: QueueId, recipients: u32) -> bool {
    (0..recipients).all(|recipient| settled.holds(id, recipient))
}

/// Looks for a message's header where the index says it is.
fn find_record(paths: &Paths, id: QueueId, row: &MessageRow) -> Result<(), String> {
    let offset = match row.place {
        RecordLocation::Big => 0,
        RecordLocation::Segment { offset, .. } => offset,
    };
    match header_at(&paths.record(id, row.place), offset) {
        Ok(header) if header.id == id && header.body_size == row.message.size => Ok(()),
        Ok(_) => Err("the header names another message".to_owned()),
        Err(error) => Err(format!("its record cannot be read: {error}")),
    }
}
