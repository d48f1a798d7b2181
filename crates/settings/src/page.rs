//! The operators' page at the admin address.

use std::path::PathBuf;
use std::time::Duration;

use access::Operators;
use listener::ServerTls;

/// How the operators' page is served at the admin address.
#[derive(Clone, Debug)]
pub struct PageSettings {
    /// Where those are listed who may log in.
    pub users_file: PathBuf,
    /// Who may log in.
    pub operators: Operators,
    /// What is shown; none: clear HTTP, on loopback alone.
    pub tls: Option<ServerTls>,
    /// The names that it answers to, besides those of loopback.
    pub hosts: Vec<String>,
    /// How long a login may not be used.
    pub idle: Duration,
    /// How long a login lasts at most.
    pub longest_login: Duration,
}

impl PageSettings {
    /// The usual time that a login may not be used.
    pub const IDLE: Duration = Duration::from_secs(30 * 60);
    /// The usual time that a login lasts at most.
    pub const LONGEST_LOGIN: Duration = Duration::from_secs(12 * 60 * 60);
}
