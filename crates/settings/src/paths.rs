//! Where a running relay is found: all that a command needs which asks it.

use std::path::PathBuf;
use std::time::SystemTime;

use mta_sts::Exceptions;

use crate::exceptions;
use crate::fault::{Fault, SettingsError};
use crate::raw_store::RawStoreKind;
use crate::source::Source;

/// Where the relay of these settings is, whatever else is wrong with them.
///
/// A fault elsewhere, a certificate that cannot be read or a route without a password is the next
/// start's business, and does not keep anyone from asking the relay that runs.
#[derive(Clone, Debug)]
pub struct RelayPaths {
    /// The unix socket of the admin interface.
    pub admin_socket: PathBuf,
    /// The unix socket through which programs of this machine send, where one is set.
    pub submit_socket: Option<PathBuf>,
    /// Where mail is kept.
    pub store: RawStoreKind,
    /// The queue's directory, where mail is kept in one.
    pub queue: PathBuf,
    /// The history's directory.
    pub history: PathBuf,
    /// The domains whose policy is set aside for a while, as far as they can be understood.
    pub exceptions: Exceptions,
    /// What cannot be understood.
    pub(crate) faults: Vec<Fault>,
}

impl RelayPaths {
    /// The paths that `source` says.
    #[must_use]
    pub fn of(source: &Source, now: SystemTime) -> Self {
        Self {
            admin_socket: source.raw().admin_socket(),
            submit_socket: source.raw().submit_socket(),
            store: source.raw().store.kind,
            queue: source.raw().queue_dir(),
            history: source.raw().history_dir(),
            exceptions: exceptions::understood(source, now),
            faults: source.faults().to_vec(),
        }
    }

    /// Refuses to go on with settings that have faults: where no relay answers, the place to look may
    /// be among what could not be understood.
    ///
    /// # Errors
    ///
    /// [`SettingsError`] with everything that cannot be understood.
    pub fn ensure_certain(&self) -> Result<(), SettingsError> {
        SettingsError::unless_empty(self.faults.clone())
    }
}
