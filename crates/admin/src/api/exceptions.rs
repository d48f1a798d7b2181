//! What is asked and answered about exceptions.

use clock::Timestamp;
use mta_sts::{Exception, Lifts};
use serde::{Deserialize, Serialize};

use crate::api::query::query;

/// An exception that is asked for, as its query.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExceptionQuery {
    /// When it ends, in seconds since 1970.
    pub(crate) until: u64,
    /// Why there is one.
    pub(crate) reason: String,
    /// What it sets aside, as settings have it, with commas.
    pub(crate) what: String,
}

/// The query that asks for `exception`.
#[must_use]
pub fn exception_query(exception: &Exception) -> String {
    let until = exception.until().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    query(&[
        ("until", Some(until.as_secs().to_string())),
        ("reason", Some(exception.reason().to_owned())),
        ("what", Some(exception.lifts().words().join(","))),
    ])
}

/// An exception that is set.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ListedException {
    /// The policy domain.
    pub domain: String,
    /// What it sets aside.
    pub what: Vec<String>,
    /// When it ends.
    pub until: Timestamp,
    /// Why there is one.
    pub reason: String,
    /// Where it was made.
    pub from: ExceptionSource,
    /// Who granted it; none of one in the settings.
    pub by: Option<String>,
}

/// Where an exception was made.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ExceptionSource {
    /// By `exception add`.
    Command,
    /// In the settings, where it is removed as well.
    Settings,
}

impl ListedException {
    /// An exception in the settings.
    #[must_use]
    pub fn of_settings(exception: &Exception) -> Self {
        Self {
            domain: exception.domain().as_str().to_owned(),
            what: words(exception.lifts()),
            until: Timestamp::of(exception.until()),
            reason: exception.reason().to_owned(),
            from: ExceptionSource::Settings,
            by: None,
        }
    }

    /// One that was granted.
    pub(crate) fn granted(exception: &Exception, by: &str) -> Self {
        let (from, by) = (ExceptionSource::Command, Some(by.to_owned()));
        Self { from, by, ..Self::of_settings(exception) }
    }
}

fn words(lifts: Lifts) -> Vec<String> {
    lifts.words().iter().map(|word| (*word).to_owned()).collect()
}
