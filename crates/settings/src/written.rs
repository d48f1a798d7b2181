//! What is written in a file or a variable, with the location of each piece.

use toml::Value;

use crate::setting_location::SettingLocation;

/// A value with its location.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    pub(crate) location: SettingLocation,
    pub(crate) tree: Tree,
}

/// A value, piece by piece.
#[derive(Clone, Debug)]
pub(crate) enum Tree {
    /// Text, a number, true or false, a date.
    Leaf(Value),
    /// A list.
    List(Vec<Written>),
    /// A section or an inline table.
    Section(Vec<Entry>),
}

/// A key of a section.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_location: SettingLocation,
    pub(crate) value: Written,
}

impl Written {
    /// A value all of which was written at one location, as in a variable.
    pub(crate) fn at(location: &SettingLocation, value: Value) -> Self {
        let tree = match value {
            Value::Array(list) => {
                Tree::List(list.into_iter().map(|one| Self::at(location, one)).collect())
            }
            Value::Table(table) => {
                let entry = |(key, value)| Entry {
                    key,
                    key_location: location.clone(),
                    value: Self::at(location, value),
                };
                Tree::Section(table.into_iter().map(entry).collect())
            }
            Value::String(_)
            | Value::Integer(_)
            | Value::Float(_)
            | Value::Boolean(_)
            | Value::Datetime(_) => Tree::Leaf(value),
        };
        Self { location: location.clone(), tree }
    }

    /// The value without locations.
    pub(crate) fn value(&self) -> Value {
        match &self.tree {
            Tree::Leaf(value) => value.clone(),
            Tree::List(list) => Value::Array(list.iter().map(Self::value).collect()),
            Tree::Section(entries) => Value::Table(
                entries.iter().map(|entry| (entry.key.clone(), entry.value.value())).collect(),
            ),
        }
    }

    /// The value in words, where it is short and no secret.
    pub(crate) fn in_words(&self) -> String {
        match &self.tree {
            Tree::Leaf(Value::String(_)) => "text".to_owned(),
            Tree::Leaf(Value::Integer(number)) => format!("the number {number}"),
            Tree::Leaf(Value::Float(number)) => format!("the number {number}"),
            Tree::Leaf(Value::Boolean(truth)) => truth.to_string(),
            Tree::Leaf(Value::Datetime(date)) => format!("the date {date}"),
            Tree::Leaf(Value::Array(_)) | Tree::List(_) => "a list".to_owned(),
            Tree::Leaf(Value::Table(_)) | Tree::Section(_) => "a section".to_owned(),
        }
    }
}
