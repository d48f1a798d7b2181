//! The tree of keys: what exists, and how to reach it.

use toml::{Table, Value};

use super::raw::RawSettings;

/// The settings as a tree.
pub(super) fn table(raw: &RawSettings) -> Table {
    // Serialising cannot fail: every key is text, every value has a TOML form (a test reads all).
    Table::try_from(raw).unwrap_or_default()
}

/// Every key there is, with its default.
pub(super) fn defaults() -> Table {
    table(&RawSettings::default())
}

/// The keys whose default is another where there is no settings file: a relay that is tried out
/// keeps its mail in the working directory.
pub(super) fn trial() -> Table {
    let path = ["data_dir".to_owned()];
    nest(&path, Value::String(super::defaults::TRIAL_DATA_DIR.to_owned()))
}

/// The value at `path`.
pub(super) fn find<'a>(table: &'a Table, path: &[String]) -> Option<&'a Value> {
    let (first, rest) = path.split_first()?;
    let value = table.get(first)?;
    match (rest, value) {
        ([], found) => Some(found),
        (rest, Value::Table(section)) => find(section, rest),
        _ => None,
    }
}

/// Puts `value` at `path`, making the sections on the way.
pub(super) fn set(table: &mut Table, path: &[String], value: Value) {
    let Some((first, rest)) = path.split_first() else { return };
    if rest.is_empty() {
        drop(table.insert(first.clone(), value));
        return;
    }
    let section = table.entry(first.clone()).or_insert_with(|| Value::Table(Table::new()));
    if let Value::Table(section) = section {
        set(section, rest, value);
    }
}

/// A table that holds `value` at `path` and nothing else.
pub(super) fn nest(path: &[String], value: Value) -> Table {
    let mut table = Table::new();
    set(&mut table, path, value);
    table
}

/// Every key of the tree with its value; a list is one value.
pub(super) fn leaves(table: &Table) -> Vec<(Vec<String>, Value)> {
    let mut found = Vec::new();
    for (name, value) in table {
        let Some(section) = value.as_table() else {
            found.push((vec![name.clone()], value.clone()));
            continue;
        };
        for (mut path, value) in leaves(section) {
            path.insert(0, name.clone());
            found.push((path, value));
        }
    }
    found
}
