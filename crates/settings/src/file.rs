//! The settings file: its bytes, its TOML, and the faults of both.

use std::collections::BTreeSet;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Value;
use toml::de::{DeTable, DeValue};

use crate::fault::Fault;
use crate::setting_location::SettingLocation;
use crate::syntax;
use crate::written::{Entry, Tree, Written};

/// A settings file that could be read.
#[derive(Debug)]
pub(crate) struct File {
    path: PathBuf,
    text: String,
}

impl File {
    /// Reads the file.
    pub(crate) fn read(path: &Path) -> Result<Self, Fault> {
        let whole =
            |problem: String| Fault::new(SettingLocation::WholeFile(path.to_owned()), problem);
        let bytes = std::fs::read(path).map_err(|error| whole(unreadable(&error)))?;
        let marked = bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff");
        if marked || bytes.contains(&0) {
            return Err(whole("is UTF-16: save it as UTF-8".to_owned()));
        }
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Self { path: path.to_owned(), text }),
            Err(error) => {
                let good = error.utf8_error().valid_up_to();
                let bytes = error.into_bytes();
                let text = String::from_utf8_lossy(bytes.get(..good).unwrap_or_default());
                let file = Self { path: path.to_owned(), text: text.into_owned() };
                let problem = "this character is not UTF-8: save the file as UTF-8";
                Err(Fault::new(file.at(file.text.len()), problem))
            }
        }
    }

    /// What is written in it, as far as it is TOML, and where it is not.
    pub(crate) fn parse(&self) -> (Vec<Entry>, Vec<Fault>) {
        let (table, errors) = DeTable::parse_recoverable(&self.text);
        let mut faults: Vec<Fault> = Vec::new();
        let mut lines = BTreeSet::new();
        for error in errors {
            let at = error.span().unwrap_or_default().start;
            let duplicate = syntax::is_duplicate(error.message());
            // One mistake makes the rest of its line look wrong, too.
            if lines.insert(self.line(at)) || duplicate {
                let problem = syntax::problem(error.message(), &self.text, at);
                faults.push(Fault::new(self.at(at), problem));
            }
        }
        // Below a broken header nobody knows whose the keys are.
        let is_header = |line: &usize| {
            let text = self.text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
            text.trim_start().starts_with('[')
        };
        let broken = Broken { first_header: lines.iter().copied().find(is_header), lines };
        (broken.without(self.section(table.get_ref())), faults)
    }

    /// The keys of a section, in the order of the file.
    fn section(&self, table: &DeTable<'_>) -> Vec<Entry> {
        let mut entries: Vec<_> = table
            .iter()
            .map(|(key, value)| Entry {
                key: key.get_ref().to_string(),
                key_location: self.at(key.span().start),
                value: self.written(value.get_ref(), value.span()),
            })
            .collect();
        entries.sort_by(|one, other| one.key_location.cmp(&other.key_location));
        entries
    }

    fn written(&self, value: &DeValue<'_>, span: Range<usize>) -> Written {
        let tree = match value {
            DeValue::String(text) => Tree::Leaf(Value::String(text.to_string())),
            DeValue::Integer(number) => {
                // What is too large for TOML is no whole number that a setting could be.
                let read = i64::from_str_radix(number.as_str(), number.radix()).map(Value::Integer);
                let large = || Value::Float(number.as_str().parse().unwrap_or(f64::INFINITY));
                Tree::Leaf(read.unwrap_or_else(|_error| large()))
            }
            DeValue::Float(number) => {
                Tree::Leaf(Value::Float(number.as_str().parse().unwrap_or(f64::NAN)))
            }
            DeValue::Boolean(truth) => Tree::Leaf(Value::Boolean(*truth)),
            DeValue::Datetime(date) => Tree::Leaf(Value::Datetime(*date)),
            DeValue::Array(list) => {
                let one = |value: &toml::Spanned<DeValue<'_>>| {
                    self.written(value.get_ref(), value.span())
                };
                Tree::List(list.iter().map(one).collect())
            }
            DeValue::Table(table) => Tree::Section(self.section(table)),
        };
        Written { location: self.at(span.start), tree }
    }

    /// The line of an offset, from 1.
    fn line(&self, offset: usize) -> usize {
        self.text.get(..offset).unwrap_or(&self.text).matches('\n').count().saturating_add(1)
    }

    /// The location of an offset.
    fn at(&self, offset: usize) -> SettingLocation {
        let before = self.text.get(..offset).unwrap_or(&self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline.saturating_add(1));
        let on_line = before.get(line_start..).unwrap_or("");
        // Editors do not count a byte order mark.
        let on_line = on_line.strip_prefix('\u{feff}').unwrap_or(on_line);
        let column = on_line.chars().count().saturating_add(1);
        SettingLocation::File { path: self.path.clone(), line: self.line(offset), column }
    }
}

/// The lines that are not TOML: what could be made out of them was perhaps never meant.
struct Broken {
    lines: BTreeSet<usize>,
    first_header: Option<usize>,
}

impl Broken {
    /// What is left of a section.
    fn without(&self, entries: Vec<Entry>) -> Vec<Entry> {
        let is_sound = |entry: &Entry| self.is_sound(&entry.key_location);
        let kept = entries.into_iter().filter(is_sound);
        kept.filter_map(|entry| Some(Entry { value: self.within(entry.value)?, ..entry })).collect()
    }

    /// What is left of a value.
    fn within(&self, value: Written) -> Option<Written> {
        let Written { location, tree } = value;
        let tree = match tree {
            Tree::Section(entries) => Tree::Section(self.without(entries)),
            Tree::List(list) => {
                Tree::List(list.into_iter().filter_map(|one| self.within(one)).collect())
            }
            Tree::Leaf(_) if !self.is_sound(&location) => return None,
            leaf @ Tree::Leaf(_) => leaf,
        };
        Some(Written { location, tree })
    }

    fn is_sound(&self, location: &SettingLocation) -> bool {
        match location {
            SettingLocation::File { line, .. } => {
                !self.lines.contains(line) && self.first_header.is_none_or(|header| *line < header)
            }
            SettingLocation::Default(_)
            | SettingLocation::Variable(_)
            | SettingLocation::WholeFile(_) => true,
        }
    }
}

/// Why a file cannot be read, and what to do.
pub(crate) fn unreadable(error: &io::Error) -> String {
    let kind = error.kind();
    if kind == io::ErrorKind::NotFound {
        "no such file".to_owned()
    } else if kind == io::ErrorKind::PermissionDenied {
        "cannot be read: permission denied; run this as a user who may read it, as in `sudo -u \
         sts-relay sts-relay ...`"
            .to_owned()
    } else if kind == io::ErrorKind::IsADirectory {
        "is a directory, not a file".to_owned()
    } else {
        // The kind has words of its own; the error's end with a number.
        format!("cannot be read: {kind}")
    }
}
