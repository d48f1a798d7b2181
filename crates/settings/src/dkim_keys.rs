//! `[[dkim]]`: the keys that sign mail.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clock::Timestamp;
use dkim::{
    Algorithm, ConfiguredKey, FieldName, KeyService, Selector, Service, SignedFields, Signer,
    SigningKey, SigningTable, WithoutKey,
};
use mail::in_full;
use smtp::Domain;

use crate::check::Check;
use crate::file::unreadable;
use crate::raw_dkim::{RawAlgorithm, RawDkim, RawKeyService};

/// The keys that sign mail.
#[derive(Clone, Debug, Default)]
pub struct DkimSettings {
    /// Which of them sign what.
    pub table: Arc<SigningTable>,
    /// Where they are kept.
    pub key_files: Vec<PathBuf>,
}

impl Check<'_> {
    /// The keys that sign mail.
    pub(crate) fn dkim(&mut self) -> DkimSettings {
        let mut keys = Vec::<ConfiguredKey>::new();
        for (number, raw) in self.raw.dkim.iter().enumerate() {
            let at = KeyNumber { number };
            let Some(key) = self.key(at, raw) else { continue };
            let name = key.signer.record_name();
            if keys.iter().any(|other| other.signer.record_name() == name) {
                self.wrong(&at.key("selector"), &format!("another key has the record {name}"));
            }
            keys.push(key);
        }
        let require = self.raw.dkim_signing.require;
        let without_key = if require { WithoutKey::Refuse } else { WithoutKey::Send };
        let table = Arc::new(SigningTable::new(keys, without_key));
        DkimSettings { table, key_files: self.key_files() }
    }

    fn key_files(&self) -> Vec<PathBuf> {
        self.raw.dkim.iter().map(|raw| raw.key_file.clone()).collect()
    }

    /// One key, unless something is wrong with it.
    fn key(&mut self, at: KeyNumber, raw: &RawDkim) -> Option<ConfiguredKey> {
        let domain = self.or_wrong(&at.key("domain"), Domain::parse(&raw.domain).map(Some));
        let selector = self.or_wrong(&at.key("selector"), Selector::parse(&raw.selector).map(Some));
        let key = self.or_wrong(&at.key("key_file"), read(&raw.key_file).map(Some));
        let fields = self.or_wrong(&at.key("headers"), fields(&raw.headers).map(Some));
        self.times(at, raw);
        let key = key?;
        if let Some(problem) = mismatch(raw.algorithm, key.algorithm()) {
            self.wrong(&at.key("algorithm"), &problem);
        }
        let signer = Signer::new(domain?, selector?, key, fields?).map(Arc::new).map(Some);
        let time = |time: Option<Timestamp>| time.map(Timestamp::time);
        Some(ConfiguredKey {
            signer: self.or_wrong(&at.key("selector"), signer)?,
            service: raw.service.into(),
            not_before: time(raw.not_before),
            not_after: time(raw.not_after),
        })
    }

    /// Looks at when a key signs.
    fn times(&mut self, at: KeyNumber, raw: &RawDkim) {
        let Some(until) = raw.not_after else { return };
        if raw.not_before.is_some_and(|from| from >= until) {
            let problem = "is not later than not_before, so the key never signs";
            self.wrong_with(&at.key("not_after"), &at.key("not_before"), problem);
        } else if until.time() <= self.now {
            let RawDkim { domain, selector, .. } = raw;
            self.warnings.push(format!(
                "the DKIM key {selector} of {domain} signs no more since {until} (not_after)"
            ));
        }
    }
}

/// Which key is meant.
#[derive(Clone, Copy, Debug)]
struct KeyNumber {
    number: usize,
}

impl KeyNumber {
    fn key(self, name: &str) -> String {
        format!("dkim.{}.{name}", self.number)
    }
}

/// The key in a file.
fn read(file: &Path) -> Result<SigningKey, String> {
    if file.as_os_str().is_empty() {
        return Err(
            "names no file: write the path of the private key, which `sts-relay dkim keygen` makes"
                .to_owned(),
        );
    }
    let of_file = |problem: String| format!("{}: {problem}", file.display());
    let pem = fs::read(file).map_err(|error| of_file(unreadable(&error)))?;
    SigningKey::from_pem(&pem).map_err(|error| of_file(in_full(&error)))
}

/// The fields of a list of names.
fn fields(names: &[String]) -> Result<SignedFields, String> {
    let name = |name: &String| FieldName::parse(name).map_err(|error| format!("`{name}`: {error}"));
    let names: Vec<_> = names.iter().map(name).collect::<Result<_, _>>()?;
    SignedFields::new(names).map_err(|error| error.to_string())
}

/// What is wrong where a key is of another algorithm than it should be.
fn mismatch(meant: RawAlgorithm, found: Algorithm) -> Option<String> {
    let meant = match meant {
        RawAlgorithm::Auto => return None,
        RawAlgorithm::Ed25519Sha256 => Algorithm::Ed25519Sha256,
        RawAlgorithm::RsaSha256 => Algorithm::RsaSha256,
    };
    (meant != found).then(|| format!("the key in key_file is for {found}"))
}

impl From<RawKeyService> for KeyService {
    fn from(service: RawKeyService) -> Self {
        match service {
            RawKeyService::Any => Self::Any,
            RawKeyService::Email => Self::Only(Service::Email),
            RawKeyService::TlsRpt => Self::Only(Service::TlsRpt),
        }
    }
}
