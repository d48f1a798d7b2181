//! What is written, held against the keys there are: what fits becomes the settings, and all that
//! does not is named, each with its location.
//!
//! A key that does not fit is left at its default, so that the rest can be judged as well, and is
//! remembered as doubtful: nothing that follows from it is held against the writer.

use std::collections::{BTreeMap, BTreeSet};

use toml::{Table, Value};

use crate::fault::Fault;
use crate::keys::{self, List};
use crate::misfit::{self, Misfit};
use crate::raw::RawSettings;
use crate::setting_location::SettingLocation;
use crate::wording;
use crate::written::{Entry, Tree, Written};

/// What has been read so far.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    /// Every key that fits.
    pub(crate) table: Table,
    /// Where each was written.
    pub(crate) locations: BTreeMap<String, SettingLocation>,
    /// What does not fit.
    pub(crate) faults: Vec<Fault>,
    /// The keys with a value that does not fit.
    pub(crate) doubtful: BTreeSet<String>,
    /// Whether some lines could not be read, so that nothing can be said of what is missing.
    pub(crate) has_gaps: bool,
}

impl Reading {
    /// Reads a whole file.
    pub(crate) fn file(&mut self, entries: Vec<Entry>) {
        self.section(&[], entries, &keys::defaults());
    }

    /// Reads what one variable says of one key; it takes the place of what a file says.
    pub(crate) fn variable(&mut self, path: &[String], written: &Written) {
        let Some(sample) = keys::find(&keys::defaults(), path).cloned() else { return };
        let key = path.join(".");
        let below = format!("{key}.");
        self.locations.retain(|location, _| *location != key && !location.starts_with(&below));
        self.doubtful.retain(|one| *one != key && !one.starts_with(&below));
        self.key(path, written, &sample);
    }

    /// The settings, with the default of every key that is not written or does not fit.
    pub(crate) fn settings(&mut self) -> RawSettings {
        misfit::read(self.table.clone()).unwrap_or_else(|misfit| {
            let problem = format!("these values do not go together: {misfit}");
            self.faults.push(Fault::new(SettingLocation::Default("settings".to_owned()), problem));
            RawSettings::default()
        })
    }

    /// The keys of one section.
    fn section(&mut self, path: &[String], entries: Vec<Entry>, sample: &Table) {
        for Entry { key, key_location, value } in entries {
            let Some(sample) = sample.get(&key) else {
                self.unknown(path, path, &key, key_location, &value);
                continue;
            };
            let path = [path, &[key]].concat();
            match (sample, value) {
                (Value::Table(sample), Written { tree: Tree::Section(entries), .. }) => {
                    self.section(&path, entries, sample);
                }
                (Value::Table(_), written) => {
                    self.misfit(&path, key_location, wording::not_a_section(&path, &written));
                }
                (sample, written) => self.key(&path, &written, sample),
            }
        }
    }

    /// A key and its value.
    fn key(&mut self, path: &[String], written: &Written, sample: &Value) {
        if let Some(list) = List::at(path) {
            return self.list(list, written);
        }
        let alone = |value| fits(keys::nest(path, value));
        if self.fits_alone(path, &path.join("."), written, sample, alone) {
            self.note_locations(path, written);
            keys::set(&mut self.table, path, written.value());
        }
    }

    /// Whether a value fits its key, as `alone` says; why it does not is named, in a list for each entry.
    fn fits_alone(
        &mut self,
        path: &[String],
        key: &str,
        written: &Written,
        sample: &Value,
        alone: impl Fn(Value) -> Result<(), Misfit>,
    ) -> bool {
        let Err(misfit) = alone(written.value()) else { return true };
        if let (Value::Array(_), Tree::List(entries)) = (sample, &written.tree) {
            let one = |entry: &Written| {
                let misfit = alone(Value::Array(vec![entry.value()])).err()?;
                Some((entry.location.clone(), wording::of_entry(key, &misfit, entry)))
            };
            for (location, problem) in entries.iter().filter_map(one) {
                self.misfit(path, location, problem);
            }
        } else {
            let problem = wording::of_value(key, &misfit, written, sample);
            self.misfit(path, written.location.clone(), problem);
        }
        false
    }

