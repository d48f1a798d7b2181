//! What is looked for in a history.

use std::time::SystemTime;

use clock::millis;
use mail::{Protection, QueueId};
use rusqlite::types::Value;
use tls_rpt::ResultType;

use crate::address::AddressKey;
use crate::sql::integer;

/// Records that are looked for: those that meet all that is wanted.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// What a record has to meet.
    pub wanted: Vec<Wanted>,
    /// No attempt that ended before.
    pub since: Option<SystemTime>,
    /// No attempt that ended at this time or later.
    pub until: Option<SystemTime>,
}

/// What a record has to meet.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Wanted {
    /// The session's host showed the certificate with this SHA-256, as 64 lower-case hexadecimal digits.
    Certificate(String),
    /// The recipients' domain.
    Domain(String),
    /// Something was wrong with the session: what a TLS report calls it (RFC 8460 §4.3).
    Failure(ResultType),
    /// The host that took the mail, or that was tried last.
    Host(String),
    /// What came of it.
    Outcome(OutcomeKind),
    /// What protected the mail.
    Protection(Protection),
    /// The message.
    QueueId(QueueId),
    /// A recipient.
    Recipient(String),
    /// The reverse-path.
    Sender(String),
}

/// What came of an attempt.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum OutcomeKind {
    /// The recipients get nothing.
    Bounced,
    /// There will be another attempt.
    Deferred,
    /// The next host has taken responsibility.
    Delivered,
}

impl OutcomeKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Bounced, Self::Deferred, Self::Delivered];

    /// The one with this word.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.word() == word)
    }

    /// The word in a record.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Bounced => "bounced",
            Self::Deferred => "deferred",
            Self::Delivered => "delivered",
        }
    }
}

/// In which order records are given.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Order {
    /// The last one first.
    NewestFirst,
    /// As they were kept.
    OldestFirst,
}

/// Whether a segment was indexed when it closed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Indexed {
    /// It is still written.
    NotYet,
    /// It is closed.
    Yes,
}

/// A condition of SQL and its parameters.
#[derive(Debug, Default)]
pub(crate) struct Conditions {
    pub(crate) sql: Vec<&'static str>,
    pub(crate) values: Vec<Value>,
}

impl Conditions {
    /// What a query asks of a segment in which addresses were hashed under some of these keys; without
    /// a key no address is found.
    pub(crate) fn of(query: &Query, keys: &[AddressKey], indexed: Indexed) -> Self {
        let mut conditions = Self::default();
        let hashed = |address: &str| {
            let hashed: Vec<String> = keys.iter().map(|key| key.hashed(address)).collect();
            serde_json::to_string(&hashed).unwrap_or_default()
        };
        for wanted in &query.wanted {
            let (sql, value) = match wanted {
                Wanted::Certificate(sha256) => (
                    "session IN (SELECT id FROM fact WHERE text ->> '$.tls.certificate.sha256' = ?)",
                    sha256.clone(),
                ),
                Wanted::Domain(domain) => ("domain = ?", domain.to_lowercase()),
                Wanted::Failure(result) => (
                    "session IN (SELECT id FROM fact WHERE ? IN (text ->> '$.mta_sts.result_type', \
                     text ->> '$.tls.pkix.result_type'))",
                    result.to_string(),
                ),
                Wanted::Host(host) => ("host = ?", host.to_lowercase()),
                Wanted::Outcome(outcome) => ("outcome = ?", outcome.word().to_owned()),
                Wanted::Protection(protection) => ("protection = ?", protection.label().to_owned()),
                Wanted::QueueId(id) => ("queue_id = ?", id.to_string()),
                Wanted::Recipient(address) => match indexed {
                    Indexed::Yes => (
                        "number IN (SELECT number FROM recipient WHERE hash IN \
                         (SELECT value FROM json_each(?)))",
                        hashed(address),
                    ),
                    Indexed::NotYet => (
                        "EXISTS (SELECT 1 FROM json_each(record.text, '$.recipients') AS one \
                         WHERE one.value IN (SELECT value FROM json_each(?)))",
                        hashed(address),
                    ),
                },
                Wanted::Sender(address) if address.is_empty() => ("sender = ?", String::new()),
                Wanted::Sender(address) => {
                    ("sender IN (SELECT value FROM json_each(?))", hashed(address))
                }
            };
            conditions.add(sql, Value::Text(value));
        }
        let at = |time: SystemTime| Value::Integer(integer(millis(time)));
        if let Some(since) = query.since {
            conditions.add("ended_at >= ?", at(since));
        }
        if let Some(until) = query.until {
            conditions.add("ended_at < ?", at(until));
        }
        conditions
    }

    /// The statement that selects what meets all of them.
    pub(crate) fn select(&self, order: Order) -> String {
        let mut sql = "SELECT text, decision, session FROM record".to_owned();
        for (place, condition) in self.sql.iter().enumerate() {
            sql.push_str(if place == 0 { " WHERE " } else { " AND " });
            sql.push_str(condition);
        }
        sql.push_str(match order {
            Order::NewestFirst => " ORDER BY number DESC",
            Order::OldestFirst => " ORDER BY number",
        });
        sql
    }

    /// One more.
    fn add(&mut self, sql: &'static str, value: Value) {
        self.sql.push(sql);
        self.values.push(value);
    }
}
