//! What a store in a database is opened with.

use std::fmt::{self, Debug, Formatter};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use store::StoreTuning;

/// Where the database is and how this node uses it; every limit has a default.
#[derive(Clone, Debug)]
pub struct StoreSettings {
    /// The servers, tried in turn until one takes writes; never empty.
    pub servers: Vec<Server>,
    /// The name of the database.
    pub database: String,
    /// The role.
    pub user: String,
    /// Its password, where the server asks for one.
    pub password: Option<Password>,
    /// The TLS of connections to servers on the network; none only for a Unix socket or loopback.
    pub tls: Option<Arc<ClientConfig>>,
    /// The schema that holds the tables.
    pub schema: Schema,
    /// What this node is called, in the log and to operators.
    pub node: String,
    /// A directory of this node alone, in which the store notes under which token it was here last.
    pub dir: PathBuf,
    /// Whether mail is taken while no standby has to confirm a commit.
    pub standby: Standby,
    /// How long others wait for a sign of life before they take this node's mail over.
    pub lease: Duration,
    /// How long a client waits for the end of a commit before it is asked to try again later.
    pub patience: Duration,
    /// When the tables are brought to a newer format.
    pub migrate: Migrate,
    /// The longest wait there is between two attempts: what is due later than that is due now.
    pub longest_wait: Duration,
}

impl StoreSettings {
    /// What of them may change while the store is open.
    #[must_use]
    pub const fn tuning(&self) -> StoreTuning {
        StoreTuning { min_free: 0, longest_wait: self.longest_wait }
    }

    /// The defaults, for a role in a database at one server; this node keeps its token in `dir`.
    #[must_use]
    pub fn new(server: Server, database: &str, user: &str, dir: impl Into<PathBuf>) -> Self {
        Self {
            servers: vec![server],
            database: database.to_owned(),
            user: user.to_owned(),
            password: None,
            tls: None,
            schema: Schema::default(),
            node: "relay".to_owned(),
            dir: dir.into(),
            standby: Standby::Any,
            lease: Duration::from_secs(30),
            patience: Duration::from_secs(30),
            migrate: Migrate::Auto,
            longest_wait: Duration::MAX,
        }
    }
}

/// A server of the database.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Server {
    /// On the network: a name or an address, and a port.
    Tcp(String, u16),
    /// On this machine: the directory of its Unix socket, and the port in the socket's name.
    Unix(PathBuf, u16),
}

/// A password, which is in no log and no error.
#[derive(Clone, Eq, PartialEq)]
pub struct Password(String);

impl Password {
    /// This one.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// What the server is told.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl Debug for Password {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("Password")
    }
}

/// The longest name that PostgreSQL does not cut.
const NAME_MOST: usize = 63;

/// The name of a schema: small letters, digits and underscores, so that it means the same quoted or not.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Schema(String);

/// The text is not the name of a schema.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a schema's name: 1 to 63 small letters, digits and underscores, a letter first")]
pub struct SchemaError;

impl Schema {
    /// Reads a name.
    ///
    /// # Errors
    ///
    /// [`SchemaError`] where it would have to be quoted.
    pub fn parse(text: &str) -> Result<Self, SchemaError> {
        let is_fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let begins = text.starts_with(|c: char| c.is_ascii_lowercase());
        let fits = begins && text.len() <= NAME_MOST && text.chars().all(is_fine);
        if fits { Ok(Self(text.to_owned())) } else { Err(SchemaError) }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Schema {
    fn default() -> Self {
        Self("sts_relay".to_owned())
    }
}

/// Whether a standby has to confirm each commit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Standby {
    /// One may; that there is none is said in the log.
    Any,
    /// One must: without `synchronous_standby_names` no mail is taken.
    Required,
}

/// When the tables are made or brought to a newer format.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Migrate {
    /// At start.
    Auto,
    /// By hand: a store of another format is refused.
    Manual,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_shown() {
        let shown = format!("{:?}", Password::new("geheim"));
        assert_eq!(shown, "Password");
    }

    #[test]
    fn a_schema_needs_no_quotes() {
        for good in ["a", "sts_relay", "t1_x"] {
            assert_eq!(Schema::parse(good).unwrap().as_str(), good);
        }
        let long = "x".repeat(64);
        for bad in ["", "A", "1a", "_a", "a b", "a\"b", "a,b", "ä", &long] {
            assert_eq!(Schema::parse(bad), Err(SchemaError), "{bad}");
        }
    }
}
