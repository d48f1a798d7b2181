//! Settings from the environment: `STS_RELAY__SECTION__KEY`, and `..._FILE` for a file whose
//! content is the value, so that a secret need not be in the environment.
//!
//! * The variable's name is the key's in capitals, with `__` before each of its parts:
//!   `delivery.retry.first` is `STS_RELAY__DELIVERY__RETRY__FIRST`.
//! * Text is written bare, without TOML's quotes; a list with commas between its entries.
//! * A list of tables is written as TOML writes it inline, and takes the whole list's place:
//!   `STS_RELAY__LISTENER='[{ address = "0.0.0.0:25" }]'`. Listeners of which nothing but the
//!   address is said can be written as a list with commas.
//! * Every other variable whose name begins like ours is refused: it is a setting that its writer
//!   believes in and that has no effect. [`FILE_VARIABLE`] and what Kubernetes sets for a service
//!   of this name ([`is_service_link`]) are the exceptions.

use std::ffi::OsString;

use toml::{Table, Value};

use crate::fault::Fault;
use crate::file::unreadable;
use crate::keys::{self, List};
use crate::nearest::nearest;
use crate::setting_location::SettingLocation;

/// The variable that names the settings file.
pub const FILE_VARIABLE: &str = "STS_RELAY_CONFIG";

/// What the names of all our variables begin with.
const PREFIX: &str = "STS_RELAY__";

/// What a variable's name ends with where its value is the path of a file.
const FILE: &str = "_FILE";

/// One setting from the environment.
#[derive(Debug)]
pub(crate) struct Variable {
    /// The variable.
    pub(crate) name: String,
    /// The key it sets.
    pub(crate) path: Vec<String>,
    /// What it sets it to.
    pub(crate) value: Value,
}

/// The settings among `environment`, in the order of their names, and what is wrong with others.
pub(crate) fn variables(
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> (Vec<Variable>, Vec<Fault>) {
    let defaults = keys::defaults();
    let mut ours: Vec<(String, OsString)> = environment
        .into_iter()
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value))
        .filter(|(name, value)| is_ours(name) && !is_service_link(name, value))
        .collect();
    ours.sort_unstable();
    let (mut found, mut faults) = (Vec::<Variable>::new(), Vec::new());
    for (name, value) in ours {
        let read = read(&defaults, &name, value).and_then(|(path, value)| {
            match found.iter().find(|other| other.path == path) {
                Some(other) => Err(format!("{} sets the same key", other.name)),
                None => Ok((path, value)),
            }
        });
        match read {
            Ok((path, value)) => found.push(Variable { name, path, value }),
            Err(problem) => faults.push(Fault::new(SettingLocation::Variable(name), problem)),
        }
    }
    (found, faults)
}

/// Whether a name begins like those of our variables, in any case and with any separators.
fn is_ours(name: &str) -> bool {
    let plain = name.to_ascii_uppercase();
    let separator = ['_', '-', '.'];
    let rest = plain.strip_prefix("STS").map(|rest| rest.strip_prefix(separator).unwrap_or(rest));
    let rest = rest.and_then(|rest| rest.strip_prefix("RELAY"));
    rest.is_some_and(|rest| rest.starts_with(separator)) && name != FILE_VARIABLE
}

/// Whether Kubernetes (or Docker's old links) has set the variable because there is a service
/// whose name begins with `sts-relay`: `STS_RELAY_SERVICE_HOST`, `STS_RELAY_PORT_25_TCP_ADDR` and
/// the like. They are in every container of the namespace, and say nothing to us.
fn is_service_link(name: &str, value: &OsString) -> bool {
    let Some(rest) = name.strip_prefix("STS_RELAY_") else { return false };
    if rest.starts_with('_') {
        return false;
    }
    let rest = format!("_{rest}");
    let is_url = || {
        let value = value.to_string_lossy();
        ["tcp://", "udp://", "sctp://"].iter().any(|scheme| value.starts_with(scheme))
    };
    let of_one_port = || {
        let (_, port) = rest.split_once("_PORT_")?;
        let (number, protocol) = port.split_once('_')?;
        let protocol = protocol.split('_').next()?;
        let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        Some(is_number && ["TCP", "UDP", "SCTP"].contains(&protocol))
    };
    rest.ends_with("_SERVICE_HOST")
        || rest.ends_with("_SERVICE_PORT")
        || rest.contains("_SERVICE_PORT_")
        || (rest.ends_with("_PORT") && is_url())
        || of_one_port().unwrap_or(false)
}

/// The key that a variable names, and its value.
fn read(defaults: &Table, name: &str, value: OsString) -> Result<(Vec<String>, Value), String> {
    let path = path_of(name);
    // Only a name that is not a key itself can mean a file: `trust.ca_file` is a key.
    let in_file = name.strip_suffix(FILE).and_then(path_of);
    let (path, is_file) = match (path, in_file) {
        (Some(path), _) if keys::find(defaults, &path).is_some() => (path, false),
        (_, Some(path)) if keys::find(defaults, &path).is_some() => (path, true),
        _ => return Err(unknown(name)),
    };
    let default = keys::find(defaults, &path).ok_or_else(|| unknown(name))?;
    let text = value.into_string().map_err(|_bytes| "its value is not UTF-8".to_owned())?;
    let text = if is_file { content(&text)? } else { text };
    let value = interpret(default, &text, &path)?;
    Ok((path, value))
}

