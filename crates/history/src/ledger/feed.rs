//! The records that the ledger is made of, from the segments, one after the other.

use std::borrow::Cow;
use std::collections::HashMap;

use mail::{FailureCause, Protection};
use rusqlite::{Connection, params};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::digest::hex;
use crate::error::HistoryError;
use crate::facts::{Decision, Session};
use crate::files::{Files, SegmentFile};
use crate::ledger::observed::{
    DecisionSeen, ExceptionSeen, MailKind, Observed, PolicySeen, SessionSeen, typed,
};
use crate::query::OutcomeKind;
use crate::sql::{connect_to_read, damaged, fact, integer, most};

/// So many facts of a segment are kept in memory; beyond that they are read again.
const FACTS_KNOWN: usize = 4_096;

/// The texts of so many policies of a segment are known; of others the hosts are not.
const POLICIES_MOST: usize = 10_000;

/// So many hosts of a policy are known.
const HOSTS_MOST: usize = 32;

/// No longer name is one of a host, in octets (RFC 1035 §2.3.4).
const HOST_MOST: usize = 253;

/// Of a record whose decision was lost.
const LOST: DecisionSeen =
    DecisionSeen { policy: PolicySeen::Unknown, exception: ExceptionSeen::None };

/// Reads the segments in the order in which they were written.
#[derive(Debug)]
pub(crate) struct Feed {
    files: Files,
    /// The segment that was read last.
    current: Option<Open>,
    /// Gaps count that were found at this time or later, in milliseconds since 1970.
    since: u64,
    /// How many were met.
    gaps: u64,
}

/// A segment that is read.
#[derive(Debug)]
struct Open {
    file: SegmentFile,
    connection: Connection,
    decisions: HashMap<i64, DecisionSeen>,
    sessions: HashMap<i64, SessionSeen>,
    policies: PolicyTexts,
}

/// Gaps that count.
struct Gaps {
    /// They were found at this time or later.
    since: u64,
    count: u64,
}

impl Gaps {
    /// A gap was found at this time.
    const fn see(&mut self, found_at: u64) {
        if found_at >= self.since {
            self.count = self.count.saturating_add(1);
        }
    }
}

/// What the ledger reads of a record's text.
#[derive(Debug, Deserialize)]
struct Text<'a> {
    #[serde(default)]
    ended_at: u64,
    /// When a gap was found.
    #[serde(default)]
    found_at: u64,
    #[serde(borrow, default)]
    domain: Cow<'a, str>,
    #[serde(borrow, default)]
    queue_id: Cow<'a, str>,
    #[serde(default)]
    recipient_count: u64,
    #[serde(borrow, default)]
    outcome: Cow<'a, str>,
    #[serde(borrow, default)]
    protection: Cow<'a, str>,
    #[serde(borrow, default)]
    purpose: Cow<'a, str>,
    #[serde(borrow, default)]
    host: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    cause: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    error: Option<Cow<'a, str>>,
}

impl Feed {
    /// What is in these files.
    pub(crate) const fn new(files: Files, now: u64) -> Self {
        Self { files, current: None, since: now, gaps: 0 }
    }

    /// How many gaps were met since that was asked last.
    pub(crate) const fn take_gaps(&mut self) -> u64 {
        std::mem::replace(&mut self.gaps, 0)
    }

