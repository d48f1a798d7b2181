//! A secret in the settings, and lists of one.

use std::fmt;

use serde::de::{Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};

/// A text that is not shown again: not by `check-config`, and not by [`Debug`](fmt::Debug).
#[derive(Clone, Default, PartialEq)]
pub struct SecretText(String);

impl SecretText {
    /// The secret, where there is one.
    pub(crate) fn text(&self) -> Option<&str> {
        (!self.0.is_empty()).then_some(self.0.as_str())
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(..)")
    }
}

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        String::deserialize(input).map(Self)
    }
}

impl Serialize for SecretText {
    fn serialize<S: Serializer>(&self, output: S) -> Result<S::Ok, S::Error> {
        output.serialize_str(if self.0.is_empty() { "" } else { "(hidden)" })
    }
}

/// Reads a list of texts, or one text that stands for a list of it; an empty one is none.
pub(crate) fn one_or_more<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<String>, D::Error> {
    #[derive(serde::Deserialize)]
    #[serde(untagged, expecting = "write a text in quotes, or a list of them")]
    enum Either {
        Many(Vec<String>),
        One(String),
    }
    Ok(match Either::deserialize(input)? {
        Either::Many(texts) => texts,
        Either::One(text) if text.is_empty() => Vec::new(),
        Either::One(text) => vec![text],
    })
}
