//! Where settings come from: the file, then the environment over it; and where each was written.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use toml::Value;

use crate::environment::{self, Variable};
use crate::fault::{Fault, SettingsError};
use crate::file::File;
use crate::keys;
use crate::raw::RawSettings;
use crate::reading::Reading;
use crate::setting_location::SettingLocation;
use crate::written::Written;

/// The settings as written, who wrote what, and what of it cannot be meant.
#[derive(Clone, Debug)]
pub struct Source {
    raw: RawSettings,
    file: Option<PathBuf>,
    locations: BTreeMap<String, SettingLocation>,
    faults: Vec<Fault>,
    /// The keys whose value could not be understood, so that their default stands in `raw`.
    doubtful: BTreeSet<String>,
    /// Whether the file could be taken apart: what a broken line was to say is not known.
    whole: bool,
    /// The lists in the file that a variable sets as well, with that variable.
    replaced: Vec<(String, String)>,
}

/// A key that differs from its default.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// The key, with dots.
    pub key: String,
    /// What it is set to.
    pub value: Value,
    /// Who set it.
    pub location: SettingLocation,
}

impl Source {
    /// Reads `file`, if any, and lays the variables of `environment` that are ours over it.
    ///
    /// What cannot be understood is kept as faults, of which [`Settings::check`] speaks together
    /// with its own; so one who needs but a few keys can have those.
    ///
    /// [`Settings::check`]: crate::Settings::check
    pub fn gather(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Self {
        let mut reading = Reading::default();
        let mut whole = true;
        match file.map(File::read) {
            Some(Ok(file)) => {
                let (entries, faults) = file.parse();
                whole = faults.is_empty();
                reading.has_gaps = !whole;
                reading.faults.extend(faults);
                reading.file(entries);
            }
            Some(Err(fault)) => {
                whole = false;
                reading.faults.push(fault);
            }
            None => reading.table = keys::trial(),
        }
        let (variables, faults) = environment::variables(environment);
        reading.faults.extend(faults);
        let mut replaced = Vec::new();
        for Variable { name, path, value } in variables {
            let in_file = keys::find(&reading.table, &path).and_then(Value::as_array);
            if in_file.is_some_and(|list| list.iter().any(Value::is_table)) {
                replaced.push((path.join("."), name.clone()));
            }
            reading.variable(&path, &Written::at(&SettingLocation::Variable(name), value));
        }
        let raw = reading.settings();
        let Reading { locations, faults, doubtful, table: _, has_gaps: _ } = reading;
        Self { raw, file: file.map(Path::to_owned), locations, faults, doubtful, whole, replaced }
    }

    /// The same, for one who can do nothing with settings that have faults.
    ///
    /// # Errors
    ///
    /// [`SettingsError`] with all that cannot be read or understood.
    pub fn read(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, SettingsError> {
        let source = Self::gather(file, environment);
        SettingsError::unless_empty(source.faults.clone())?;
        Ok(source)
    }

    /// The settings as written, with the default for what cannot be understood.
    #[must_use]
    pub const fn raw(&self) -> &RawSettings {
        &self.raw
    }

    /// The file that was read.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// What cannot be understood.
    #[must_use]
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }

    /// Whether every line of the file could be taken apart.
    pub(crate) const fn is_whole(&self) -> bool {
        self.whole
    }

    /// Whether the value of `key` is what its writer meant, and not a default in its place.
    pub(crate) fn is_certain(&self, key: &str) -> bool {
        !Self::ancestry(key).any(|key| self.doubtful.contains(key))
    }

    /// A key, the list or section that it is in, and so on.
    fn ancestry(key: &str) -> impl Iterator<Item = &str> {
        std::iter::successors(Some(key), |key| Some(key.rsplit_once('.')?.0))
    }

    /// Where `key` (with dots; a number for an entry of a list) was written.
    #[must_use]
    pub fn location(&self, key: &str) -> SettingLocation {
        let in_list = |key: &str| key.contains(|c: char| c.is_ascii_digit());
        // What is not said of an entry of a list is missing where the entry begins.
        let found = Self::ancestry(key).take_while(|one| *one == key || in_list(key));
        let location = found.filter_map(|key| self.locations.get(key)).next();
        location.cloned().unwrap_or_else(|| SettingLocation::Default(key.to_owned()))
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

    /// The lists in the file of which nothing counts because a variable sets them, with it.
    pub(crate) fn replaced_lists(&self) -> impl Iterator<Item = (&str, &str)> {
        self.replaced.iter().map(|(key, name)| (key.as_str(), name.as_str()))
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
                found.push(Difference { location: self.location(&key), key, value });
            }
        }
        found
    }
}