    /// Hands up to `limit` records with numbers above `after` to `visitor`; the number of the last one,
    /// none where there are no more. What is no attempt is passed over. Blocks: reads the disk.
    pub(crate) fn visit(
        &mut self,
        after: u64,
        limit: usize,
        visitor: &mut dyn FnMut(&Observed<'_>) -> Result<(), HistoryError>,
    ) -> Result<Option<u64>, HistoryError> {
        let segments = self.files.segments()?;
        let begun = segments.partition_point(|file| file.first <= after.saturating_add(1));
        for file in segments.iter().skip(begun.saturating_sub(1)) {
            // What a later segment follows has all its records by now.
            let mut gaps = Gaps { since: self.since, count: 0 };
            let visited =
                self.open(file).and_then(|open| open.visit(after, limit, &mut gaps, visitor));
            self.gaps = self.gaps.saturating_add(gaps.count);
            match visited {
                Ok(None) => {}
                Ok(Some(last)) => return Ok(Some(last)),
                Err(error) if error.is_damage() => {
                    self.current = None;
                    // It is set aside, and a gap, when the writer meets it.
                    let path = file.path.display();
                    tracing::warn!(%path, %error, "history segment passed over by the ledger");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// The segment, opened.
    fn open(&mut self, file: &SegmentFile) -> Result<&mut Open, HistoryError> {
        let current = self.current.take().filter(|open| open.file == *file);
        let open = match current {
            Some(open) => open,
            None => Open {
                connection: connect_to_read(file)?,
                file: file.clone(),
                decisions: HashMap::new(),
                sessions: HashMap::new(),
                policies: PolicyTexts::default(),
            },
        };
        Ok(self.current.insert(open))
    }
}

impl Open {
    /// Hands records to `visitor`; the number of the last.
    fn visit(
        &mut self,
        after: u64,
        limit: usize,
        gaps: &mut Gaps,
        visitor: &mut dyn FnMut(&Observed<'_>) -> Result<(), HistoryError>,
    ) -> Result<Option<u64>, HistoryError> {
        let Self { file, connection, decisions, sessions, policies } = self;
        let failed = || HistoryError::segment(&file.path);
        let mut select = connection
            .prepare_cached(
                "SELECT number, text, decision, session FROM record \
                 WHERE number > ?1 ORDER BY number LIMIT ?2",
            )
            .map_err(failed())?;
        let mut rows = select.query(params![integer(after), most(limit)]).map_err(failed())?;
        let mut last = None;
        while let Some(row) = rows.next().map_err(failed())? {
            let number: i64 = row.get(0).map_err(failed())?;
            last = u64::try_from(number).ok();
            let decision: Option<i64> = row.get(2).map_err(failed())?;
            let session: Option<i64> = row.get(3).map_err(failed())?;
            let text = row.get_ref(1).map_err(failed())?;
            let text = text.as_str().map_err(|_other| damaged(file, "a record is no text"))?;
            let text: Text<'_> = serde_json::from_str(text)
                .map_err(|_malformed| damaged(file, "a record cannot be read"))?;
            let facts = Facts { file, connection };
            let decision = match decision {
                Some(decision) => facts.known(decisions, decision, |seen: &Decision| {
                    let hosts = policies.hosts(&facts, seen.policy_sha256.as_deref())?;
                    Ok(DecisionSeen::of(seen, hosts))
                })?,
                // What it named was lost with another segment.
                None if text.ended_at > 0 => &LOST,
                None => {
                    gaps.see(text.found_at);
                    continue;
                }
            };
            let session = session
                .map(|session| {
                    facts.known(sessions, session, |seen: &Session| Ok(SessionSeen::of(seen)))
                })
                .transpose()?;
            if let Some(seen) = text.observed(decision, session) {
                visitor(&seen)?;
            }
        }
        Ok(last)
    }
}

/// The hosts that the policies of a segment name.
#[derive(Debug, Default)]
struct PolicyTexts {
    /// By the SHA-256 of their texts.
    known: HashMap<String, Vec<String>>,
    /// The last text that was read.
    last: i64,
}

impl PolicyTexts {
    /// The hosts that the policy with this SHA-256 names; none where it is not there.
    fn hosts(
        &mut self,
        facts: &Facts<'_>,
        sha256: Option<&str>,
    ) -> Result<Option<Vec<String>>, HistoryError> {
        let Some(sha256) = sha256 else { return Ok(None) };
        if !self.known.contains_key(sha256) {
            self.read(facts).map_err(HistoryError::segment(&facts.file.path))?;
        }
        Ok(self.known.get(sha256).cloned())
    }

    /// Reads what is new.
    fn read(&mut self, facts: &Facts<'_>) -> rusqlite::Result<()> {
        let mut select = facts.connection.prepare_cached(
            "SELECT id, sha256, octets FROM blob WHERE kind = 'policy' AND id > ?1 ORDER BY id",
        )?;
        let mut rows = select.query([self.last])?;
        while let Some(row) = rows.next()? {
            self.last = row.get(0)?;
            let (sha256, text): (Vec<u8>, Vec<u8>) = (row.get(1)?, row.get(2)?);
            let named = hosts_of(&String::from_utf8_lossy(&text));
            if self.known.len() < POLICIES_MOST {
                drop(self.known.insert(hex(&sha256), named));
            }
        }
        Ok(())
    }
}

/// The hosts that the text of a policy names (RFC 8461 §3.2).
fn hosts_of(text: &str) -> Vec<String> {
    let hosts = text.lines().filter_map(|line| line.trim().strip_prefix("mx:"));
    let hosts = hosts.map(str::trim).filter(|host| host.len() <= HOST_MOST);
    hosts.take(HOSTS_MOST).map(str::to_lowercase).collect()
}

/// Where facts are read.
struct Facts<'a> {
    file: &'a SegmentFile,
    connection: &'a Connection,
}

impl Facts<'_> {
    /// What a fact says, from memory where it is there.
    fn known<'a, T: DeserializeOwned, S>(
        &self,
        known: &'a mut HashMap<i64, S>,
        id: i64,
        seen: impl FnOnce(&T) -> Result<S, HistoryError>,
    ) -> Result<&'a S, HistoryError> {
        if known.len() > FACTS_KNOWN {
            known.clear();
        }
        match known.entry(id) {
            std::collections::hash_map::Entry::Occupied(entry) => Ok(entry.into_mut()),
            std::collections::hash_map::Entry::Vacant(entry) => {
                Ok(entry.insert(seen(&self.read(id)?)?))
            }
        }
    }

    /// A fact.
    fn read<T: DeserializeOwned>(&self, id: i64) -> Result<T, HistoryError> {
        let text = fact(self.connection, self.file, id)?;
        serde_json::from_str(&text)
            .map_err(|_malformed| damaged(self.file, "a fact cannot be read"))
    }
}

impl Text<'_> {
    /// What the ledger goes by; none where a word of it is of a later version.
    fn observed<'a>(
        &'a self,
        decision: &'a DecisionSeen,
        session: Option<&'a SessionSeen>,
    ) -> Option<Observed<'a>> {
        let outcome = OutcomeKind::of_word(&self.outcome)?;
        let is_report = self.purpose == "tls-report";
        Some(Observed {
            at: self.ended_at,
            domain: &self.domain,
            queue_id: &self.queue_id,
            recipients: self.recipient_count,
            outcome,
            protection: Protection::of_label(&self.protection)?,
            mail: if is_report { MailKind::TlsReport } else { MailKind::Mail },
            host: self.host.as_deref(),
            cause: self.cause.as_deref().and_then(typed::<FailureCause>),
            error: self.error.as_deref(),
            decision,
            session,
        })
    }
}
