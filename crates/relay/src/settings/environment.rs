//! Settings from the environment: `STS_RELAY__SECTION__KEY`, and `..._FILE` for a file whose
//! content is the value, so that a secret need not be in the environment.
//!
//! * The variable's name is the key's with `__` between its parts: `delivery.retry.first` is
//!   `STS_RELAY__DELIVERY__RETRY__FIRST`.
//! * Text is written bare, without TOML's quotes; a list with commas between its entries.
//! * A list of tables is written as TOML writes it inline, and takes the whole list's place:
//!   `STS_RELAY__LISTENER='[{ address = "0.0.0.0:25" }]'`.
//! * A variable of this prefix that is no key is refused: it is a setting that has no effect.

use std::ffi::OsString;

use toml::{Table, Value};

use super::source::Place;
use super::{SettingsError, keys};

/// What the names of all our variables begin with.
const PREFIX: &str = "STS_RELAY__";

/// What a variable's name ends with where its value is the path of a file.
const FILE: &str = "_FILE";

/// One setting from the environment.
#[derive(Debug)]
pub(super) struct Variable {
    /// The variable.
    pub(super) name: String,
    /// The key it sets.
    pub(super) path: Vec<String>,
    /// What it sets it to.
    pub(super) value: Value,
}

/// The settings among `environment`, in the order of their names.
pub(super) fn variables(
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Vec<Variable>, SettingsError> {
    let defaults = keys::defaults();
    let mut ours: Vec<(String, OsString)> = environment
        .into_iter()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
        .filter(|(name, _)| name.starts_with(PREFIX))
        .collect();
    ours.sort_unstable();
    let mut found: Vec<Variable> = Vec::new();
    for (name, value) in ours {
        let wrong = |problem: String| SettingsError::Wrong {
            place: Place::Variable(name.clone()),
            problem,
        };
        let (path, text) = key_and_text(&defaults, &name, value).map_err(wrong)?;
        let Some(default) = keys::find(&defaults, &path) else {
            return Err(wrong("there is no such setting".to_owned()));
        };
        let value = interpret(default, &text).map_err(wrong)?;
        if let Some(other) = found.iter().find(|other| other.path == path) {
            return Err(wrong(format!("{} sets the same key", other.name)));
        }
        found.push(Variable { name, path, value });
    }
    Ok(found)
}

/// The key that a variable names, and the text it gives it.
fn key_and_text(
    defaults: &Table,
    name: &str,
    value: OsString,
) -> Result<(Vec<String>, String), String> {
    let text = value.into_string().map_err(|_bytes| "its value is not UTF-8".to_owned())?;
    let path = path_of(name);
    if keys::find(defaults, &path).is_some() {
        return Ok((path, text));
    }
    // Only a name that is not a key itself can mean a file: `trust.ca_file` is a key.
    let Some(path) = name.strip_suffix(FILE).map(path_of) else {
        return Err("there is no such setting".to_owned());
    };
    if keys::find(defaults, &path).is_none() {
        return Err("there is no such setting".to_owned());
    }
    let content = std::fs::read_to_string(&text)
        .map_err(|error| format!("the file {text} cannot be read: {error}"))?;
    let line = content.strip_suffix('\n').unwrap_or(&content);
    Ok((path, line.strip_suffix('\r').unwrap_or(line).to_owned()))
}

/// The key that a variable of that name would set.
fn path_of(name: &str) -> Vec<String> {
    let key = name.strip_prefix(PREFIX).unwrap_or(name);
    key.split("__").map(str::to_ascii_lowercase).collect()
}

/// Reads `text` in the form that the key's default has.
fn interpret(default: &Value, text: &str) -> Result<Value, String> {
    match default {
        Value::String(_) => Ok(Value::String(text.to_owned())),
        Value::Integer(_) => text
            .trim()
            .parse()
            .map(Value::Integer)
            .map_err(|_error| format!("`{text}` is not a whole number")),
        Value::Boolean(_) => text
            .trim()
            .parse()
            .map(Value::Boolean)
            .map_err(|_error| format!("`{text}` is neither true nor false")),
        Value::Array(_) if text.trim_start().starts_with('[') && text.contains(['{', '"']) => {
            inline(text)
        }
        Value::Array(_) => Ok(Value::Array(listed(text))),
        Value::Table(_) => Err("this is a section; name a key in it".to_owned()),
        Value::Float(_) | Value::Datetime(_) => Err("this key has no text form".to_owned()),
    }
}

/// The entries of a list with commas.
fn listed(text: &str) -> Vec<Value> {
    let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    entries.map(|entry| Value::String(entry.to_owned())).collect()
}

/// A list as TOML writes it.
fn inline(text: &str) -> Result<Value, String> {
    let mut table: Table =
        toml::from_str(&format!("list = {text}")).map_err(|error| error.message().to_owned())?;
    match (table.remove("list"), table.is_empty()) {
        (Some(list), true) => Ok(list),
        _ => Err("one list is expected, and nothing after it".to_owned()),
    }
}
