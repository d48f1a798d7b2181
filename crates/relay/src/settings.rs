//! Settings: what is typed ([`RawSettings`], [`Source`]) and what is made of it ([`Settings`]).
//!
//! One TOML file, whose every key can also be set by the environment. An unknown key is refused
//! with its line and column, in the file as in the environment: a misspelt key is a setting that
//! its writer believes in and that has no effect. No setting weakens an enforced policy, except
//! `[[exception]]`, which is named, reasoned and expires.

mod byte_size;
mod check;
mod convert;
mod defaults;
pub(crate) mod duration_text;
mod environment;
mod hostname;
mod keys;
mod listening;
mod optional_text;
mod raw;
mod routes;
mod secret_text;
mod server_address;
mod source;

use std::io;
use std::path::PathBuf;

pub use crate::moment::Moment;
pub use byte_size::{ByteSize, ByteSizeError};
pub use check::Settings;
pub(crate) use defaults::TRIAL_DATA_DIR;
pub use listening::Listening;
pub use raw::{
    LogFormat, LogLevel, RawAccess, RawAdmin, RawAuthMode, RawBinaryMime, RawDelivery, RawDns,
    RawDnssec, RawException, RawIpPreference, RawLimits, RawListener, RawLog, RawMtaSts, RawRetry,
    RawSettings, RawTimeouts, RawTls, RawTlsMode, RawTrust,
};
pub use routes::{RawRoute, RawRouteAuth, RawRouteTls};
pub use secret_text::SecretText;
pub use server_address::ServerAddress;
pub use source::{Difference, Place, Source};

/// The settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file cannot be read.
    #[error("{}: cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Something is said that cannot be meant.
    #[error("{place}: {problem}")]
    Wrong {
        /// Where.
        place: Place,
        /// What is wrong with it.
        problem: String,
    },
}

/// A duration as the settings have it, such as `14d`.
pub(crate) fn duration(text: &str) -> Option<std::time::Duration> {
    duration_text::parse(text)
}

#[cfg(test)]
mod tests;
