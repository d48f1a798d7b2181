//! `dane match`: whether a chain of certificates matches TLSA records, by the rules that bind mail.

use std::path::PathBuf;
use std::time::SystemTime;

use anyhow::{Context as _, ensure};
use clap::Args;
use clock::Timestamp;
use dane::{MatchedCertificate, ReferenceNames, TlsaRecord};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, UnixTime};
use serde::Serialize;

use crate::cli::ending::Ending;
use crate::cli::output::{Format, Output};
use crate::cli::table::printable;
use crate::examined_records::{Judgement, judge};

/// What is to be compared.
#[derive(Args, Debug)]
pub(crate) struct MatchCommand {
    /// A PEM file of the certificates as the host shows them, its own first.
    #[arg(long, value_name = "FILE")]
    chain: PathBuf,
    /// The TLSA base domain: the MX host, or the name at the end of its aliases.
    #[arg(long, value_name = "HOST")]
    base: String,
    /// Another name that counts for DANE-TA records: the recipients' domain, where its MX records are
    /// signed.
    #[arg(long = "name", value_name = "NAME")]
    names: Vec<String>,
    /// Judge as on this day [default: now].
    #[arg(long, value_name = "DATE")]
    at: Option<String>,
    #[command(flatten)]
    format: Format,
    /// The records, such as "3 1 1 8BD1...".
    #[arg(required = true, last = true)]
    records: Vec<String>,
}

/// The answer; the keys are a contract.
#[derive(Debug, Serialize)]
struct Answer {
    verdict: Verdict,
    /// The record that matches.
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<String>,
    /// The place of the certificate that it matches, the host's own at 0; none where the record holds
    /// the certificate itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate: Option<usize>,
    /// Why nothing matches.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    /// The records that are of no use, each with why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unusable: Vec<UnusableRecord>,
}

/// What comes of the comparison.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Match,
    Mismatch,
    Unusable,
}

/// A record that mail cannot use.
#[derive(Debug, Serialize)]
struct UnusableRecord {
    record: String,
    why: String,
}

/// Compares; the status is 0 for a match.
pub(super) fn run(
    command: &MatchCommand,
    now: SystemTime,
    output: &mut Output,
) -> anyhow::Result<Ending> {
    let records = command.records.iter().map(|text| record(text)).collect::<Result<Vec<_>, _>>()?;
    let unusable = records.iter().filter_map(of_no_use).collect();
    let chain = chain(command)?;
    let others: Vec<&str> = command.names.iter().map(String::as_str).collect();
    let names = ReferenceNames::new(&command.base, &others)
        .with_context(|| format!("{} or a --name is not the name of a host", command.base))?;
    let now = moment(command.at.as_deref(), now)?;
    let answer = answer(judge(records, names, &chain, now)?, unusable);
    command.format.write(&answer, output, print)?;
    Ok(if answer.verdict == Verdict::Match { Ending::Done } else { Ending::Refused })
}

fn record(text: &str) -> anyhow::Result<TlsaRecord> {
    text.parse().with_context(|| format!("`{text}` is not a TLSA record such as \"3 1 1 8BD1...\""))
}

fn of_no_use(record: &TlsaRecord) -> Option<UnusableRecord> {
    let why = record.usable_for_smtp().err()?;
    Some(UnusableRecord { record: record.to_string(), why: why.to_string() })
}

/// The certificates of the file.
fn chain(command: &MatchCommand) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let file = &command.chain;
    let cannot = || format!("{}: no certificates can be read", file.display());
    let certificates = CertificateDer::pem_file_iter(file).with_context(cannot)?;
    let chain = certificates.collect::<Result<Vec<_>, _>>().with_context(cannot)?;
    ensure!(!chain.is_empty(), "{}: there is no certificate in it", file.display());
    Ok(chain)
}

/// The moment that dates are judged by.
fn moment(at: Option<&str>, now: SystemTime) -> anyhow::Result<UnixTime> {
    let at = at.map(|text| {
        let read = serde_json::from_value::<Timestamp>(text.into());
        read.with_context(|| format!("`{text}` is not a day such as 2026-12-24"))
    });
    let time = at.transpose()?.map_or(now, Timestamp::time);
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Ok(UnixTime::since_unix_epoch(since))
}

fn answer(judgement: Judgement, unusable: Vec<UnusableRecord>) -> Answer {
    let none =
        |verdict, why| Answer { verdict, record: None, certificate: None, why, unusable: vec![] };
    let answer = match judgement {
        Judgement::Match(matched) => Answer {
            record: Some(matched.record().to_string()),
            certificate: match matched.certificate() {
                MatchedCertificate::OfTheRecord => None,
                MatchedCertificate::Shown(place) => Some(place),
            },
            ..none(Verdict::Match, None)
        },
        Judgement::Mismatch(why) => none(Verdict::Mismatch, Some(why.to_string())),
        Judgement::Unusable(why) => none(Verdict::Unusable, Some(why.to_string())),
    };
    Answer { unusable, ..answer }
}

fn print(answer: &Answer, output: &mut Output) -> std::io::Result<()> {
    let line = match (answer.verdict, &answer.record, answer.certificate) {
        (Verdict::Match, Some(record), Some(0)) => {
            format!("match: {record} (the host's own certificate)")
        }
        (Verdict::Match, Some(record), Some(place)) => {
            format!("match: {record} (certificate {place} of the chain)")
        }
        (Verdict::Match, Some(record), None) => format!("match: {record} (held by the record)"),
        (Verdict::Match, None, _) => "match".to_owned(),
        (Verdict::Mismatch, ..) => "mismatch".to_owned(),
        (Verdict::Unusable, ..) => "unusable".to_owned(),
    };
    let why = answer.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
    output.line(printable(&format!("{line}{why}")))?;
    for UnusableRecord { record, why } in &answer.unusable {
        output.line(printable(&format!("  not usable: {record}: {why}")))?;
    }
    Ok(())
}
