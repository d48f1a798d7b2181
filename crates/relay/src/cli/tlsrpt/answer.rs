//! The answer to `tlsrpt parse`: its keys are a contract, its text is not.

use std::collections::BTreeMap;
use std::io;

use serde::Serialize;
use tls_rpt::{Day, Named, PolicyType, Summary, SummaryEntry, SummaryKey, SummaryResult};

use super::advice;
use crate::cli::ending::Ending;
use crate::cli::output::Output;
use crate::cli::table::printable;
use crate::number_text::counted;

/// What reports say together.
#[derive(Debug, Default, Serialize)]
pub(super) struct Answer {
    /// How many were counted.
    pub(super) reports: usize,
    /// How many had been counted before.
    pub(super) duplicates: usize,
    /// What was counted.
    domains: Vec<DomainAnswer>,
    /// Files that hold no report that can be read.
    pub(super) unreadable: Vec<UnreadableFile>,
    /// What was odd in reports that were read all the same.
    pub(super) warnings: Vec<FileWarnings>,
}

/// What one sender says of one kind of policy of a domain.
#[derive(Debug, Serialize)]
struct DomainAnswer {
    domain: String,
    sender: String,
    policy_type: String,
    days: Vec<Day>,
    successes: u64,
    failures: u64,
    policy: Vec<String>,
    results: Vec<ResultAnswer>,
}

/// Sessions that failed in one way.
#[derive(Debug, Serialize)]
struct ResultAnswer {
    result_type: String,
    sessions: u64,
    hosts: BTreeMap<String, u64>,
    reasons: BTreeMap<String, u64>,
    advice: &'static str,
}

/// A file that holds no report that can be read.
#[derive(Debug, Serialize)]
pub(super) struct UnreadableFile {
    /// The file.
    pub(super) file: String,
    /// Why.
    pub(super) error: String,
}

/// What was odd in a report.
#[derive(Debug, Serialize)]
pub(super) struct FileWarnings {
    /// The file.
    pub(super) file: String,
    /// What was odd.
    pub(super) warnings: Vec<String>,
}

impl Answer {
    /// Takes over what was counted.
    pub(super) fn count(&mut self, summary: &Summary) {
        self.domains = summary.entries().map(|(key, entry)| DomainAnswer::of(key, entry)).collect();
    }

    /// How the command ends.
    pub(super) fn ending(&self) -> Ending {
        if !self.unreadable.is_empty() {
            Ending::Unreadable
        } else if self.domains.iter().any(|domain| domain.failures > 0) {
            Ending::Refused
        } else {
            Ending::Done
        }
    }

    /// Says it in words.
    pub(super) fn print(&self, output: &mut Output) -> io::Result<()> {
        self.domains.iter().try_for_each(|domain| domain.print(output))?;
        let reports = counted(self.reports, "report", "reports");
        let duplicates = counted(self.duplicates, "duplicate", "duplicates");
        output.line(format_args!("{reports} counted, {duplicates} left out"))?;
        for FileWarnings { file, warnings } in &self.warnings {
            let file = printable(file);
            output.line(format_args!("warning: {file}: {}", warnings.join("; ")))?;
        }
        for UnreadableFile { file, error } in &self.unreadable {
            output.line(format_args!("error: {}: {}", printable(file), printable(error)))?;
        }
        Ok(())
    }
}

impl DomainAnswer {
    /// What was counted for a domain.
    fn of(key: &SummaryKey, entry: &SummaryEntry) -> Self {
        let mut results: Vec<_> = entry
            .results
            .iter()
            .map(|(result, counted)| ResultAnswer::of(result, counted))
            .collect();
        results.sort_by_key(|result| std::cmp::Reverse(result.sessions));
        Self {
            domain: key.domain.clone(),
            sender: key.sender.clone(),
            policy_type: key.policy_type.to_string(),
            days: entry.days.iter().copied().collect(),
            successes: entry.successes,
            failures: entry.failures,
            policy: entry.policy.clone(),
            results,
        }
    }

    /// Says it in words.
    fn print(&self, output: &mut Output) -> io::Result<()> {
        let or_unknown = |text: &str| if text.is_empty() { "(unknown)" } else { text }.to_owned();
        output.line(format_args!(
            "{}, {}, reported by {}",
            or_unknown(&self.domain),
            or_unknown(&self.policy_type),
            or_unknown(&self.sender)
        ))?;
        if let (Some(first), Some(last)) = (self.days.first(), self.days.last()) {
            let days = counted(self.days.len(), "day", "days");
            output.line(format_args!("  {days}: {first} to {last}"))?;
        }
        output.line(format_args!(
            "  {} succeeded, {} failed",
            counted(self.successes, "session", "sessions"),
            self.failures
        ))?;
        if self.is_enforced() && self.failures == 0 {
            output.line("  the policy is enforced, and every session met it")?;
        }
        if self.results.is_empty() && self.failures > 0 {
            output.line("  the reports do not say how they failed")?;
        }
        self.results.iter().try_for_each(|result| result.print(output))?;
        output.line("")
    }

    /// Whether it is an MTA-STS policy of mode enforce.
    fn is_enforced(&self) -> bool {
        let is_mode = |line: &String| {
            line.split_once(':')
                .is_some_and(|(key, mode)| key == "mode" && mode.trim() == "enforce")
        };
        self.policy_type == PolicyType::Sts.as_str() && self.policy.iter().any(is_mode)
    }
}

impl ResultAnswer {
    /// What was counted for a result type.
    fn of(result: &Named<tls_rpt::ResultType>, counted: &SummaryResult) -> Self {
        Self {
            result_type: result.to_string(),
            sessions: counted.sessions,
            hosts: counted.hosts.clone(),
            reasons: counted.reasons.clone(),
            advice: advice::for_result(result),
        }
    }

    /// Says it in words.
    fn print(&self, output: &mut Output) -> io::Result<()> {
        let sessions = counted(self.sessions, "session", "sessions");
        output.line(format_args!("  {}: {sessions}", self.result_type))?;
        for (word, counts) in [("hosts", &self.hosts), ("reasons", &self.reasons)] {
            let texts: Vec<_> =
                counts.iter().map(|(name, sessions)| format!("{name} ({sessions})")).collect();
            if !texts.is_empty() {
                output.line(format_args!("    {word:<8} {}", texts.join(", ")))?;
            }
        }
        output.line(format_args!("    {:<8} {}", "to do", self.advice))
    }
}
