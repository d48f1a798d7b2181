//! `sts-relay dkim check`

use std::io;

use anyhow::{Context as _, ensure};
use dkim::{KeyRecord, KeyService, KeyState, ListedKey, Publication};
use dns::Resolver;
use mail::in_full;
use serde::Serialize;
use settings::Settings;
use smtp::Domain;

use crate::cli::ending::Ending;
use crate::cli::output::{Format, Output};
use crate::cli::table::{Room, Table};
use crate::key_records;

/// A key, and what was found of it.
#[derive(Debug, Serialize)]
struct CheckedKey {
    domain: String,
    selector: String,
    /// Where its record is.
    record: String,
    algorithm: &'static str,
    /// What it signs: `any`, `email` or `tlsrpt`.
    service: &'static str,
    /// A word for what its record is.
    state: String,
    /// What is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<String>,
    /// What should be published.
    expected: String,
}

/// Compares keys with their records: all is well where each is published.
pub(super) async fn run(
    settings: &Settings,
    domain: Option<&str>,
    format: Format,
    output: &mut Output,
) -> anyhow::Result<Ending> {
    let only =
        domain.map(|text| Domain::parse(text).with_context(|| format!("`{text}` is not a domain")));
    let only = only.transpose()?;
    let is_meant =
        |key: &&ListedKey| only.as_ref().is_none_or(|domain| key.key().signer.domain() == domain);
    let keys: Vec<_> = settings.dkim.table.keys().filter(is_meant).collect();
    ensure!(!keys.is_empty(), "the settings have no such [[dkim]] key");
    let resolver = Resolver::new(settings.dns.clone())?;
    let (mut checked, mut ending) = (Vec::new(), Ending::Done);
    for key in keys {
        let (state, found) = check(&resolver, key).await;
        if state != KeyState::Published {
            ending = Ending::Refused;
        }
        checked.push(found);
    }
    format.write(&checked, output, |checked, output| print(checked, output))?;
    Ok(ending)
}

/// Looks up the record of one key.
async fn check(resolver: &Resolver, key: &ListedKey) -> (KeyState, CheckedKey) {
    let configured = key.key();
    let signer = &configured.signer;
    let (publication, error) = match key_records::published(resolver, key).await {
        Ok(publication) => (publication, None),
        Err(error) => (Publication::Unknown, Some(in_full(&error))),
    };
    let state = publication.state_for_all(signer, configured.service);
    let found = CheckedKey {
        domain: signer.domain().to_string(),
        selector: signer.selector().to_string(),
        record: signer.record_name().to_string(),
        algorithm: signer.key().algorithm().name(),
        service: match configured.service {
            KeyService::Any => "any",
            KeyService::Only(service) => service.name(),
        },
        state: state.word().to_owned(),
        fault: error.or_else(|| state.fault()),
        expected: KeyRecord::of(signer.key()).to_string(),
    };
    (state, found)
}

fn print(checked: &[CheckedKey], output: &mut Output) -> io::Result<()> {
    let mut table = Table::new([
        ("RECORD", Room::AtLeast(24)),
        ("ALGORITHM", Room::Whole),
        ("SERVICE", Room::Whole),
        ("STATE", Room::Whole),
    ]);
    for key in checked {
        let (algorithm, service) = (key.algorithm.to_owned(), key.service.to_owned());
        table.row([key.record.clone(), algorithm, service, key.state.clone()]);
    }
    table.print(output.width(), output)?;
    for CheckedKey { record, fault, expected, .. } in checked {
        let Some(fault) = fault else { continue };
        output.line("")?;
        output.line(format_args!("{record}: {fault}"))?;
        output.line(format_args!("  to be published: {expected}"))?;
    }
    Ok(())
}
