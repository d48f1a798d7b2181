//! `sts-relay tlsrpt`: TLS reports (RFC 8460), those that were received and those that are sent.
//!
//! `parse` needs no settings, no relay and no DNS; the others ask the running relay.

mod advice;
mod answer;
mod files;
mod sent;

use std::ffi::OsString;

use clap::Subcommand;
use settings::RelayPaths;
use tls_rpt::{Added, Summary};

use self::answer::{Answer, FileWarnings, UnreadableFile};
use super::ending::Ending;
use super::output::{Format, Output};

/// What can be done with TLS reports.
#[derive(Debug, Subcommand)]
pub(super) enum TlsRptCommand {
    /// Add up TLS reports that were received, and tell what to do about failures.
    ///
    /// Reports are read from JSON and gzip files, messages, mailboxes (mbox) and folders of these.
    Parse {
        /// Files and folders, or - for standard input.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<OsString>,
        #[command(flatten)]
        format: Format,
    },
    /// Show the reports that would be sent, where and when, or why not.
    Preview(sent::Preview),
    /// Send the reports of the days that are over now.
    Send(sent::Send),
    /// Show how the reports stand that are sent.
    Status {
        #[command(flatten)]
        format: Format,
    },
}

/// Does what was typed; `paths` are read only where they are needed.
pub(super) async fn run(
    command: &TlsRptCommand,
    paths: impl FnOnce() -> RelayPaths,
    output: &mut Output,
) -> anyhow::Result<Ending> {
    match command {
        TlsRptCommand::Parse { files, format } => {
            let answer = parse(files);
            format.write(&answer, output, Answer::print)?;
            Ok(answer.ending())
        }
        TlsRptCommand::Preview(preview) => {
            sent::Sender::reach(&paths()).await?.preview(preview, output).await
        }
        TlsRptCommand::Send(send) => sent::Sender::reach(&paths()).await?.send(send, output).await,
        TlsRptCommand::Status { format } => {
            sent::Sender::reach(&paths()).await?.status(*format, output).await
        }
    }
}

/// What the reports in `named` say together.
fn parse(named: &[OsString]) -> Answer {
    let mut summary = Summary::default();
    let mut answer = Answer::default();
    for (file, read) in named.iter().flat_map(|named| files::of(named)) {
        match read {
            Err(error) => answer.unreadable.push(UnreadableFile { file, error }),
            Ok(report) => {
                match summary.add(report.value) {
                    Added::Counted => answer.reports += 1,
                    Added::Duplicate => answer.duplicates += 1,
                }
                let warnings: Vec<_> = report.warnings.iter().map(ToString::to_string).collect();
                if !warnings.is_empty() {
                    answer.warnings.push(FileWarnings { file, warnings });
                }
            }
        }
    }
    answer.count(&summary);
    answer
}

#[cfg(test)]
mod tests;
