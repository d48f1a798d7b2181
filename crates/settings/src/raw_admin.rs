//! `[admin]` as it is typed.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::page::PageSettings;
use crate::{duration_text, optional_text};

/// `[admin]`
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawAdmin {
    /// Where monitors may ask over TCP: IP address and port; empty: nowhere.
    #[serde(with = "optional_text")]
    pub address: Option<SocketAddr>,
    /// The unix socket; empty: `admin.sock` in `data_dir`.
    pub socket: PathBuf,
    /// Who may make exceptions.
    pub exceptions: RawExceptionRule,
    /// Whether the operators' page is at `address` as well.
    pub page: bool,
    /// Who may log in there: names, hashes of passwords, roles.
    pub users_file: PathBuf,
    /// The certificate that is shown at `address`, and its key; empty: clear HTTP.
    pub certificate: PathBuf,
    /// The key of the certificate.
    pub key: PathBuf,
    /// The names that the page answers to, besides those of loopback.
    pub hosts: Vec<String>,
    /// How long a login may not be used.
    #[serde(with = "duration_text")]
    pub idle: Duration,
    /// How long a login lasts at most.
    #[serde(with = "duration_text")]
    pub longest_login: Duration,
}

impl Default for RawAdmin {
    fn default() -> Self {
        Self {
            address: None,
            socket: PathBuf::new(),
            exceptions: RawExceptionRule::default(),
            page: false,
            users_file: PathBuf::new(),
            certificate: PathBuf::new(),
            key: PathBuf::new(),
            hosts: Vec::new(),
            idle: PageSettings::IDLE,
            longest_login: PageSettings::LONGEST_LOGIN,
        }
    }
}

/// Who may make exceptions.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RawExceptionRule {
    /// The settings, and whoever may use the admin socket.
    #[default]
    All,
    /// The settings alone.
    Settings,
}
