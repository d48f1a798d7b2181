//! Reports of what the tests have counted, left in a folder for programs of others to read.
//!
//! `STS_RELAY_REPORTS` names the folder; without it nothing is left. Each report is there as a file that
//! is posted and as a message that is mailed, signed by two keys whose records are in `key-records`.
//! The theme `reporting` of `tests/real` has them read.

use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use dkim::{
    Algorithm, FieldName, KeyRecord, MessageHasher, Selector, SignedFields, Signer, SigningKey,
};
use smtp::Domain;
use tls_rpt::{Day, DomainTally, Instance, MailAddress, Report, SIGNED_FIELDS, Submitter, message};

/// Where reports are left, and who signs them.
static PLACE: LazyLock<Option<(PathBuf, [Signer; 2])>> = LazyLock::new(|| {
    let folder = PathBuf::from(std::env::var_os("STS_RELAY_REPORTS")?);
    fs::create_dir_all(&folder).unwrap();
    let keys = [signer("rsa", Algorithm::RsaSha256), signer("ed", Algorithm::Ed25519Sha256)];
    let record =
        |key: &Signer| format!("{}. {}\n", key.record_name().as_str(), KeyRecord::of(key.key()));
    fs::write(folder.join("key-records"), keys.iter().map(record).collect::<String>()).unwrap();
    Some((folder, keys))
});

/// A key of the submitter's domain.
fn signer(selector: &str, algorithm: Algorithm) -> Signer {
    let names = SIGNED_FIELDS.iter().map(|name| FieldName::parse(name).unwrap());
    let fields = SignedFields::new(names).unwrap();
    let (domain, selector) = (Domain::parse("sender.test"), Selector::parse(selector));
    let key = SigningKey::generate(algorithm).unwrap();
    Signer::new(domain.unwrap(), selector.unwrap(), key, fields).unwrap()
}

/// Leaves the report of what was counted on a day; the same report again has the same name.
pub(crate) fn leave(day: Day, tally: &DomainTally) {
    let Some((folder, keys)) = &*PLACE else { return };
    let contact = MailAddress::parse("tls@sender.test").unwrap();
    let submitter = Submitter::new(contact, "Sender", Instance::parse("001").unwrap());
    let Some(report) = Report::new(&submitter, day, tally) else { return };
    let mut digest = DefaultHasher::new();
    report.to_gzip().hash(&mut digest);
    let name = format!("{}-{:016x}", tally.domain(), digest.finish());
    fs::write(folder.join(&name).with_added_extension("json.gz"), report.to_gzip()).unwrap();
    let to = MailAddress::parse("tls@reports.test").unwrap();
    // In the past of whoever reads it.
    let date = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let body = message(&report, &to, date);
    let mut hasher = MessageHasher::new();
    hasher.feed(&body);
    let hash = hasher.finish();
    let mut signed: Vec<u8> =
        keys.iter().flat_map(|key| key.sign(&hash, date).unwrap().into_bytes()).collect();
    signed.extend(body);
    fs::write(folder.join(&name).with_added_extension("eml"), signed).unwrap();
}
