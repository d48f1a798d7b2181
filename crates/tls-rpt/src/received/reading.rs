//! The values of a report, taken for what they should be.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::SystemTime;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use serde::de::DeserializeOwned;

use super::deviation::Deviation;
use super::lax::Value;
use super::named::Named;
use crate::text::shown;
use crate::warning::Parsed;

/// The most octets of a text that are kept.
const TEXT_MAX: usize = 4096;

/// The longest text that may hold TLSA records in JSON.
const JSON_TEXT_MAX: usize = 64 << 10;

/// The deviations that have come up, each once.
#[derive(Debug, Default)]
pub(super) struct Reading(BTreeSet<Deviation>);

impl Reading {
    /// Keeps a deviation.
    pub(super) fn add(&mut self, deviation: Deviation) {
        self.0.insert(deviation);
    }

    /// What is read, and the deviations.
    pub(super) fn about<T>(mut self, read: impl FnOnce(&mut Self) -> T) -> Parsed<T, Deviation> {
        let value = read(&mut self);
        Parsed { value, warnings: self.0.into_iter().collect() }
    }

    /// A text that may be absent.
    pub(super) fn text(&mut self, value: Value) -> Option<String> {
        match value {
            Value::Absent => None,
            Value::Text(text) if !text.is_empty() => Some(shown(&text, TEXT_MAX)),
            Value::Null | Value::Text(_) => {
                self.add(Deviation::EmptyValue);
                None
            }
            Value::Number(number) => {
                self.add(Deviation::UnexpectedValue);
                Some(number.to_string())
            }
            Value::List(_) | Value::Other => {
                self.add(Deviation::UnexpectedValue);
                None
            }
        }
    }

    /// A text that has to be there.
    pub(super) fn named(&mut self, value: Value, absent: Deviation) -> Option<String> {
        let text = self.text(value);
        if text.is_none() {
            self.add(absent);
        }
        text
    }

    /// A word of a list.
    pub(super) fn word<T: DeserializeOwned>(
        &mut self,
        value: Value,
        unknown: Deviation,
    ) -> Named<T> {
        let named = Named::read(self.text(value).unwrap_or_default());
        if matches!(named, Named::Unknown(_)) {
            self.add(unknown);
        }
        named
    }

    /// Texts, or one.
    pub(super) fn list(&mut self, value: Value, as_text: Deviation) -> Vec<String> {
        match value {
            Value::List(texts) => texts.iter().map(|text| shown(text, TEXT_MAX)).collect(),
            Value::Text(text) if !text.is_empty() => {
                self.add(as_text);
                text.lines().map(|line| shown(line, TEXT_MAX)).collect()
            }
            value @ (Value::Absent
            | Value::Null
            | Value::Number(_)
            | Value::Other
            | Value::Text(_)) => self.text(value).into_iter().collect(),
        }
    }

    /// The text of a policy.
    pub(super) fn policy_strings(&mut self, value: Value) -> Vec<String> {
        let inner = match &value {
            Value::Text(text) => Some(text),
            Value::List(texts) => texts.first().filter(|_| texts.len() == 1),
            Value::Absent | Value::Null | Value::Number(_) | Value::Other => None,
        };
        let inner = inner.filter(|text| text.len() <= JSON_TEXT_MAX);
        if let Some(texts) = inner.and_then(|text| serde_json::from_str(text).ok()) {
            self.add(Deviation::PolicyStringAsJson);
            return self.list(Value::List(texts), Deviation::PolicyStringAsText);
        }
        self.list(value, Deviation::PolicyStringAsText)
    }

    /// A number of sessions.
    pub(super) fn number(&mut self, value: Value) -> u64 {
        let number = match value {
            Value::Number(number) => return number,
            Value::Text(text) => text.trim().parse().ok(),
            Value::Absent | Value::List(_) | Value::Null | Value::Other => None,
        };
        let deviation = if number.is_some() { Deviation::CountAsText } else { Deviation::NoCount };
        self.add(deviation);
        number.unwrap_or(0)
    }

    /// An IP address.
    pub(super) fn address(&mut self, value: Value) -> Option<IpAddr> {
        let text = self.text(value)?;
        let address = text.trim().parse().ok();
        if address.is_none() {
            self.add(Deviation::BadAddress);
        }
        address
    }

    /// A point in time.
    pub(super) fn time(&mut self, value: Value) -> Option<SystemTime> {
        let text = self.text(value).unwrap_or_default();
        if let Ok(time) = text.parse::<Timestamp>() {
            return Some(time.into());
        }
        let date_time = text.parse::<DateTime>().or_else(|_no_time| {
            text.parse::<Date>().map(|date| date.to_datetime(Time::midnight()))
        });
        let time = date_time.and_then(|date_time| date_time.to_zoned(TimeZone::UTC)).ok();
        let deviation = if time.is_some() { Deviation::DateWithoutZone } else { Deviation::NoDate };
        self.add(deviation);
        time.map(|time| time.timestamp().into())
    }
}