    /// Remembers where a value and each of its entries was written.
    fn note_locations(&mut self, path: &[String], written: &Written) {
        let key = path.join(".");
        if let Tree::List(entries) = &written.tree {
            for (number, entry) in entries.iter().enumerate() {
                drop(self.locations.insert(format!("{key}.{number}"), entry.location.clone()));
            }
        }
        drop(self.locations.insert(key, written.location.clone()));
    }

    /// A key that is not there, in the table at `path`, which is of this `section`.
    fn unknown(
        &mut self,
        section: &[String],
        path: &[String],
        key: &str,
        location: SettingLocation,
        value: &Written,
    ) {
        if let Some(meant) = wording::beside(&section.join("."), key) {
            self.doubtful.insert([path, &[meant]].concat().join("."));
        }
        self.faults.push(Fault::new(location, wording::unknown_key(section, key, value)));
    }

    fn misfit(&mut self, path: &[String], location: SettingLocation, problem: String) {
        self.doubtful.insert(path.join("."));
        self.faults.push(Fault::new(location, problem));
    }

    /// A list of tables.
    fn list(&mut self, list: List, written: &Written) {
        let name = list.path();
        drop(self.locations.insert(list.name().to_owned(), written.location.clone()));
        let entries = match &written.tree {
            Tree::List(entries) => entries.as_slice(),
            Tree::Leaf(Value::String(text)) if list == List::Listener && !text.is_empty() => {
                std::slice::from_ref(written)
            }
            Tree::Leaf(_) | Tree::Section(_) => {
                return self.misfit(
                    &name,
                    written.location.clone(),
                    wording::not_a_list_of_tables(list, written),
                );
            }
        };
        let mut tables = Vec::new();
        for (number, entry) in entries.iter().enumerate() {
            let path = [name.as_slice(), &[number.to_string()]].concat();
            drop(self.locations.insert(path.join("."), entry.location.clone()));
            tables.push(Value::Table(self.table_of(list, &path, entry)));
        }
        keys::set(&mut self.table, &name, Value::Array(tables));
    }

    /// One table of a list; the keys that do not fit have the sample's values.
    fn table_of(&mut self, list: List, path: &[String], written: &Written) -> Table {
        let sample = list.sample();
        let mut table = Table::new();
        let entries = match &written.tree {
            Tree::Section(entries) => entries.clone(),
            // An address alone is a listener with nothing else said about it.
            Tree::Leaf(Value::String(_)) if list == List::Listener => vec![Entry {
                key: "address".to_owned(),
                key_location: written.location.clone(),
                value: written.clone(),
            }],
            Tree::Leaf(_) | Tree::List(_) => {
                let problem = wording::not_a_table(list, written);
                self.misfit(path, written.location.clone(), problem);
                return sample;
            }
        };
        for Entry { key, key_location, value } in entries {
            let Some(usual) = sample.get(&key) else {
                self.unknown(&list.path(), path, &key, key_location, &value);
                continue;
            };
            let path = [path, std::slice::from_ref(&key)].concat();
            let alone = |value| {
                let mut table = sample.clone();
                drop(table.insert(key.clone(), value));
                fits(keys::nest(&list.path(), Value::Array(vec![table.into()])))
            };
            self.note_locations(&path, &value);
            let does = self.fits_alone(&path, &key, &value, usual, alone);
            let fitting = if does { value.value() } else { usual.clone() };
            drop(table.insert(key, fitting));
        }
        for key in list.required() {
            if !table.contains_key(*key) {
                let path = [path, &[(*key).to_owned()]].concat();
                // One that is misspelt is not missing as well.
                if !self.has_gaps && !self.doubtful.contains(&path.join(".")) {
                    self.misfit(&path, written.location.clone(), wording::missing(list, key));
                }
                table.extend(sample.get(*key).map(|usual| ((*key).to_owned(), usual.clone())));
            }
        }
        table
    }
}

/// Whether these keys alone could be settings.
fn fits(table: Table) -> Result<(), Misfit> {
    misfit::read::<RawSettings>(table).map(drop)
}
