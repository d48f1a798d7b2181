//! `policy lint`, `lint-record` and `match`: RFC 8461's rules, as this relay applies them.
//!
//! They need no settings and no relay. Their input is bytes: what a domain publishes need not be
//! UTF-8, and then must be judged as it is.

mod lines;

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt as _;

use anyhow::Context as _;
use mta_sts::{FetchError, MxHost, MxPattern, POLICY_SIZE_MAX, Policy, Record};
use serde::Serialize;

use self::lines::Findings;
use crate::cli::ending::Ending;
use crate::cli::output::Format;
use crate::cli::output::Output;
use crate::cli::table::printable;
use crate::number_text::counted;

/// What a lint says.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    /// It is as RFC 8461 has it.
    Accept,
    /// It is no policy, no record.
    Reject,
    /// It is read, although it is not quite as RFC 8461 has it.
    Warn,
}

impl Verdict {
    /// What was read with these warnings.
    fn of(warnings: &[String]) -> Self {
        if warnings.is_empty() { Self::Accept } else { Self::Warn }
    }

    /// The word for it.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Reject => "reject",
            Self::Warn => "warn",
        }
    }

    /// The exit status for it.
    const fn ending(self) -> Ending {
        match self {
            Self::Accept | Self::Warn => Ending::Done,
            Self::Reject => Ending::Refused,
        }
    }
}

/// The answer to `policy lint`; the keys are a contract.
///
/// `error` and `warnings` are the parser's, and make the verdict. `faults` names every reason to reject
/// the file, `advice` what is accepted and hardly meant; each is there if it holds anything.
#[derive(Debug, Serialize)]
struct PolicyLint {
    verdict: Verdict,
    mode: Option<&'static str>,
    max_age: Option<u64>,
    mx: Vec<String>,
    warnings: Vec<String>,
    error: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    faults: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    advice: Vec<String>,
}

/// The answer to `policy lint-record`; the keys are a contract.
#[derive(Debug, Serialize)]
struct RecordLint {
    verdict: Verdict,
    id: Option<String>,
    warnings: Vec<String>,
    error: Option<String>,
}

/// Judges a policy file; `-` is standard input.
pub(super) fn policy(file: &OsStr, format: Format, output: &mut Output) -> anyhow::Result<Ending> {
    let bytes = read(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let lint = PolicyLint::of(&bytes);
    format.write(&lint, output, PolicyLint::print)?;
    Ok(lint.verdict.ending())
}

/// Judges a record.
pub(super) fn record(text: &OsStr, format: Format, output: &mut Output) -> anyhow::Result<Ending> {
    let lint = RecordLint::of(text.as_bytes());
    format.write(&lint, output, RecordLint::print)?;
    Ok(lint.verdict.ending())
}

/// Tells whether one of `patterns` names `host` (RFC 8461 §4.1), each read as in a policy file; what
/// cannot be read matches nothing.
pub(super) fn matches(
    host: &OsStr,
    patterns: &[OsString],
    output: &mut Output,
) -> anyhow::Result<Ending> {
    let host = host.to_str().and_then(|host| MxHost::parse(host).ok());
    let mut patterns =
        patterns.iter().filter_map(|pattern| MxPattern::parse_leniently(pattern.to_str()?).ok());
    let found = host.is_some_and(|host| patterns.any(|pattern| pattern.matches(&host)));
    let (word, ending) = if found { ("match", Ending::Done) } else { ("nomatch", Ending::Refused) };
    output.line(word)?;
    Ok(ending)
}

impl PolicyLint {
    /// Reads `file` as a policy.
    fn of(file: &[u8]) -> Self {
        if file.len() > POLICY_SIZE_MAX {
            return Self::rejected(&FetchError::TooLarge, Findings::default());
        }
        let findings = Findings::of(file);
        match Policy::parse(file) {
            Err(error) => Self::rejected(&error, findings),
            Ok(parsed) => {
                let warnings = texts(&parsed.warnings);
                Self {
                    verdict: Verdict::of(&warnings),
                    mode: Some(parsed.value.mode().as_str()),
                    max_age: Some(parsed.value.max_age().as_secs()),
                    mx: texts(parsed.value.mx()),
                    warnings,
                    error: None,
                    // What the parser accepts is no reason to reject.
                    faults: Vec::new(),
                    advice: [findings.faults, findings.advice].concat(),
                }
            }
        }
    }

    /// It is no policy.
    fn rejected(error: &impl ToString, findings: Findings) -> Self {
        Self {
            verdict: Verdict::Reject,
            mode: None,
            max_age: None,
            mx: Vec::new(),
            warnings: Vec::new(),
            error: Some(error.to_string()),
            faults: findings.faults,
            advice: findings.advice,
        }
    }

    /// Says it in words.
    fn print(&self, output: &mut Output) -> io::Result<()> {
        // The parser's error is the first of the faults, said with less detail.
        let error = self.error.as_ref().filter(|_| self.faults.is_empty());
        print(self.verdict, error, &self.warnings, output)?;
        for (word, texts) in [("error:", &self.faults), ("advice:", &self.advice)] {
            for text in texts {
                output.line(format_args!("{word:<8}  {}", printable(text)))?;
            }
        }
        if let (Some(mode), Some(max_age)) = (self.mode, self.max_age) {
            output.line(format_args!("mode:     {mode}"))?;
            output.line(format_args!("max_age:  {}", counted(max_age, "second", "seconds")))?;
        }
        self.mx.iter().try_for_each(|mx| output.line(format_args!("mx:       {mx}")))
    }
}

impl RecordLint {
    /// Reads `text` as a record.
    fn of(text: &[u8]) -> Self {
        match Record::parse(text) {
            Err(error) => Self {
                verdict: Verdict::Reject,
                id: None,
                warnings: Vec::new(),
                error: Some(error.to_string()),
            },
            Ok(parsed) => {
                let warnings = texts(&parsed.warnings);
                Self {
                    verdict: Verdict::of(&warnings),
                    id: Some(parsed.value.id.to_string()),
                    warnings,
                    error: None,
                }
            }
        }
    }

    /// Says it in words.
    fn print(&self, output: &mut Output) -> io::Result<()> {
        print(self.verdict, self.error.as_ref(), &self.warnings, output)?;
        self.id.iter().try_for_each(|id| output.line(format_args!("id:       {id}")))
    }
}

/// The part of the answer that policies and records share.
fn print(
    verdict: Verdict,
    error: Option<&String>,
    warnings: &[String],
    output: &mut Output,
) -> io::Result<()> {
    output.line(format_args!("verdict:  {}", verdict.as_str()))?;
    if let Some(error) = error {
        output.line(format_args!("error:    {}", printable(error)))?;
    }
    warnings
        .iter()
        .try_for_each(|warning| output.line(format_args!("warning:  {}", printable(warning))))
}

/// Each as its text.
fn texts<T: ToString>(values: &[T]) -> Vec<String> {
    values.iter().map(T::to_string).collect()
}

/// The bytes of a file, one more than a policy may have at most.
fn read(file: &OsStr) -> io::Result<Vec<u8>> {
    let input: Box<dyn Read> =
        if file == "-" { Box::new(io::stdin()) } else { Box::new(File::open(file)?) };
    let most = u64::try_from(POLICY_SIZE_MAX).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    let _read = input.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}
