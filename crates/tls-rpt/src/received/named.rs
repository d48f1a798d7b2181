//! Words of lists that grow (RFC 8460 §4.3, §6.6).

use std::fmt;

use serde::de::value::{Error, StrDeserializer};
use serde::de::{DeserializeOwned, IntoDeserializer as _};

/// A word of a list, or one that this version does not know.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Named<T> {
    /// It is on the list.
    Known(T),
    /// It is not; empty where there was none.
    Unknown(String),
}

impl<T: DeserializeOwned> Named<T> {
    /// Looks the word up.
    pub(super) fn read(word: String) -> Self {
        let text: StrDeserializer<'_, Error> = word.as_str().into_deserializer();
        T::deserialize(text).map_or_else(|_unknown| Self::Unknown(word), Self::Known)
    }
}

impl<T: fmt::Display> fmt::Display for Named<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(word) => word.fmt(f),
            Self::Unknown(word) => f.write_str(word),
        }
    }
}
