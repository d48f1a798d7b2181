//! Whether the record of a key is published, and what follows from it.

use crate::record::{KeyRecord, Phase, RecordError};
use crate::service::{KeyService, Service};
use crate::signer::Signer;

/// What the DNS says at the name of a key's record.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Publication {
    /// There is one record, which verifiers disregard.
    Faulty(RecordError),
    /// There is none.
    Missing,
    /// There is one.
    Record(KeyRecord),
    /// There are several, and what verifiers do then is not known (RFC 6376 §3.6.2.2).
    Several,
    /// It was not looked up yet, or the DNS has never answered.
    Unknown,
}

impl Publication {
    /// What these TXT records say, each with its strings joined.
    #[must_use]
    pub fn of<T: AsRef<str>>(records: impl IntoIterator<Item = T>) -> Self {
        let mut records = records.into_iter();
        match (records.next(), records.next()) {
            (None, _) => Self::Missing,
            (Some(_), Some(_)) => Self::Several,
            (Some(text), None) => {
                KeyRecord::parse(text.as_ref()).map_or_else(Self::Faulty, Self::Record)
            }
        }
    }

    /// What it is for this signer, used for this service.
    #[must_use]
    pub fn state(&self, signer: &Signer, service: Service) -> KeyState {
        let record = match self {
            Self::Faulty(error) => return KeyState::Faulty(*error),
            Self::Missing => return KeyState::Missing,
            Self::Several => return KeyState::Several,
            Self::Unknown => return KeyState::Unknown,
            Self::Record(record) => record,
        };
        if record.is_revoked() {
            KeyState::Revoked
        } else if !record.is_of(signer.key()) {
            KeyState::OtherKey
        } else if !record.allows_sha256() {
            KeyState::HashExcluded
        } else if !record.serves(service) {
            KeyState::ServiceExcluded
        } else {
            match record.phase() {
                Phase::InUse => KeyState::Published,
                Phase::Testing => KeyState::Testing,
            }
        }
    }

    /// What it is for a key that is used for these services: the worse of two.
    #[must_use]
    pub fn state_for_all(&self, signer: &Signer, services: KeyService) -> KeyState {
        let both = [Service::Email, Service::TlsRpt].into_iter();
        let covered = both.filter(|service| services.covers(*service));
        let mut states = covered.map(|service| self.state(signer, service));
        let first = states.next().unwrap_or(KeyState::Unknown);
        states.fold(first, |worse, state| if worse.can_sign() { state } else { worse })
    }
}

/// Whether a key can be used, by what its record says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum KeyState {
    /// The record cannot be understood.
    Faulty(RecordError),
    /// The record allows other hashes alone.
    HashExcluded,
    /// There is no record.
    Missing,
    /// The record is that of another key.
    OtherKey,
    /// The record is there.
    Published,
    /// The record says that the key is revoked.
    Revoked,
    /// The record is for other services.
    ServiceExcluded,
    /// There are several records.
    Several,
    /// The record is there, and verifiers are told to treat signatures as none.
    Testing,
    /// It is not known, because the DNS has not answered yet.
    Unknown,
}

impl KeyState {
    /// Each of them once, for a metric that shows all.
    pub const ALL: [Self; 10] = [
        Self::Faulty(RecordError::Malformed),
        Self::HashExcluded,
        Self::Missing,
        Self::OtherKey,
        Self::Published,
        Self::Revoked,
        Self::ServiceExcluded,
        Self::Several,
        Self::Testing,
        Self::Unknown,
    ];

    /// Whether a key signs in this state. One whose record could not be looked up does: what does not
    /// verify counts like no signature (RFC 6376 §6.1), and what is missing counts against the mail.
    #[must_use]
    pub const fn can_sign(self) -> bool {
        match self {
            Self::Published | Self::Testing | Self::Unknown => true,
            Self::Faulty(_)
            | Self::HashExcluded
            | Self::Missing
            | Self::OtherKey
            | Self::Revoked
            | Self::ServiceExcluded
            | Self::Several => false,
        }
    }

