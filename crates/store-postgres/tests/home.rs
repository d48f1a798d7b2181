//! Where a store under test lives: a schema of a real server.

use std::fs;
use std::process::exit;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use clock::Clock;
use store::Store;
use store::conformance::Home;
use store_postgres::{Postgres, Schema, Server, StoreSettings};
use tempfile::TempDir;
use testbed::DatabaseServer;
use tokio_postgres::{Client, NoTls};

/// How many schemas this process has made.
static SCHEMAS: AtomicU32 = AtomicU32::new(0);

/// A schema, and the directory of the node that uses it.
#[derive(Debug)]
struct InSchema {
    server: &'static DatabaseServer,
    schema: Schema,
    node: TempDir,
}

/// An empty one.
pub(crate) async fn empty() -> Box<dyn Home> {
    Box::new(InSchema::new(server()))
}

/// The server of this process. Without PostgreSQL nothing of this file can be tested: where it must be, that is
/// a failure, and elsewhere it is said.
#[expect(clippy::print_stderr, clippy::exit, reason = "a line says what did not run")]
fn server() -> &'static DatabaseServer {
    if let Some(server) = DatabaseServer::shared() {
        return server;
    }
    let why = "PostgreSQL is not installed: the tests of the store in a database did not run";
    assert!(std::env::var_os("STS_RELAY_POSTGRES").is_none(), "{why}");
    eprintln!("{why}");
    exit(0)
}

impl InSchema {
    fn new(server: &'static DatabaseServer) -> Self {
        let name = format!("t{}", SCHEMAS.fetch_add(1, Ordering::Relaxed));
        let node = tempfile::tempdir().unwrap();
        Self { server, schema: Schema::parse(&name).unwrap(), node }
    }

    /// The settings of a node that uses it.
    fn settings(&self) -> StoreSettings {
        let server = Server::Unix(self.server.directory().to_owned(), self.server.port());
        let name = self.server.name();
        let settings = StoreSettings::new(server, name, name, self.node.path());
        StoreSettings { schema: self.schema.clone(), ..settings }
    }
}

#[async_trait]
impl Home for InSchema {
    async fn open(&self, clock: Arc<dyn Clock>) -> Arc<dyn Store> {
        Arc::new(Postgres::open(self.settings(), clock).await.unwrap())
    }

    async fn killed(&self) -> Box<dyn Home> {
        let left = Self::new(self.server);
        copy(self.server, self.schema.as_str(), left.schema.as_str()).await;
        for file in fs::read_dir(self.node.path()).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), left.node.path().join(file.file_name())).unwrap();
        }
        Box::new(left)
    }

    async fn another(&self) -> Box<dyn Home> {
        empty().await
    }
}

/// Copies a schema as a transaction sees it now: what is committed, and nothing of what is not.
async fn copy(server: &DatabaseServer, from: &str, to: &str) {
    let (client, connection) = tokio_postgres::Config::new()
        .host_path(server.directory())
        .port(server.port())
        .user(server.name())
        .dbname(server.name())
        .connect(NoTls)
        .await
        .unwrap();
    let copied = async {
        client.batch_execute(&copy_sql(&client, from, to).await).await.unwrap();
    };
    tokio::select! {
        () = copied => {}
        ended = connection => ended.unwrap(),
    }
}

/// The statements of a copy.
async fn copy_sql(client: &Client, from: &str, to: &str) -> String {
    let tables = "SELECT tablename FROM pg_catalog.pg_tables WHERE schemaname = $1";
    let tables = client.query(tables, &[&from]).await.unwrap();
    let copies = tables.iter().map(|row| {
        let table: String = row.get(0);
        format!(
            "CREATE TABLE {to}.{table} (LIKE {from}.{table} INCLUDING ALL); \
             INSERT INTO {to}.{table} SELECT * FROM {from}.{table};"
        )
    });
    let copies: String = copies.collect();
    format!(
        "BEGIN ISOLATION LEVEL REPEATABLE READ; CREATE SCHEMA {to}; {copies} \
         CREATE SEQUENCE {to}.token; \
         SELECT setval('{to}.token', (SELECT last_value FROM {from}.token)); COMMIT"
    )
}
