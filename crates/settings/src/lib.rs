//! Settings: what is typed ([`RawSettings`], [`Source`]) and what is made of it ([`Settings`]).
//!
//! One TOML file, whose every key can also be set by the environment. An unknown key is refused
//! with its line and column, in the file as in the environment: a misspelt key is a setting that
//! its writer believes in and that has no effect. No setting weakens an enforced policy, except
//! `[[exception]]`, which is named, reasoned and expires.

mod address_text;
mod byte_size;
mod check;
mod chosen_store;
mod defaults;
mod dkim_keys;
mod duration_text;
mod environment;
mod exceptions;
mod fault;
mod file;
mod hostname;
mod keys;
mod limits;
mod listening;
mod local_mail;
mod misfit;
mod nearest;
mod notices;
mod optional_text;
mod page;
mod page_check;
mod paths;
mod policy_host_proof;
mod rate_text;
mod raw;
mod raw_access;
mod raw_admin;
mod raw_dane;
mod raw_dkim;
mod raw_dns;
mod raw_history;
mod raw_limit;
mod raw_notify;
mod raw_requiretls;
mod raw_rewrite;
mod raw_route;
mod raw_staging;
mod raw_store;
mod raw_submission;
mod raw_tls_rpt;
mod reading;
mod rewriting;
mod routes;
mod secret_text;
mod server_address;
mod setting_location;
mod settings;
mod socket_mode;
mod source;
mod source_addresses;
mod staging;
mod syntax;
#[cfg(test)]
mod tests;
mod tls_reports;
mod wording;
mod written;

pub use crate::byte_size::{ByteSize, ByteSizeError};
pub use crate::chosen_store::{ChosenStore, SharedStore};
pub use crate::defaults::TRIAL_DATA_DIR;
pub use crate::dkim_keys::DkimSettings;
pub use crate::duration_text::parse as parse_duration;
pub use crate::environment::FILE_VARIABLE;
pub use crate::fault::{Fault, SettingsError};
pub use crate::listening::Listening;
pub use crate::local_mail::SubmitSocket;
pub use crate::nearest::nearest;
pub use crate::notices::NotifySettings;
pub use crate::page::PageSettings;
pub use crate::paths::RelayPaths;
pub use crate::raw::{
    LogAddresses, LogFormat, LogLevel, RawAuthMode, RawBinaryMime, RawDelivery, RawException,
    RawLifted, RawLimits, RawListener, RawLog, RawMtaSts, RawRetry, RawSettings, RawTls,
    RawTlsMode, RawTrust,
};
pub use crate::raw_access::{RawAccess, RawNetwork};
pub use crate::raw_admin::{RawAdmin, RawExceptionRule};
pub use crate::raw_dane::{RawDane, RawDaneMode, RawInsecureMx};
pub use crate::raw_dkim::{RawAlgorithm, RawDkim, RawDkimSigning, RawKeyService};
pub use crate::raw_dns::RawDns;
pub use crate::raw_history::{RawAddresses, RawHistory};
pub use crate::raw_limit::RawLimit;
pub use crate::raw_notify::{RawNotify, RawNotifyKind};
pub use crate::raw_requiretls::{RawRequireTls, RawRequireTlsDelivery};
pub use crate::raw_rewrite::RawRewrite;
pub use crate::raw_route::{RawRoute, RawRouteAuth, RawRouteTls};
pub use crate::raw_staging::{RawOthers, RawStaging};
pub use crate::raw_store::{
    RawMigrate, RawPostgres, RawPostgresTls, RawStandby, RawStore, RawStoreKind,
};
pub use crate::raw_submission::RawSubmission;
pub use crate::raw_tls_rpt::{RawSend, RawTlsRpt, RawVerifyHttps};
pub use crate::secret_text::SecretText;
pub use crate::server_address::ServerAddress;
pub use crate::setting_location::SettingLocation;
pub use crate::settings::Settings;
pub use crate::socket_mode::SocketMode;
pub use crate::source::{Difference, Source};
