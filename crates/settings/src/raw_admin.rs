//! `[admin]` as it is typed.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::optional_text;

/// `[admin]`
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawAdmin {
    /// Where monitors may ask over TCP: IP address and port; empty: nowhere.
    #[serde(with = "optional_text")]
    pub address: Option<SocketAddr>,
    /// The unix socket; empty: `admin.sock` in `data_dir`.
    pub socket: PathBuf,
    /// Who may make exceptions.
    pub exceptions: RawExceptionRule,
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
