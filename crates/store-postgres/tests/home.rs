//! Where a store under test lives: a schema of a real server.

use std::fs;
use std::path::Path;
use std::process::exit;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use clock::{Clock, SystemClock};
use mail::QueueId;
use store::conformance::{Home, begun};
use store::{Demand, Owner, QueueEntry, Store};
use store_postgres::{Postgres, Schema, Server, StoreSettings};
use tempfile::TempDir;
use testbed::{DatabaseProxy, DatabaseServer};
use tokio::time::timeout;
use tokio_postgres::{Client, NoTls};

/// How many schemas this process has made.
static SCHEMAS: AtomicU32 = AtomicU32::new(0);

/// A schema, and the directory of the node that uses it.
#[derive(Debug)]
pub(crate) struct InSchema {
    server: &'static DatabaseServer,
    schema: Schema,
    node: TempDir,
    /// The directories of other nodes.
    others: Mutex<Vec<TempDir>>,
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
        Self { server, schema: Schema::parse(&name).unwrap(), node, others: Mutex::default() }
    }

    /// An empty one.
    pub(crate) fn empty() -> Self {
        Self::new(server())
    }

    /// The port of the server.
    pub(crate) const fn port(&self) -> u16 {
        self.server.port()
    }

    /// The settings of a node with this directory at a server.
    fn settings_in(&self, server: Server, dir: &Path) -> StoreSettings {
        let name = self.server.name();
        let settings = StoreSettings::new(server, name, name, dir);
        StoreSettings { schema: self.schema.clone(), ..settings }
    }

    fn socket(&self) -> Server {
        Server::Unix(self.server.directory().to_owned(), self.server.port())
    }

    /// The settings of the node that uses it.
    fn settings(&self) -> StoreSettings {
        self.settings_in(self.socket(), self.node.path())
    }

    /// The same with a lease.
    pub(crate) fn node(&self, lease: Duration) -> StoreSettings {
        StoreSettings { lease, ..self.settings() }
    }

    /// The same over a proxy.
    pub(crate) fn node_behind(&self, proxy: &DatabaseProxy, lease: Duration) -> StoreSettings {
        let address = proxy.address();
        let server = Server::Tcp(address.ip().to_string(), address.port());
        StoreSettings { lease, ..self.settings_in(server, self.node.path()) }
    }

    /// The settings of another node.
    pub(crate) fn other_node(&self, lease: Duration) -> StoreSettings {
        let dir = tempfile::tempdir().unwrap();
        let settings = self.settings_in(self.socket(), dir.path());
        self.others.lock().unwrap().push(dir);
        StoreSettings { lease, node: "other".to_owned(), ..settings }
    }

    /// How many rows a table has.
    pub(crate) async fn count(&self, table: &str) -> i64 {
        let sql = format!("SELECT count(*) FROM {}.{table}", self.schema.as_str());
        let count = Mutex::new(0);
        with_client(self.server, async |client| {
            let counted: i64 = client.query_one(&sql, &[]).await.unwrap().get(0);
            *count.lock().unwrap() = counted;
        })
        .await;
        count.into_inner().unwrap()
    }

    /// Does a statement beside the stores.
    pub(crate) async fn execute(&self, sql: &str) {
        let sql = format!("SET search_path = {}; {sql}", self.schema.as_str());
        with_client(self.server, async |client| client.batch_execute(&sql).await.unwrap()).await;
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

/// Opens a store by the system's clock.
pub(crate) async fn open(settings: StoreSettings) -> Postgres {
    Postgres::open(settings, Arc::new(SystemClock)).await.unwrap()
}

/// Puts a message into a store.
pub(crate) async fn accept(store: &dyn Store, owner: Owner) -> QueueId {
    let message = begun(store, &["a@one.example"], b"hello").await;
    store.commit(message, owner).await.unwrap().id()
}

/// Claims entries.
pub(crate) async fn claim(store: &dyn Store, most: usize) -> Vec<QueueEntry> {
    let demand = [Demand { destination: Arc::from("one.example"), most }];
    store.claim(&demand, most).await.unwrap().remove(0).entries
}

/// Waits until something is so.
pub(crate) async fn soon(is_so: impl Fn() -> bool) {
    let waited = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(30), waited).await.unwrap();
}

/// Copies a schema as a transaction sees it now: what is committed, and nothing of what is not.
async fn copy(server: &DatabaseServer, from: &str, to: &str) {
    with_client(server, async |client| {
        client.batch_execute(&copy_sql(client, from, to).await).await.unwrap();
    })
    .await;
}

/// Does something on a connection of its own.
async fn with_client(server: &DatabaseServer, work: impl AsyncFnOnce(&Client)) {
    let (client, connection) = tokio_postgres::Config::new()
        .host_path(server.directory())
        .port(server.port())
        .user(server.name())
        .dbname(server.name())
        .connect(NoTls)
        .await
        .unwrap();
    tokio::select! {
        () = work(&client) => {}
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
