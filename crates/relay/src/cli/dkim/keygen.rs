//! `sts-relay dkim keygen`

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::Context as _;
use clap::Args;
use clock::Timestamp;
use dkim::{Algorithm, KeyRecord, Selector, SigningKey};
use smtp::Domain;

use crate::cli::ending::Ending;
use crate::cli::output::Output;

/// Nobody but the owner reads a private key.
const KEY_MODE: u32 = 0o600;

/// The most octets of one string of a TXT record (RFC 1035 §3.3).
const STRING_MOST: usize = 255;

/// A key to be made.
#[derive(Args, Debug)]
pub(crate) struct Keygen {
    /// The domain that signs: that of From addresses, or one above it.
    domain: String,
    /// Which of the domain's keys it is [default: s and the month, as in s202612; with --ed25519,
    /// e202612].
    #[arg(long, value_name = "SELECTOR")]
    selector: Option<String>,
    /// Make an Ed25519 key (RFC 8463), to be used beside an RSA key: not every receiver knows it.
    #[arg(long)]
    ed25519: bool,
    /// The file to write [default: DOMAIN.SELECTOR.key]; an existing one is never replaced.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Makes a key, and tells how it is published and used.
pub(super) fn run(new: &Keygen, now: SystemTime, output: &mut Output) -> anyhow::Result<Ending> {
    let domain =
        Domain::parse(&new.domain).with_context(|| format!("`{}` is not a domain", new.domain))?;
    let algorithm = if new.ed25519 { Algorithm::Ed25519Sha256 } else { Algorithm::RsaSha256 };
    let selector = match &new.selector {
        Some(text) => Selector::parse(text).with_context(|| format!("`{text}` is no selector"))?,
        None => of_month(algorithm, now)?,
    };
    let name = selector.record_name(&domain).context("there can be no such record")?;
    let key = SigningKey::generate(algorithm).context("no key can be made")?;
    let usual = || PathBuf::from(format!("{domain}.{selector}.key"));
    let file = new.output.clone().unwrap_or_else(usual);
    write(&file, &key.to_pem()?)?;
    let shown = std::path::absolute(&file).unwrap_or(file);
    for line in words(&domain, &selector, &name, &KeyRecord::of(&key).to_string(), &shown) {
        output.line(line)?;
    }
    Ok(Ending::Done)
}

/// The usual selector: one for each month and algorithm, so that a new key has a new name.
fn of_month(algorithm: Algorithm, now: SystemTime) -> anyhow::Result<Selector> {
    let day = Timestamp::of(now).to_string();
    let month: String = day.chars().filter(char::is_ascii_digit).take(6).collect();
    let letter = match algorithm {
        Algorithm::Ed25519Sha256 => 'e',
        Algorithm::RsaSha256 => 's',
    };
    Ok(Selector::parse(&format!("{letter}{month}"))?)
}

/// Writes a private key into a file that is not there yet.
fn write(file: &Path, pem: &str) -> anyhow::Result<()> {
    let mut options = OpenOptions::new();
    let opened = options.write(true).create_new(true).mode(KEY_MODE).open(file);
    let written = opened.and_then(|mut file| {
        file.write_all(pem.as_bytes())?;
        file.sync_all()
    });
    match written {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            anyhow::bail!("{} is there already, and a key is never replaced", file.display())
        }
        written => written.with_context(|| format!("{} cannot be written", file.display())),
    }
}

/// What to do with the key.
fn words(
    domain: &Domain,
    selector: &Selector,
    name: &Domain,
    record: &str,
    file: &Path,
) -> Vec<String> {
    let file = file.display();
    vec![
        format!("The private key is in {file}; make it the relay's user's: chown sts-relay {file}"),
        String::new(),
        "1. Publish the record. In a zone file:".to_owned(),
        String::new(),
        zone_line(name, record),
        String::new(),
        "   In a provider's form:".to_owned(),
        String::new(),
        format!("name   {selector}._domainkey   (below {domain})"),
        "type   TXT".to_owned(),
        format!("value  {record}"),
        String::new(),
        "2. Name the key in the settings:".to_owned(),
        String::new(),
        "[[dkim]]".to_owned(),
        format!("domain = \"{domain}\""),
        format!("selector = \"{selector}\""),
        format!("key_file = \"{file}\""),
        String::new(),
        format!("3. sts-relay dkim check {domain}, and then reload the relay (SIGHUP)."),
        String::new(),
        "The record has no s=, so the key is for mail and for TLS reports. A key whose record has"
            .to_owned(),
        "s=tlsrpt signs reports alone: use one besides, not instead.".to_owned(),
    ]
}

/// A record as a zone file has it, in strings that are not too long.
fn zone_line(name: &Domain, record: &str) -> String {
    let strings = (0..record.len())
        .step_by(STRING_MOST)
        .filter_map(|from| record.get(from..record.len().min(from.saturating_add(STRING_MOST))));
    let strings: Vec<_> = strings.map(|string| format!("\"{string}\"")).collect();
    format!("{name}. IN TXT ( {} )", strings.join(" "))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_key_is_written_once_and_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.key");
        write(&file, "secret").unwrap();
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let again = write(&file, "other").unwrap_err().to_string();
        assert!(again.contains("is there already"), "{again}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "secret");
    }

    #[test]
    fn a_long_record_is_cut_into_strings() {
        let name = Domain::parse("a._domainkey.example.org").unwrap();
        let line = zone_line(&name, &"x".repeat(600));
        let strings: Vec<_> = line.split('"').skip(1).step_by(2).map(str::len).collect();
        assert_eq!(strings, [255, 255, 90]);
        assert!(line.starts_with("a._domainkey.example.org. IN TXT ( \""), "{line}");
    }

    #[test]
    fn a_key_of_each_algorithm_has_a_name_for_each_month() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let name = |algorithm| of_month(algorithm, now).unwrap().to_string();
        assert_eq!(name(Algorithm::RsaSha256), "s202701");
        assert_eq!(name(Algorithm::Ed25519Sha256), "e202701");
    }
}
