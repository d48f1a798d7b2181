//! Entries on their way into a segment: what each is made into, and what goes with it.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;

use rusqlite::{OptionalExtension as _, Transaction, params};

use crate::chain::{Link, Rule};
use crate::digest::Digest;
use crate::files::SegmentFile;
use crate::gap::Gap;
use crate::kept::{EarlierAttempt, Kept, KeptAttempt};
use crate::names::names_in;
use crate::recorder::Keeping;
use crate::row::{GapRow, Row};
use crate::settings::Addresses;
use crate::shared::Shared;
use crate::sql::{connect_to_read, integer, text_of, unwritable};

/// Where a history goes on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct End {
    /// The number of the next record.
    pub(crate) next: u64,
    /// The last link of the chain.
    pub(crate) link: Link,
    /// The store's number of the last record that was taken from it.
    pub(crate) mark: u64,
}

impl End {
    /// Of a history in which there is nothing.
    pub(crate) const EMPTY: Self = Self { next: 1, link: Link::START, mark: 0 };
}

/// What is appended.
#[derive(Debug)]
pub(crate) enum Entry<'a> {
    /// What the store has kept.
    Kept(Kept<'a>),
    /// Attempts that have no record.
    Gap(Gap),
}

/// What a segment has once, however many records name it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Contents {
    /// The ids of its facts.
    pub(crate) facts: HashMap<Digest, i64>,
    /// Its octets.
    pub(crate) blobs: BTreeSet<Digest>,
    /// The months under whose keys addresses in it were hashed.
    pub(crate) months: BTreeSet<String>,
}

/// With what entries are appended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct With<'a> {
    /// What the makers of records share.
    pub(crate) shared: &'a Shared,
    /// The segments before, the newest first: what a record names may stand there.
    pub(crate) earlier: &'a [SegmentFile],
    /// What is kept of addresses.
    pub(crate) addresses: Addresses,
}

/// Entries on their way into a segment.
pub(crate) struct Appending<'a> {
    transaction: &'a Transaction<'a>,
    with: With<'a>,
    contents: &'a mut Contents,
    /// What was written and was not there.
    pub(crate) new: Vec<Digest>,
    /// The text of a record.
    text: String,
}

impl<'a> Appending<'a> {
    /// Entries on their way into a segment that has this.
    pub(crate) const fn new(
        transaction: &'a Transaction<'a>,
        with: With<'a>,
        contents: &'a mut Contents,
    ) -> Self {
        Self { transaction, with, contents, new: Vec::new(), text: String::new() }
    }

    /// Appends one entry, with which the history ends then.
    pub(crate) fn append(&mut self, entry: Entry<'_>, end: &mut End) -> rusqlite::Result<()> {
        match entry {
            Entry::Gap(gap) => {
                self.text = text_of(&Row::Gap(GapRow { number: end.next, gap }))?;
                self.record(None, None, end)
            }
            Entry::Kept(Kept::Attempt(kept)) => self.attempt(*kept, end),
            Entry::Kept(Kept::Earlier(earlier)) => self.earlier(*earlier, end),
            Entry::Kept(Kept::Blob(kind, octets)) => {
                self.blob(kind.word(), Digest::of(&[octets]), octets)
            }
        }
    }

    /// Appends an attempt.
    fn attempt(&mut self, kept: KeptAttempt<'_>, end: &mut End) -> rusqlite::Result<()> {
        let KeptAttempt { key, decision, session, clear, text } = kept;
        if let Some(month) = key
            && !self.contents.months.contains(month)
        {
            self.contents.months.insert(month.to_owned());
        }
        for (hash, address) in clear {
            self.transaction
                .prepare_cached("INSERT OR IGNORE INTO address (hash, address) VALUES (?1, ?2)")?
                .execute(params![hash, address])?;
        }
        let (decision_id, decision) = self.fact(decision.get())?;
        let session = session.map(|session| self.fact(session.get())).transpose()?;
        self.text.clear();
        let rest = text.get().strip_prefix('{').unwrap_or_default();
        let number = end.next;
        let started = write!(
            self.text,
            "{{\"kind\":\"attempt\",\"number\":{number},\"decision\":\"{decision}\","
        );
        let with_session =
            session.map_or(Ok(()), |(_, session)| write!(self.text, "\"session\":\"{session}\","));
        started.and(with_session).map_err(unwritable)?;
        if decision_id.is_none() || session.is_some_and(|(id, _)| id.is_none()) {
            self.text.push_str("\"lost\":true,");
        }
        self.text.push_str(rest);
        self.record(decision_id, session.and_then(|(id, _)| id), end)
    }

