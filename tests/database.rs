//! A store in a database, for tests that run over either store.

use std::sync::atomic::{AtomicU32, Ordering};

use testbed::DatabaseServer;

/// How many schemas this process has asked for.
static SCHEMAS: AtomicU32 = AtomicU32::new(0);

/// Which store a test runs over.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Over {
    /// The one in the data directory.
    Embedded,
    /// One in a database.
    Postgres,
}

/// A schema of its own in the server of this process.
#[derive(Clone, Debug)]
pub(crate) struct Database {
    pub(crate) server: &'static DatabaseServer,
    pub(crate) schema: String,
}

impl Database {
    /// Runs a test over an empty one; it does not run where PostgreSQL is not installed, which is said.
    pub(crate) async fn with(test: impl AsyncFnOnce(Self)) {
        if let Some(database) = Self::empty() {
            Box::pin(test(database)).await;
        }
    }

    /// Runs a test over a primary and its synchronous standby, with the settings that name both.
    pub(crate) async fn with_standby(
        test: impl AsyncFnOnce(String, &DatabaseServer, &DatabaseServer),
    ) {
        let Some((primary, standby)) = DatabaseServer::pair() else { return not_installed() };
        let place =
            |server: &DatabaseServer| format!("{}:{}", server.directory().display(), server.port());
        let hosts = format!("{}\", \"{}", place(&primary), place(&standby));
        let store = settings((&hosts, primary.name(), "sts_relay"));
        Box::pin(test(store, &primary, &standby)).await;
    }

    /// An empty one; none where PostgreSQL is not installed, which is said.
    fn empty() -> Option<Self> {
        let Some(server) = DatabaseServer::shared() else {
            not_installed();
            return None;
        };
        let schema = format!("e{}", SCHEMAS.fetch_add(1, Ordering::Relaxed));
        Some(Self { server, schema })
    }

    /// The lines that make it a relay's store; leases are short.
    pub(crate) fn settings(&self) -> String {
        let host = format!("{}:{}", self.server.directory().display(), self.server.port());
        self.settings_at(&host)
    }

    /// The same through this host.
    pub(crate) fn settings_at(&self, host: &str) -> String {
        settings((host, self.server.name(), &self.schema))
    }
}

/// The lines that make a schema at hosts a relay's store.
fn settings((hosts, name, schema): (&str, &str, &str)) -> String {
    format!(
        "store.kind = \"postgres\"\n\
         store.postgres.hosts = [\"{hosts}\"]\n\
         store.postgres.database = \"{name}\"\n\
         store.postgres.user = \"{name}\"\n\
         store.postgres.schema = \"{schema}\"\n\
         store.postgres.lease = \"6s\"\n"
    )
}

/// Says that a test did not run; where it must, that is a failure.
#[expect(clippy::print_stderr, reason = "a line says what did not run")]
fn not_installed() {
    let why = "PostgreSQL is not installed: this test did not run";
    assert!(std::env::var_os("STS_RELAY_POSTGRES").is_none(), "{why}");
    eprintln!("{why}");
}

impl Over {
    /// The settings of a new store; none where it cannot be had, which is said.
    pub(crate) fn settings(self) -> Option<String> {
        match self {
            Self::Embedded => Some(String::new()),
            Self::Postgres => Database::empty().map(|database| database.settings()),
        }
    }
}
