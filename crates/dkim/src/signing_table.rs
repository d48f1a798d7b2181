//! Which keys sign what: the configured keys, and what is known of their records.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use smtp::Domain;

use crate::field::FieldName;
use crate::hasher::MessageHash;
use crate::publication::{KeyState, Publication};
use crate::service::{KeyService, Service};
use crate::signer::{SignError, Signer};

/// A key as it is configured.
#[derive(Clone, Debug)]
pub struct ConfiguredKey {
    /// What signs.
    pub signer: Arc<Signer>,
    /// What it signs.
    pub service: KeyService,
    /// From when on it signs; none: from the start.
    pub not_before: Option<SystemTime>,
    /// Until when it signs; none: without end.
    pub not_after: Option<SystemTime>,
}

impl ConfiguredKey {
    /// Whether it is its time.
    #[must_use]
    pub fn is_in_time(&self, now: SystemTime) -> bool {
        self.not_before.is_none_or(|from| now >= from)
            && self.not_after.is_none_or(|until| now < until)
    }
}

/// What becomes of mail that should be signed while no key can.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum WithoutKey {
    /// It is refused for now, so that it waits with whoever hands it in.
    Refuse,
    /// It goes unsigned.
    #[default]
    Send,
}

/// The configured keys, each with what is known of its record.
///
/// It is shared by all who sign and by the one who looks records up.
#[derive(Debug, Default)]
pub struct SigningTable {
    keys: Vec<ListedKey>,
    without_key: WithoutKey,
}

/// A key of a table.
#[derive(Debug)]
pub struct ListedKey {
    key: ConfiguredKey,
    publication: RwLock<Publication>,
}

/// Who signs a message.
#[derive(Clone, Debug)]
pub enum Choice {
    /// No key is configured for it.
    NoKey,
    /// These do, one at least.
    Signers(Vec<Arc<Signer>>),
    /// There are keys for it, none of which can be used; what becomes of the message then.
    Unusable(WithoutKey),
}

impl Choice {
    /// The signatures of a message, which go before it; empty where nobody signs.
    ///
    /// # Errors
    ///
    /// [`SignError`]: one of them cannot be made.
    pub fn sign(&self, message: &MessageHash, now: SystemTime) -> Result<String, SignError> {
        match self {
            Self::NoKey | Self::Unusable(_) => Ok(String::new()),
            Self::Signers(signers) => {
                signers.iter().map(|signer| signer.sign(message, now)).collect()
            }
        }
    }
}

impl SigningTable {
    /// A table of these keys, whose records are not known yet.
    #[must_use]
    pub fn new(keys: impl IntoIterator<Item = ConfiguredKey>, without_key: WithoutKey) -> Self {
        let listed = |key| ListedKey { key, publication: RwLock::new(Publication::Unknown) };
        Self { keys: keys.into_iter().map(listed).collect(), without_key }
    }

    /// Whether there is no key, so that nothing has to be done.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The keys, in the order of the settings.
    pub fn keys(&self) -> impl Iterator<Item = &ListedKey> {
        self.keys.iter()
    }

    /// The names of all fields that any key signs of mail.
    pub fn field_names(&self) -> impl Iterator<Item = &FieldName> {
        self.keys.iter().flat_map(|listed| listed.key.signer.fields().names())
    }

    /// Takes over what another table knows of the same keys.
    pub fn inherit(&self, before: &Self) {
        for key in &self.keys {
            if let Some(known) = before.keys.iter().find(|other| other.is_same(key)) {
                key.publish(known.publication());
            }
        }
    }

    /// Who signs mail whose author is of one of these domains.
    #[must_use]
    pub fn for_mail(&self, from: &[Domain], now: SystemTime) -> Choice {
        self.choose(now, Service::Email, |signer| from.iter().any(|from| signer.signs_for(from)))
    }

    /// Who signs reports that this domain submits: its own keys, not those of a domain above it
    /// (RFC 8460 §5.3).
    #[must_use]
    pub fn for_reports(&self, submitter: &Domain, now: SystemTime) -> Choice {
        self.choose(now, Service::TlsRpt, |signer| signer.domain() == submitter)
    }

    fn choose(
        &self,
        now: SystemTime,
        service: Service,
        is_for: impl Fn(&Signer) -> bool,
    ) -> Choice {
        let is_meant =
            |listed: &&ListedKey| listed.key.service.covers(service) && is_for(&listed.key.signer);
        let meant: Vec<_> = self.keys.iter().filter(is_meant).collect();
        let can_sign = |listed: &&&ListedKey| {
            listed.key.is_in_time(now) && listed.state_for(service).can_sign()
        };
        let signer = |listed: &&ListedKey| Arc::clone(&listed.key.signer);
        let signers: Vec<_> = meant.iter().filter(can_sign).map(signer).collect();
        if meant.is_empty() {
            Choice::NoKey
        } else if signers.is_empty() {
            Choice::Unusable(self.without_key)
        } else {
            Choice::Signers(signers)
        }
    }
}

impl ListedKey {
    /// The key.
    #[must_use]
    pub const fn key(&self) -> &ConfiguredKey {
        &self.key
    }