    /// Appends an attempt that was kept before format 2.
    fn earlier(&mut self, earlier: EarlierAttempt<'_>, end: &mut End) -> rusqlite::Result<()> {
        let EarlierAttempt { mut attempt, decision, session } = earlier;
        let addresses = self.with.addresses;
        let key = self.with.shared.key().filter(|_| addresses != Addresses::None);
        let mut clear = Vec::new();
        let (sender, recipients) = (attempt.sender.take(), std::mem::take(&mut attempt.recipients));
        if let Some(key) = &key {
            let mut keeping = Keeping { key: &key.key, addresses, clear: &mut clear };
            attempt.sender = sender.map(|sender| keeping.hashed(sender));
            attempt.recipients = recipients.into_iter().map(|one| keeping.hashed(one)).collect();
            attempt.key = Some(key.month.clone());
        }
        let text = serde_json::value::to_raw_value(&attempt).map_err(unwritable)?;
        let key = key.as_ref().map(|key| key.month.as_str());
        self.attempt(KeptAttempt { key, decision, session, clear, text: &text }, end)
    }

    /// Appends the record that the text is of.
    fn record(
        &mut self,
        decision: Option<i64>,
        session: Option<i64>,
        end: &mut End,
    ) -> rusqlite::Result<()> {
        let number = end.next;
        end.link = end.link.next(Rule::OfDigests, &self.text);
        end.next = number.saturating_add(1);
        let mut insert = self.transaction.prepare_cached(
            "INSERT INTO record (number, decision, session, text, link) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?;
        let link = end.link;
        insert.execute(params![integer(number), decision, session, self.text, link.as_bytes()])?;
        Ok(())
    }

    /// The id of a fact and its digest. It is written unless the segment has it; where only its digest
    /// is given, it is taken from an earlier segment, and without an id if it is nowhere.
    fn fact(&mut self, given: &str) -> rusqlite::Result<(Option<i64>, Digest)> {
        let named = given.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        let digest = named.and_then(Digest::parse);
        let (digest, text) = match digest {
            Some(digest) => (digest, None),
            None => (Digest::of(&[given.as_bytes()]), Some(given)),
        };
        if let Some(id) = self.contents.facts.get(&digest) {
            return Ok((Some(*id), digest));
        }
        let carried = if text.is_none() { self.carried_fact(&digest) } else { None };
        let Some(text) = text.or(carried.as_deref()) else {
            self.with.shared.known.clear();
            return Ok((None, digest));
        };
        self.named_in(text)?;
        self.transaction
            .prepare_cached("INSERT INTO fact (sha256, text) VALUES (?1, ?2)")?
            .execute(params![digest.as_bytes(), text])?;
        let id = self.transaction.last_insert_rowid();
        self.contents.facts.insert(digest, id);
        self.new.push(digest);
        Ok((Some(id), digest))
    }

    /// Sees to it that what a fact names is in the segment, as far as it is anywhere.
    fn named_in(&mut self, text: &str) -> rusqlite::Result<()> {
        for (_kind, digest) in names_in(text) {
            if self.contents.blobs.contains(&digest) {
                continue;
            }
            match self.carried_blob(&digest) {
                Some((kind, octets)) => self.blob(&kind, digest, &octets)?,
                None => self.with.shared.miss(),
            }
        }
        Ok(())
    }

    /// Writes octets, unless the segment has them.
    fn blob(&mut self, kind: &str, digest: Digest, octets: &[u8]) -> rusqlite::Result<()> {
        if !self.contents.blobs.insert(digest) {
            return Ok(());
        }
        self.transaction
            .prepare_cached("INSERT INTO blob (sha256, kind, octets) VALUES (?1, ?2, ?3)")?
            .execute(params![digest.as_bytes(), kind, octets])?;
        self.new.push(digest);
        Ok(())
    }

    /// A fact as an earlier segment has it.
    fn carried_fact(&self, digest: &Digest) -> Option<String> {
        self.with.earlier.iter().find_map(|file| {
            let connection = connect_to_read(file).ok()?;
            let mut select = connection.prepare("SELECT text FROM fact WHERE sha256 = ?1").ok()?;
            select.query_row([digest.as_bytes()], |row| row.get(0)).optional().ok()?
        })
    }

    /// Octets as an earlier segment has them.
    fn carried_blob(&self, digest: &Digest) -> Option<(String, Vec<u8>)> {
        self.with.earlier.iter().find_map(|file| {
            let connection = connect_to_read(file).ok()?;
            let sql = "SELECT kind, octets FROM blob WHERE sha256 = ?1";
            let mut select = connection.prepare(sql).ok()?;
            let found = select.query_row([digest.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)));
            found.optional().ok()?
        })
    }
}
