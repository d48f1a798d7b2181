//! A value that may be left out by writing an empty text, for `#[serde(with = "optional_text")]`.
//!
//! So that every key has a default that can be written down, also from the environment.

use std::fmt::Display;

use serde::de::{Deserialize, Deserializer, Error as _};
use serde::ser::Serializer;

use crate::address_text::FromText;

/// Reads a value, or nothing from an empty text.
pub(crate) fn deserialize<'de, D, T>(input: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromText,
{
    let text = String::deserialize(input)?;
    if text.is_empty() {
        return Ok(None);
    }
    T::from_text(&text).map(Some).map_err(D::Error::custom)
}

/// Writes a value the way it is read.
pub(crate) fn serialize<S: Serializer, T: Display>(
    value: &Option<T>,
    output: S,
) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => output.collect_str(value),
        None => output.serialize_str(""),
    }
}
