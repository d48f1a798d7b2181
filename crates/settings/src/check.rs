//! What is wrong with the settings, noted while they are read.

use std::fmt::Display;
use std::fs;
use std::path::Path;
use std::time::SystemTime;

use smtp::AddressPattern;

use crate::fault::Fault;
use crate::file::unreadable;
use crate::raw::RawSettings;
use crate::setting_location::SettingLocation;
use crate::source::Source;

/// A check under way.
///
/// What is wrong is noted, and the check goes on, so that all of it is told at once.
pub(crate) struct Check<'a> {
    pub(crate) source: &'a Source,
    pub(crate) raw: &'a RawSettings,
    pub(crate) now: SystemTime,
    pub(crate) warnings: Vec<String>,
    pub(crate) faults: Vec<Fault>,
}

impl<'a> Check<'a> {
    /// A check of `source` at `now`, which begins with what could not be understood.
    pub(crate) fn new(source: &'a Source, now: SystemTime) -> Self {
        let (warnings, faults) = (Vec::new(), source.faults().to_vec());
        Self { source, raw: source.raw(), now, warnings, faults }
    }

    /// Notes that `problem` is with `key`, unless its value is not what was meant anyway.
    pub(crate) fn wrong(&mut self, key: &str, problem: &(impl ToString + ?Sized)) {
        self.wrong_at(self.source.location(key), key, problem);
    }

    /// The same, where the location is known better.
    pub(crate) fn wrong_at(
        &mut self,
        location: SettingLocation,
        key: &str,
        problem: &(impl ToString + ?Sized),
    ) {
        if self.source.is_certain(key) {
            self.faults.push(Fault::new(location, format!("{key}: {}", problem.to_string())));
        }
    }

    /// The same, where it is a problem only because of what `other` is.
    pub(crate) fn wrong_with(&mut self, key: &str, other: &str, problem: &str) {
        if self.source.is_certain(other) {
            self.wrong(key, problem);
        }
    }

    /// What was made of `key`, or its default where that was not possible.
    pub(crate) fn or_wrong<T: Default, E: ToString>(&mut self, key: &str, made: Result<T, E>) -> T {
        made.unwrap_or_else(|error| {
            self.wrong(key, &error);
            T::default()
        })
    }

    /// What each text of a list says; each that is wrong is named.
    pub(crate) fn each<T, E: Display>(
        &mut self,
        key: &str,
        texts: &[String],
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Vec<T> {
        let mut parsed = Vec::with_capacity(texts.len());
        for (number, text) in texts.iter().enumerate() {
            match parse(text) {
                Ok(value) => parsed.push(value),
                Err(error) => {
                    let location = self.source.location(&format!("{key}.{number}"));
                    self.wrong_at(location, key, &format!("`{text}`: {error}"));
                }
            }
        }
        parsed
    }

    /// Addresses, domains such as `@example.org`, or `*`; each that is none of them is named.
    pub(crate) fn addresses(&mut self, key: &str, texts: &[String]) -> Vec<AddressPattern> {
        self.each(key, texts, |text| {
            AddressPattern::parse(text)
                .map_err(|_cause| "it is neither an address nor a domain such as @example.org")
        })
    }

    /// Refuses a number that would bring the relay to a halt.
    pub(crate) fn at_least_one<T: Default + PartialEq>(&mut self, key: &str, number: T) -> T {
        if number == T::default() {
            self.wrong(key, "must not be zero");
        }
        number
    }

    /// Whether a file can be read; why not is noted.
    pub(crate) fn can_read(&mut self, key: &str, file: &Path) -> bool {
        match fs::File::open(file) {
            Ok(_opened) => true,
            Err(error) => {
                self.wrong(key, &format!("{}: {}", file.display(), unreadable(&error)));
                false
            }
        }
    }
}