    /// What is known of its record.
    #[must_use]
    pub fn publication(&self) -> Publication {
        self.publication.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes what the DNS says of its record.
    pub fn publish(&self, publication: Publication) {
        *self.publication.write().unwrap_or_else(PoisonError::into_inner) = publication;
    }

    /// Its state for all that it signs.
    #[must_use]
    pub fn state(&self) -> KeyState {
        self.publication().state_for_all(&self.key.signer, self.key.service)
    }

    /// Its state for one service.
    #[must_use]
    pub fn state_for(&self, service: Service) -> KeyState {
        self.publication().state(&self.key.signer, service)
    }

    /// Whether it is the same key at the same name.
    fn is_same(&self, other: &Self) -> bool {
        let (one, other) = (&self.key.signer, &other.key.signer);
        one.record_name() == other.record_name()
            && one.key().public_key() == other.key().public_key()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{Algorithm, KeyRecord, Selector, SignedFields, SigningKey};

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    fn key(domain: &str, selector: &str) -> ConfiguredKey {
        let key = SigningKey::generate(Algorithm::Ed25519Sha256).unwrap();
        let (domain, selector) = (Domain::parse(domain), Selector::parse(selector));
        let fields = SignedFields::of_mail();
        let signer = Signer::new(domain.unwrap(), selector.unwrap(), key, fields).unwrap();
        let (service, not_before, not_after) = (KeyService::Any, None, None);
        ConfiguredKey { signer: Arc::new(signer), service, not_before, not_after }
    }

    /// Names of the keys that sign mail of this domain, or why none does.
    fn who(table: &SigningTable, from: &str, now: SystemTime) -> String {
        match table.for_mail(&[Domain::parse(from).unwrap()], now) {
            Choice::NoKey => "no key".to_owned(),
            Choice::Unusable(without) => format!("{without:?}"),
            Choice::Signers(signers) => {
                let names = signers.iter().map(|signer| signer.record_name().to_string());
                names.collect::<Vec<_>>().join(" ")
            }
        }
    }

    fn publish(table: &SigningTable) {
        for listed in table.keys() {
            listed.publish(Publication::Record(KeyRecord::of(listed.key().signer.key())));
        }
    }

    #[test]
    fn every_key_of_the_authors_domain_or_one_above_signs() {
        let keys = [key("a.example", "x"), key("b.a.example", "y"), key("c.example", "z")];
        let table = SigningTable::new(keys, WithoutKey::Send);
        publish(&table);
        assert_eq!(who(&table, "a.example", NOW), "x._domainkey.a.example");
        let both = "x._domainkey.a.example y._domainkey.b.a.example";
        assert_eq!(who(&table, "b.a.example", NOW), both);
        assert_eq!(who(&table, "d.example", NOW), "no key");
        assert_eq!(who(&SigningTable::default(), "a.example", NOW), "no key");
        let reports = |of: &str| table.for_reports(&Domain::parse(of).unwrap(), NOW);
        assert!(matches!(reports("a.example"), Choice::Signers(signers) if signers.len() == 1));
        assert!(matches!(reports("d.a.example"), Choice::NoKey));
    }

    #[test]
    fn a_key_without_its_record_does_not_sign() {
        for (without, words) in [(WithoutKey::Send, "Send"), (WithoutKey::Refuse, "Refuse")] {
            let table = SigningTable::new([key("a.example", "x"), key("a.example", "y")], without);
            assert_ne!(who(&table, "a.example", NOW), words, "not looked up yet");
            publish(&table);
            table.keys().next().unwrap().publish(Publication::Missing);
            assert_eq!(who(&table, "a.example", NOW), "y._domainkey.a.example");
            table.keys().for_each(|listed| listed.publish(Publication::Missing));
            assert_eq!(who(&table, "a.example", NOW), words);
        }
    }

    #[test]
    fn a_key_signs_in_its_time_and_for_its_service() {
        let at = |seconds| NOW + Duration::from_secs(seconds);
        let old = ConfiguredKey { not_after: Some(at(20)), ..key("a.example", "old") };
        let new = ConfiguredKey { not_before: Some(at(10)), ..key("a.example", "new") };
        let reports = KeyService::Only(Service::TlsRpt);
        let reports = ConfiguredKey { service: reports, ..key("a.example", "reports") };
        let table = SigningTable::new([old, new, reports], WithoutKey::Send);
        publish(&table);
        let (old, new) = ("old._domainkey.a.example", "new._domainkey.a.example");
        assert_eq!(who(&table, "a.example", at(9)), old);
        assert_eq!(who(&table, "a.example", at(10)), format!("{old} {new}"));
        assert_eq!(who(&table, "a.example", at(20)), new);
        let reports = table.for_reports(&Domain::parse("a.example").unwrap(), at(9));
        assert!(matches!(reports, Choice::Signers(signers) if signers.len() == 2));
    }

    #[test]
    fn a_new_table_knows_what_the_old_one_knew_of_the_same_keys() {
        let (kept, gone, new) =
            (key("a.example", "x"), key("b.example", "x"), key("b.example", "x"));
        let before = SigningTable::new([kept.clone(), gone], WithoutKey::Send);
        publish(&before);
        let after = SigningTable::new([new, kept], WithoutKey::Send);
        after.inherit(&before);
        let states: Vec<_> = after.keys().map(ListedKey::state).collect();
        assert_eq!(states, [KeyState::Unknown, KeyState::Published]);
    }
}
