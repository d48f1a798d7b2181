//! Where settings come from: the file, then the environment over it; and where each was said.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Deserialize as _;
use toml::de::{DeTable, DeValue};
use toml::{Table, Value};

use super::environment::{self, Variable};
use super::raw::RawSettings;
use super::{SettingsError, keys};

/// The settings as written, and who wrote what.
#[derive(Clone, Debug)]
pub struct Source {
    raw: RawSettings,
    file: Option<File>,
    /// The variable that set a key.
    variables: BTreeMap<String, String>,
}

/// A settings file and its text.
#[derive(Clone, Debug)]
struct File {
    path: PathBuf,
    text: String,
}

/// Where something was said.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Place {
    /// In no place: it is the default of a key.
    Default(String),
    /// In a file.
    File {
        /// The file.
        path: PathBuf,
        /// Its line, from 1.
        line: usize,
        /// The character within the line, from 1.
        column: usize,
    },
    /// In an environment variable.
    Variable(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default(key) => write!(f, "{key} (by default)"),
            Self::File { path, line, column } => {
                write!(f, "{}:{line}:{column}", path.display())
            }
            Self::Variable(name) => f.write_str(name),
        }
    }
}

/// A key that differs from its default.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// The key, with dots.
    pub key: String,
    /// What it is set to.
    pub value: Value,
    /// Who set it.
    pub place: Place,
}

impl Source {
    /// Reads `file`, if any, and lays the `STS_RELAY__` variables of `environment` over it.
    ///
    /// # Errors
    ///
    /// [`SettingsError`] for the first thing that cannot be read or understood.
    pub fn read(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, SettingsError> {
        let file = file.map(File::read).transpose()?;
        let mut table = file.as_ref().map_or_else(|| Ok(keys::trial()), File::table)?;
        let mut variables = BTreeMap::new();
        for Variable { name, path, value } in environment::variables(environment)? {
            let alone = keys::nest(&path, value.clone());
            understand(alone).map_err(|error| SettingsError::Wrong {
                place: Place::Variable(name.clone()),
                problem: error.message().to_owned(),
            })?;
            keys::set(&mut table, &path, value);
            drop(variables.insert(path.join("."), name));
        }
        let raw = understand(table).map_err(|error| SettingsError::Wrong {
            place: Place::Default("settings".to_owned()),
            problem: error.message().to_owned(),
        })?;
        Ok(Self { raw, file, variables })
    }

    /// The settings as written.
    #[must_use]
    pub const fn raw(&self) -> &RawSettings {
        &self.raw
    }

    /// The file that was read.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        self.file.as_ref().map(|file| file.path.as_path())
    }

    /// Where `key` (with dots; a number for an entry of a list) was said.
    #[must_use]
    pub fn place(&self, key: &str) -> Place {
        // A variable sets a whole list, so an entry's place is its list's.
        let setter = std::iter::successors(Some(key), |key| Some(key.rsplit_once('.')?.0))
            .find_map(|key| self.variables.get(key));
        if let Some(name) = setter {
            return Place::Variable(name.clone());
        }
        let in_file = self.file.as_ref().and_then(|file| file.place(key));
        in_file.unwrap_or_else(|| Place::Default(key.to_owned()))
    }

    /// The keys whose values differ from those of `before`, in their order.
    #[must_use]
    pub fn changes_from(&self, before: &Self) -> Vec<String> {
        let before = keys::leaves(&keys::table(&before.raw));
        let now = keys::leaves(&keys::table(&self.raw));
        now.into_iter()
            .filter(|one| !before.contains(one))
            .map(|(path, _)| path.join("."))
            .collect()
    }

    /// The lists in the file that a variable sets anew, with that variable: nothing of them counts.
    pub(super) fn replaced_lists(&self) -> Vec<(&str, &str)> {
        let Some(file) = &self.file else { return Vec::new() };
        let in_file = |key: &str| file.table().is_ok_and(|table| holds_list(&table, key));
        let replaced = self.variables.iter().filter(|(key, _)| in_file(key));
        replaced.map(|(key, name)| (key.as_str(), name.as_str())).collect()
    }

    /// What differs from the defaults, in the order of the keys.
    #[must_use]
    pub fn differences(&self) -> Vec<Difference> {
        let mut defaults = keys::leaves(&keys::defaults());
        if self.file.is_none() {
            let trial = keys::leaves(&keys::trial());
            defaults.retain(|(path, _)| trial.iter().all(|(other, _)| other != path));
            defaults.extend(trial);
        }
        let mut found = Vec::new();
        for (path, value) in keys::leaves(&keys::table(&self.raw)) {
            let usual = defaults.iter().any(|(other, usual)| *other == path && *usual == value);
            if !usual {
                let key = path.join(".");
                found.push(Difference { place: self.place(&key), key, value });
            }
        }
        found
    }
}

impl File {
    /// Reads the file.
    fn read(path: &Path) -> Result<Self, SettingsError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| SettingsError::Unreadable { path: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned(), text })
    }

    /// The file's keys, which all exist and all have values of the right form.
    fn table(&self) -> Result<Table, SettingsError> {
        toml::from_str::<RawSettings>(&self.text).and_then(|_| toml::from_str(&self.text)).map_err(
            |error| SettingsError::Wrong {
                place: self.at(error.span().unwrap_or_default()),
                problem: error.message().trim().replace('\n', "; "),
            },
        )
    }

    /// Where `key` is said in the file.
    fn place(&self, key: &str) -> Option<Place> {
        let table = DeTable::parse(&self.text).ok()?;
        let mut segments = key.split('.');
        let mut here = table.get_ref().get(segments.next()?)?;
        for segment in segments {
            here = match here.get_ref() {
                DeValue::Table(table) => table.get(segment)?,
                DeValue::Array(list) => list.get(segment.parse::<usize>().ok()?)?,
                DeValue::String(_)
                | DeValue::Integer(_)
                | DeValue::Float(_)
                | DeValue::Boolean(_)
                | DeValue::Datetime(_) => return None,
            };
        }
        Some(self.at(here.span()))
    }

    /// The line and column where `span` begins.
    fn at(&self, span: Range<usize>) -> Place {
        let before = self.text.get(..span.start).unwrap_or(&self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline.saturating_add(1));
        let line = before.matches('\n').count().saturating_add(1);
        let column = before.get(line_start..).unwrap_or("").chars().count().saturating_add(1);
        Place::File { path: self.path.clone(), line, column }
    }
}

/// Whether `key` is a list of tables in `table`, and not an empty one.
fn holds_list(table: &Table, key: &str) -> bool {
    let path: Vec<_> = key.split('.').map(str::to_owned).collect();
    let list = keys::find(table, &path).and_then(Value::as_array);
    list.is_some_and(|list| list.iter().any(Value::is_table))
}

/// Reads a table as settings.
fn understand(table: Table) -> Result<RawSettings, toml::de::Error> {
    RawSettings::deserialize(Value::Table(table))
}