    /// A word for a metric and for scripts.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Faulty(_) => "faulty",
            Self::HashExcluded => "hash-excluded",
            Self::Missing => "missing",
            Self::OtherKey => "other-key",
            Self::Published => "published",
            Self::Revoked => "revoked",
            Self::ServiceExcluded => "service-excluded",
            Self::Several => "several-records",
            Self::Testing => "testing",
            Self::Unknown => "unknown",
        }
    }

    /// What is wrong, in words for an operator; none where nothing is.
    #[must_use]
    pub fn fault(self) -> Option<String> {
        let words = match self {
            Self::Faulty(error) => return Some(error.to_string()),
            Self::HashExcluded => "the record excludes SHA-256 (tag h=)",
            Self::Missing => "there is no such record",
            Self::OtherKey => "the record is that of another key",
            Self::Published => return None,
            Self::Revoked => "the record says that the key is revoked (p=)",
            Self::ServiceExcluded => "the record is for other services (tag s=)",
            Self::Several => "there are several records",
            Self::Testing => "the record has t=y, so verifiers treat mail as if it was not signed",
            Self::Unknown => "the DNS does not answer",
        };
        Some(words.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use smtp::Domain;

    use super::*;
    use crate::{Algorithm, Selector, SignedFields, SigningKey};

    fn signer() -> Signer {
        let key = SigningKey::generate(Algorithm::Ed25519Sha256).unwrap();
        let (domain, selector) = (Domain::parse("a.example"), Selector::parse("s"));
        Signer::new(domain.unwrap(), selector.unwrap(), key, SignedFields::of_mail()).unwrap()
    }

    #[test]
    fn a_key_signs_once_its_record_is_published() {
        let signer = signer();
        let public = signer.key().public_key();
        let record = |tags: &str| format!("v=DKIM1; k=ed25519; {tags}p={public}");
        for (records, state, signs) in [
            (vec![record("")], KeyState::Published, true),
            (vec![record("t=y; ")], KeyState::Testing, true),
            (vec![], KeyState::Missing, false),
            (vec![record(""), record("")], KeyState::Several, false),
            (vec![record("s=tlsrpt; ")], KeyState::ServiceExcluded, false),
            (vec![record("h=sha1; ")], KeyState::HashExcluded, false),
            (vec!["v=DKIM1; p=".to_owned()], KeyState::Revoked, false),
            (vec![format!("v=DKIM1; p={public}")], KeyState::OtherKey, false),
            (vec!["v=spf1".to_owned()], KeyState::Faulty(RecordError::Version), false),
        ] {
            let publication = Publication::of(&records);
            assert_eq!(publication.state(&signer, Service::Email), state, "{records:?}");
            assert_eq!(state.can_sign(), signs, "{state:?}");
            assert_eq!(state.fault().is_none(), state == KeyState::Published, "{state:?}");
        }
        assert!(Publication::Unknown.state(&signer, Service::Email).can_sign());
    }

    #[test]
    fn a_key_for_everything_is_as_good_as_its_record_is_for_the_lesser_service() {
        let signer = signer();
        let public = signer.key().public_key();
        let state = |tag: &str, services| {
            let record = format!("v=DKIM1; k=ed25519; {tag}p={public}");
            Publication::of([&record]).state_for_all(&signer, services)
        };
        let (email, reports) =
            (KeyService::Only(Service::Email), KeyService::Only(Service::TlsRpt));
        assert_eq!(state("s=email; ", KeyService::Any), KeyState::ServiceExcluded);
        assert_eq!(state("s=email; ", email), KeyState::Published);
        assert_eq!(state("s=tlsrpt; ", KeyService::Any), KeyState::ServiceExcluded);
        assert_eq!(state("s=tlsrpt; ", reports), KeyState::Published);
        assert_eq!(state("", KeyService::Any), KeyState::Published);
    }

    #[test]
    fn words_of_states_differ() {
        let words: std::collections::BTreeSet<_> =
            KeyState::ALL.into_iter().map(KeyState::word).collect();
        assert_eq!(words.len(), KeyState::ALL.len());
    }
}
