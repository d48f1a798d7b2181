//! `sts-relay history verify`: of a proof, of a file of a history, or of a whole one.

use std::path::Path;
use std::{fs, io};

use anyhow::Context as _;
use clock::{Timestamp, time};
use history::{Fault, History, Proof, Seal, Verified, verify_activities};

use crate::cli::ending::Ending;
use crate::cli::output::{Format, Output};
use crate::cli::table::printable;

/// Verifies what is at `path`, and tells what that finds.
pub(super) fn verify(path: &Path, format: Format, output: &mut Output) -> anyhow::Result<Ending> {
    let verified = verified(path)?;
    format.write(&verified, output, print)?;
    Ok(if verified.faults.is_empty() { Ending::Done } else { Ending::Refused })
}

/// What a verification finds.
fn verified(path: &Path) -> anyhow::Result<Verified> {
    if let Some(verified) = History::verify_segment(path) {
        return Ok(verified);
    }
    if path.is_file() {
        let text = fs::read(path).with_context(|| path.display().to_string())?;
        let proof: Proof = serde_json::from_slice(&text)
            .with_context(|| format!("{}: neither a proof nor a segment", path.display()))?;
        return Ok(Verified::of_proof(&proof, path));
    }
    let unreadable = || format!("{}: the history cannot be read", path.display());
    let mut verified = History::in_dir(path).verify().with_context(unreadable)?;
    verified.faults.extend(verify_activities(path).with_context(unreadable)?);
    Ok(verified)
}

/// What a verification found, for people.
fn print(verified: &Verified, output: &mut Output) -> io::Result<()> {
    for Fault { file, number, what } in &verified.faults {
        let number = number.map_or_else(String::new, |number| format!(" record {number}:"));
        output.line(printable(&format!("{file}:{number} {what}")))?;
    }
    let Verified { segments, records, head, faults, seals } = verified;
    for Seal { number, link, at } in seals {
        let at = Timestamp::of(time(*at));
        let line =
            format!("to be found in the log of {at}: history sealed number={number} link={link}");
        output.line(printable(&line))?;
    }
    if let Some((number, link)) = head {
        output.line(printable(&format!("record {number}, link {link}")))?;
    }
    output.line(format_args!("{records} records in {segments} files, {} faults", faults.len()))
}
