//! `[store]` and `[store.postgres]` as they are typed.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use store_postgres::{Migrate, Server, Standby, StoreSettings};

use crate::duration_text;
use crate::secret_text::SecretText;

/// What the role, the database and the schema are called unless something else is said.
const NAME: &str = "sts_relay";

/// `[store]`
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawStore {
    /// Where mail is kept.
    pub kind: RawStoreKind,
    /// The database, where it is kept in one.
    pub postgres: RawPostgres,
}

/// Where mail is kept.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RawStoreKind {
    /// In the data directory.
    #[default]
    Embedded,
    /// In a database that several relays share.
    Postgres,
}

/// `[store.postgres]`
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawPostgres {
    /// The servers: `host`, `host:port`, or the directory of a Unix socket.
    pub hosts: Vec<String>,
    /// The database.
    pub database: String,
    /// The role.
    pub user: String,
    /// Its password.
    pub password: SecretText,
    /// A file with its password.
    pub password_file: PathBuf,
    /// Whether the server has to prove its name.
    pub tls: RawPostgresTls,
    /// A file with the authorities of the server's certificate; empty: those of `[trust]`.
    pub ca_file: PathBuf,
    /// The certificate that the relay shows the server; empty: none.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// The schema that holds the tables.
    pub schema: String,
    /// What this relay is called among those that share the store; empty: `hostname`.
    pub node: String,
    /// Whether a synchronous standby has to confirm each commit.
    pub standby: RawStandby,
    /// How long the others wait for a sign of life before they take mail over.
    #[serde(with = "duration_text")]
    pub lease: Duration,
    /// How long a client waits for the end of a commit.
    #[serde(with = "duration_text")]
    pub patience: Duration,
    /// When the tables are made.
    pub migrate: RawMigrate,
}

/// Whether the server has to prove its name.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RawPostgresTls {
    /// No TLS at all.
    Off,
    /// It has to.
    #[default]
    Verify,
}

/// Whether a standby has to confirm each commit.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RawStandby {
    /// One may.
    Any,
    /// One must.
    Required,
}

/// When the tables are made.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RawMigrate {
    /// At start.
    Auto,
    /// By hand.
    Manual,
}

impl Default for RawPostgres {
    fn default() -> Self {
        let nowhere = Server::Unix(PathBuf::new(), 0);
        let StoreSettings { schema, standby, lease, patience, migrate, .. } =
            StoreSettings::new(nowhere, NAME, NAME, "");
        Self {
            hosts: Vec::new(),
            database: NAME.to_owned(),
            user: NAME.to_owned(),
            password: SecretText::default(),
            password_file: PathBuf::new(),
            tls: RawPostgresTls::default(),
            ca_file: PathBuf::new(),
            certificate: PathBuf::new(),
            key: PathBuf::new(),
            schema: schema.as_str().to_owned(),
            node: String::new(),
            standby: standby.into(),
            lease,
            patience,
            migrate: migrate.into(),
        }
    }
}

impl From<Standby> for RawStandby {
    fn from(standby: Standby) -> Self {
        match standby {
            Standby::Any => Self::Any,
            Standby::Required => Self::Required,
        }
    }
}

impl From<RawStandby> for Standby {
    fn from(standby: RawStandby) -> Self {
        match standby {
            RawStandby::Any => Self::Any,
            RawStandby::Required => Self::Required,
        }
    }
}

impl From<Migrate> for RawMigrate {
    fn from(migrate: Migrate) -> Self {
        match migrate {
            Migrate::Auto => Self::Auto,
            Migrate::Manual => Self::Manual,
        }
    }
}

impl From<RawMigrate> for Migrate {
    fn from(migrate: RawMigrate) -> Self {
        match migrate {
            RawMigrate::Auto => Self::Auto,
            RawMigrate::Manual => Self::Manual,
        }
    }
}
