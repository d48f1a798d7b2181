//! Reading a value as a setting, with an error that says what kind of value is wanted.
//!
//! Serde's own errors speak of Rust's types; this one keeps what it was told as data, so that
//! [`crate::reading`] can say it in the words of the settings file.

use std::fmt::{self, Display};

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{
    DeserializeOwned, Deserializer, Error, Expected, IntoDeserializer, Unexpected, Visitor,
};
use serde::forward_to_deserialize_any;
use toml::{Table, Value};

/// Why a value does not fit.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Misfit {
    /// It is none of the words that can stand there.
    NoneOf {
        /// The words.
        words: &'static [&'static str],
    },
    /// It is a whole number beyond what can be counted to there.
    Range {
        /// The largest number, where that is worth saying.
        most: Option<u64>,
    },
    /// What a type of ours says of it.
    Said(String),
    /// It is another kind of value.
    Kind,
}

impl Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoneOf { words } => {
                let words: Vec<_> = words.iter().map(|word| format!("{word:?}")).collect();
                write!(f, "not one of {}", words.join(", "))
            }
            Self::Range { most: Some(most) } => write!(f, "not a whole number from 0 to {most}"),
            Self::Range { most: None } => f.write_str("not a whole number of 0 or more"),
            Self::Said(problem) => f.write_str(problem),
            Self::Kind => f.write_str("another kind of value"),
        }
    }
}

impl std::error::Error for Misfit {}

impl Error for Misfit {
    fn custom<T: Display>(problem: T) -> Self {
        Self::Said(problem.to_string())
    }

    fn invalid_type(_: Unexpected<'_>, _: &dyn Expected) -> Self {
        Self::Kind
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let most = match expected.to_string().as_str() {
            "u8" => Some(u64::from(u8::MAX)),
            "u16" => Some(u64::from(u16::MAX)),
            "u32" => Some(u64::from(u32::MAX)),
            _ => None,
        };
        Self::Range { most }
    }

    fn unknown_variant(_: &str, words: &'static [&'static str]) -> Self {
        Self::NoneOf { words }
    }
}

/// Reads a table as `T`.
pub(crate) fn read<T: DeserializeOwned>(table: Table) -> Result<T, Misfit> {
    T::deserialize(Given(Value::Table(table)))
}

/// A value as it was given.
struct Given(Value);

impl IntoDeserializer<'_, Misfit> for Given {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Given {
    type Error = Misfit;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.0 {
            Value::String(text) => visitor.visit_string(text),
            Value::Integer(number) => visitor.visit_i64(number),
            Value::Float(number) => visitor.visit_f64(number),
            Value::Boolean(truth) => visitor.visit_bool(truth),
            // Whoever wants a moment reads it as text, too.
            Value::Datetime(moment) => visitor.visit_string(moment.to_string()),
            Value::Array(list) => {
                visitor.visit_seq(SeqDeserializer::new(list.into_iter().map(Self)))
            }
            Value::Table(table) => {
                let entries = table.into_iter().map(|(key, value)| (key, Self(value)));
                visitor.visit_map(MapDeserializer::new(entries))
            }
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        words: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        match self.0 {
            Value::String(word) => visitor.visit_enum(word.into_deserializer()),
            Value::Integer(_)
            | Value::Float(_)
            | Value::Boolean(_)
            | Value::Datetime(_)
            | Value::Array(_)
            | Value::Table(_) => Err(Misfit::NoneOf { words }),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}
