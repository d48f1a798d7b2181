//! Key records (RFC 6376 §3.6.1).

use std::fmt::{self, Display, Formatter};

use crate::key::SigningKey;
use crate::service::Service;
use crate::tags::{is_blank, tags};

/// What a key record says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeyRecord {
    key_type: String,
    /// In base64 without blanks; empty: the key is revoked.
    public_key: String,
    /// The hashes that signatures may have; none: any.
    hashes: Option<Vec<String>>,
    /// What the key is for; none: anything.
    services: Option<Vec<String>>,
    phase: Phase,
}

/// Whether a domain only tries DKIM out (the flag `t=y`).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Phase {
    /// It does not.
    InUse,
    /// It does, and verifiers treat mail as if it was not signed.
    Testing,
}

impl KeyRecord {
    /// The record of a key that is for everything, as it is to be published.
    #[must_use]
    pub fn of(key: &SigningKey) -> Self {
        Self {
            key_type: key.algorithm().key_type().to_owned(),
            public_key: key.public_key(),
            hashes: None,
            services: None,
            phase: Phase::InUse,
        }
    }

    /// Reads the text of a TXT record, its strings joined.
    ///
    /// # Errors
    ///
    /// [`RecordError`]: verifiers disregard it.
    pub fn parse(text: &str) -> Result<Self, RecordError> {
        let tags = tags(text).ok_or(RecordError::Malformed)?;
        let find =
            |name: &str| tags.iter().find(|(found, _)| *found == name).map(|(_, value)| *value);
        match (tags.first(), find("v")) {
            (_, None) | (Some(("v", "DKIM1")), _) => {}
            (_, Some(_)) => return Err(RecordError::Version),
        }
        let public_key = find("p").ok_or(RecordError::NoKey)?;
        let flags = find("t").map(list).unwrap_or_default();
        let testing = flags.iter().any(|flag| flag == "y");
        Ok(Self {
            key_type: find("k").unwrap_or("rsa").to_owned(),
            public_key: public_key.split(is_blank).collect(),
            hashes: find("h").map(list),
            services: find("s").map(list),
            phase: if testing { Phase::Testing } else { Phase::InUse },
        })
    }

    /// Whether the key is revoked.
    #[must_use]
    pub fn is_revoked(&self) -> bool {
        self.public_key.is_empty()
    }

    /// Whether it is the record of this key.
    #[must_use]
    pub fn is_of(&self, key: &SigningKey) -> bool {
        let kind = key.algorithm().key_type();
        self.key_type.eq_ignore_ascii_case(kind) && self.public_key == key.public_key()
    }

    /// Whether verifiers take signatures with SHA-256, the only hash that ours have.
    #[must_use]
    pub fn allows_sha256(&self) -> bool {
        self.hashes.as_ref().is_none_or(|hashes| hashes.iter().any(|hash| hash == "sha256"))
    }

    /// Whether verifiers take the key for this service (RFC 6376 §3.6.1, RFC 8460 §3).
    #[must_use]
    pub fn serves(&self, service: Service) -> bool {
        let names_it = |name: &String| name == "*" || name == service.name();
        self.services.as_ref().is_none_or(|services| services.iter().any(names_it))
    }

    /// Whether the domain only tries DKIM out.
    #[must_use]
    pub const fn phase(&self) -> Phase {
        self.phase
    }
}

/// The items of a value with colons, in lower case.
fn list(value: &str) -> Vec<String> {
    value.split(':').map(|item| item.trim_matches(is_blank).to_ascii_lowercase()).collect()
}

/// As it is published: without defaults, but for the key's type, which not all verifiers know.
impl Display for KeyRecord {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "v=DKIM1; k={}; ", self.key_type)?;
        for (tag, values) in [("h", &self.hashes), ("s", &self.services)] {
            if let Some(values) = values {
                write!(f, "{tag}={}; ", values.join(":"))?;
            }
        }
        if self.phase == Phase::Testing {
            write!(f, "t=y; ")?;
        }
        write!(f, "p={}", self.public_key)
    }
}

/// Why a text is no key record.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RecordError {
    /// It is no list of tags, or one tag stands there twice.
    #[error("the record is no list of tags, or has one twice")]
    Malformed,
    /// The key is missing, which is not the same as revoked.
    #[error("the record has no tag p=")]
    NoKey,
    /// The tag `v=` is not first, or of another version.
    #[error("the tag v= of the record is not first, or not DKIM1")]
    Version,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Algorithm;

    #[test]
    fn the_records_of_rfc_8463_are_read() {
        // RFC 8463 §A.2.
        let record =
            KeyRecord::parse("v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=");
        let record = record.unwrap();
        assert_eq!(record.key_type, Algorithm::Ed25519Sha256.key_type());
        assert_eq!(record.public_key, "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=");
        assert_eq!(record.phase(), Phase::InUse);
    }

    #[test]
    fn what_a_record_leaves_out_is_not_restricted() {
        let record = KeyRecord::parse("p=AAAA BBBB\tCCCC").unwrap();
        assert_eq!((record.key_type.as_str(), record.public_key.as_str()), ("rsa", "AAAABBBBCCCC"));
        assert!(record.allows_sha256() && !record.is_revoked());
        assert!(record.serves(Service::Email) && record.serves(Service::TlsRpt));
        assert!(KeyRecord::parse("v=DKIM1; p=").unwrap().is_revoked());
    }

    #[test]
    fn restrictions_count() {
        let read = |text: &str| KeyRecord::parse(text).unwrap();
        let serves = |text: &str| {
            let record = read(text);
            (record.serves(Service::Email), record.serves(Service::TlsRpt))
        };
        assert_eq!(serves("s=email; p=A"), (true, false));
        assert_eq!(serves("s=tlsrpt; p=A"), (false, true));
        assert_eq!(serves("s= TLSRPT : email ; p=A"), (true, true));
        assert_eq!(serves("s=*; p=A"), (true, true));
        assert_eq!(serves("s=; p=A"), (false, false));
        assert!(read("h=sha1:sha256; p=A").allows_sha256());
        assert!(!read("h=sha1; p=A").allows_sha256());
        assert_eq!(read("t=s:Y; p=A").phase(), Phase::Testing);
        assert_eq!(read("t=s; p=A").phase(), Phase::InUse);
    }

    #[test]
    fn what_verifiers_disregard_is_no_record() {
        for (text, error) in [
            ("", RecordError::Malformed),
            ("v=spf1 -all", RecordError::Version),
            ("v=DKIM2; p=A", RecordError::Version),
            ("p=A; v=DKIM1", RecordError::Version),
            ("v=DKIM1; k=rsa", RecordError::NoKey),
            ("p=A; p=B", RecordError::Malformed),
        ] {
            assert_eq!(KeyRecord::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn a_record_is_that_of_its_key_alone() {
        let key = |algorithm| SigningKey::generate(algorithm).unwrap();
        let (one, other) = (key(Algorithm::Ed25519Sha256), key(Algorithm::Ed25519Sha256));
        let record = KeyRecord::parse(&KeyRecord::of(&one).to_string()).unwrap();
        assert_eq!(record, KeyRecord::of(&one));
        assert!(record.is_of(&one) && !record.is_of(&other));
        let text = "v=DKIM1; k=rsa; h=sha256; s=email; t=y; p=AAAA";
        assert_eq!(KeyRecord::parse(text).unwrap().to_string(), text);
    }
}
