//! `[[dkim]]` and `[dkim_signing]` as they are typed.
//!
//! What is said once for all keys has a section of its own: in TOML a list of tables and a table
//! cannot have one name.

use std::path::PathBuf;

use clock::Timestamp;
use serde::{Deserialize, Serialize};

/// `[[dkim]]`
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RawDkim {
    /// The domain that signs, the tag `d=`.
    pub domain: String,
    /// Which of its keys it is, the tag `s=`.
    pub selector: String,
    /// A PEM file with the private key.
    pub key_file: PathBuf,
    /// The key's algorithm: `auto` is what the file holds.
    #[serde(default)]
    pub algorithm: RawAlgorithm,
    /// What it signs.
    #[serde(default)]
    pub service: RawKeyService,
    /// The fields that it signs, each as often as it occurs, and once more for each time more that it
    /// is listed.
    #[serde(default = "of_mail")]
    pub headers: Vec<String>,
    /// From when on it signs; empty: from the start.
    #[serde(default, with = "optional_time")]
    pub not_before: Option<Timestamp>,
    /// Until when it signs; empty: without end.
    #[serde(default, with = "optional_time")]
    pub not_after: Option<Timestamp>,
}

impl Default for RawDkim {
    fn default() -> Self {
        Self {
            domain: String::new(),
            selector: String::new(),
            key_file: PathBuf::new(),
            algorithm: RawAlgorithm::default(),
            service: RawKeyService::default(),
            headers: of_mail(),
            not_before: None,
            not_after: None,
        }
    }
}

/// The fields that are signed unless others are listed.
fn of_mail() -> Vec<String> {
    dkim::SignedFields::of_mail().names().map(ToString::to_string).collect()
}

/// How a key signs.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RawAlgorithm {
    /// As the key file says.
    #[default]
    Auto,
    /// RFC 8463.
    Ed25519Sha256,
    /// RFC 6376 §3.3.1.
    RsaSha256,
}

/// What a key signs.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RawKeyService {
    /// Mail and TLS reports.
    #[default]
    Any,
    /// Mail.
    Email,
    /// TLS reports.
    TlsRpt,
}

/// `[dkim_signing]`
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawDkimSigning {
    /// Whether mail that a configured key should sign is refused for now while no key can.
    pub require: bool,
}

/// A time that may be left out by writing an empty text.
mod optional_time {
    use clock::Timestamp;
    use serde::de::{Deserialize, Deserializer, Error as _};
    use serde::ser::{Serialize as _, Serializer};

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        input: D,
    ) -> Result<Option<Timestamp>, D::Error> {
        let text = String::deserialize(input)?;
        if text.is_empty() {
            return Ok(None);
        }
        text.parse().map(Some).map_err(D::Error::custom)
    }

    pub(super) fn serialize<S: Serializer>(
        time: &Option<Timestamp>,
        output: S,
    ) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => time.serialize(output),
            None => output.serialize_str(""),
        }
    }
}
