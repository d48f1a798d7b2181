//! Settings: what is typed ([`RawSettings`], [`Source`]) and what is made of it ([`Settings`]).
//!
//! One TOML file, whose every key can also be set by the environment. An unknown key is refused
//! with its line and column, in the file as in the environment: a misspelt key is a setting that
//! its writer believes in and that has no effect. No setting weakens an enforced policy, except
//! `[[exception]]`, which is named, reasoned and expires.

mod address_text;
mod byte_size;
mod check;
mod checked;
mod convert;
mod defaults;
pub(crate) mod duration_text;
mod environment;
mod exceptions;
mod fault;
mod file;
mod hostname;
mod keys;
mod listening;
mod misfit;
mod optional_text;
mod paths;
mod place;
mod raw;
mod raw_route;
mod reading;
mod routes;
mod secret_text;
mod server_address;
mod source;
mod syntax;
mod wording;
mod written;

pub use byte_size::{ByteSize, ByteSizeError};
pub use checked::Settings;
pub(crate) use defaults::TRIAL_DATA_DIR;
pub(crate) use environment::FILE_VARIABLE;
pub use fault::{Fault, SettingsError};
pub use listening::Listening;
pub(crate) use paths::RelayPaths;
pub use place::Place;
pub use raw::{
    LogAddresses, LogFormat, LogLevel, RawAccess, RawAdmin, RawAuthMode, RawBinaryMime,
    RawDelivery, RawDns, RawDnssec, RawException, RawIpPreference, RawLimits, RawListener, RawLog,
    RawMtaSts, RawRetry, RawSettings, RawTimeouts, RawTls, RawTlsMode, RawTrust,
};
pub use raw_route::{RawRoute, RawRouteAuth, RawRouteTls};
pub use secret_text::SecretText;
pub use server_address::ServerAddress;
pub use source::{Difference, Source};

/// A duration as the settings have it, such as `14d`.
pub(crate) fn duration(text: &str) -> Option<std::time::Duration> {
    duration_text::parse(text)
}

#[cfg(test)]
mod tests;