/// The first and only line of a file.
fn content(path: &str) -> Result<String, String> {
    let content = std::fs::read_to_string(path)
        .map_err(|error| format!("the file {path}: {}", unreadable(&error)))?;
    let line = content.strip_suffix('\n').unwrap_or(&content);
    Ok(line.strip_suffix('\r').unwrap_or(line).to_owned())
}

/// The key that a variable of that name would set; only capitals name one.
fn path_of(name: &str) -> Option<Vec<String>> {
    let key = name.strip_prefix(PREFIX)?;
    let is_capital = !key.contains(|c: char| c.is_ascii_lowercase());
    is_capital.then(|| key.split("__").map(str::to_ascii_lowercase).collect())
}

/// A name that is no variable's, with the one that was likely meant.
fn unknown(name: &str) -> String {
    let parts = name.split(['_', '-', '.']).filter(|part| !part.is_empty());
    let parts: Vec<_> = parts.map(str::to_ascii_lowercase).collect();
    let named = |count: usize| parts.get(2..count.saturating_add(2)).and_then(List::at);
    if let Some(list) = named(2).or_else(|| named(1))
        && parts.len() > list.path().len().saturating_add(2)
        && !parts.ends_with(&["file".to_owned()])
    {
        let variable = format!("{PREFIX}{}", list.path().join("__").to_ascii_uppercase());
        return format!("unknown variable; write {variable}='{}'", list.example());
    }
    let known: Vec<_> = keys::leaves(&keys::defaults())
        .into_iter()
        .map(|(path, _)| format!("{PREFIX}{}", path.join("__").to_ascii_uppercase()))
        .flat_map(|name| [format!("{name}{FILE}"), name])
        .chain([FILE_VARIABLE.to_owned()])
        .collect();
    // What all of them begin with would make everything look near.
    let own = |name: &str| name.get(PREFIX.len() - 1..).unwrap_or_default().to_owned();
    let written = parts.get(2..).unwrap_or_default().join("_");
    let own: Vec<_> = known.iter().map(|name| (own(name), name)).collect();
    let meant = nearest(&written, own.iter().map(|(own, _)| own.as_str()));
    let meant = meant.and_then(|meant| own.iter().find(|(own, _)| own == meant));
    let meant = meant.map(|(_, name)| format!("; did you mean {name}?"));
    format!("unknown variable{}", meant.unwrap_or_default())
}

/// Reads `text` in the form that the key's default has.
fn interpret(default: &Value, text: &str, path: &[String]) -> Result<Value, String> {
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
        Value::Array(_) if text.trim_start().starts_with('{') => Err(match List::at(path) {
            Some(list) => format!("put the table into a list: {}", list.example()),
            None => "write the entries with commas between".to_owned(),
        }),
        Value::Array(_)
            if text.trim_start().starts_with('[') && text.contains(['{', '"', '\'']) =>
        {
            inline(text, path)
        }
        Value::Array(_) if matches!(text.trim(), "[]" | "[ ]") => Ok(Value::Array(Vec::new())),
        Value::Array(_) => Ok(Value::Array(listed(text))),
        Value::Table(section) => {
            let first = section.keys().next().map(|key| key.to_ascii_uppercase());
            let section = path.join("__").to_ascii_uppercase();
            Err(format!(
                "this is a section: name a key in it, as in {PREFIX}{section}__{}",
                first.unwrap_or_default()
            ))
        }
        Value::Float(_) | Value::Datetime(_) => Err("this key has no text form".to_owned()),
    }
}

/// The entries of a list with commas.
fn listed(text: &str) -> Vec<Value> {
    let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    entries.map(|entry| Value::String(entry.to_owned())).collect()
}

/// A list as TOML writes it.
fn inline(text: &str, path: &[String]) -> Result<Value, String> {
    let example = || match List::at(path) {
        Some(list) => format!("this is not a list as TOML writes it inline: {}", list.example()),
        None => "this is not a list as TOML writes it inline, nor one with commas".to_owned(),
    };
    let mut table: Table = toml::from_str(&format!("list = {text}")).map_err(|_error| example())?;
    match (table.remove("list"), table.is_empty()) {
        (Some(list), true) => Ok(list),
        _ => Err("one list is expected, and nothing behind it".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_kubernetes_sets_for_a_service_of_our_name_is_no_setting() {
        for (name, value, is_link) in [
            ("STS_RELAY_SERVICE_HOST", "10.0.0.1", true),
            ("STS_RELAY_SERVICE_PORT", "25", true),
            ("STS_RELAY_SERVICE_PORT_SMTP", "25", true),
            ("STS_RELAY_PORT", "tcp://10.0.0.1:25", true),
            ("STS_RELAY_PORT_25_TCP", "tcp://10.0.0.1:25", true),
            ("STS_RELAY_PORT_25_TCP_PROTO", "tcp", true),
            ("STS_RELAY_PORT_25_TCP_ADDR", "10.0.0.1", true),
            ("STS_RELAY_ADMIN_SERVICE_HOST", "10.0.0.1", true),
            ("STS_RELAY_ADMIN_PORT_9025_TCP_PORT", "9025", true),
            ("STS_RELAY_PORT", "2525", false),
            ("STS_RELAY_DELIVERY_SMTP_PORT", "26", false),
            ("STS_RELAY__ADMIN_SERVICE_HOST", "10.0.0.1", false),
            ("STS_RELAY_HOSTNAME", "mail.example.org", false),
        ] {
            assert_eq!(is_service_link(name, &OsString::from(value)), is_link, "{name}={value}");
        }
    }
}
