//! What is wrong with the settings.

use std::fmt;

use crate::setting_location::SettingLocation;

/// One thing that cannot be meant.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Fault {
    /// Where it was written.
    pub location: SettingLocation,
    /// What is wrong with it, and how it is written right.
    pub problem: String,
}

impl Fault {
    /// This problem at this location.
    pub(crate) fn new(location: SettingLocation, problem: impl Into<String>) -> Self {
        // A value that is quoted may hold line ends; a fault is one line.
        Self { location, problem: problem.into().replace(char::is_control, " ") }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.location, self.problem)
    }
}

/// The settings cannot be used: everything that is wrong with them, a line for each.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SettingsError {
    faults: Vec<Fault>,
}

impl SettingsError {
    /// These faults, in the order of their locations.
    pub(crate) fn new(mut faults: Vec<Fault>) -> Self {
        faults.sort();
        faults.dedup();
        Self { faults }
    }

    /// An error if there is any fault.
    pub(crate) fn unless_empty(faults: Vec<Fault>) -> Result<(), Self> {
        if faults.is_empty() { Ok(()) } else { Err(Self::new(faults)) }
    }

    /// What is wrong; at least one thing.
    #[must_use]
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, fault) in self.faults.iter().enumerate() {
            let line_end = if number == 0 { "" } else { "\n" };
            write!(f, "{line_end}{fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for SettingsError {}
