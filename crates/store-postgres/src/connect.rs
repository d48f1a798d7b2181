//! Connections to the database: each with a deadline for every answer, and made again when it breaks.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_postgres::config::{SslMode, TargetSessionAttrs};
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Config, NoTls, Row, Socket, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::error::QueryError;
use crate::settings::{Server, StoreSettings};

/// How long one server may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(5);

/// How long a statement may take. The server ends it a little earlier, so that what it did is known.
const STATEMENT: Duration = Duration::from_secs(35);

/// What each connection asks of the server: commits that wait for the disk and the standby, names that mean this
/// schema, and an end of what hangs, so that a relay that vanished holds no lock.
const OPTIONS: &str = "-c synchronous_commit=on -c statement_timeout=30s \
    -c idle_in_transaction_session_timeout=30s -c client_connection_check_interval=10s \
    -c default_transaction_isolation=read\\ committed -c client_min_messages=warning \
    -c timezone=UTC -c jit=off";

/// Makes connections.
#[derive(Clone)]
pub(crate) struct Connector {
    config: Config,
    tls: Option<MakeRustlsConnect>,
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connector").field("hosts", &self.config.get_hosts()).finish_non_exhaustive()
    }
}

impl Connector {
    /// To the servers of these settings.
    pub(crate) fn new(settings: &StoreSettings) -> Self {
        let mut config = Config::new();
        config.dbname(&settings.database).user(&settings.user).application_name(&settings.node);
        config.options(format!("{OPTIONS} -c search_path={}", settings.schema.as_str()));
        config.connect_timeout(CONNECT).tcp_user_timeout(Duration::from_secs(10));
        config.keepalives_idle(Duration::from_secs(10));
        config.keepalives_interval(Duration::from_secs(5)).keepalives_retries(2);
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        let ssl = if settings.tls.is_some() { SslMode::Require } else { SslMode::Disable };
        config.ssl_mode(ssl);
        if let Some(password) = &settings.password {
            config.password(password.as_bytes());
        }
        for server in &settings.servers {
            match server {
                Server::Tcp(host, port) => config.host(host).port(*port),
                Server::Unix(directory, port) => config.host_path(directory).port(*port),
            };
        }
        let tls = settings.tls.as_ref().map(|tls| MakeRustlsConnect::new(tls.as_ref().clone()));
        Self { config, tls }
    }

    /// Connects to the first server that takes writes.
    pub(crate) async fn connect(&self) -> Result<Session, QueryError> {
        match &self.tls {
            Some(tls) => self.connect_with(tls.clone()).await,
            None => self.connect_with(NoTls).await,
        }
    }

    async fn connect_with<T>(&self, tls: T) -> Result<Session, QueryError>
    where
        T: MakeTlsConnect<Socket>,
        T::Stream: Send + 'static,
        <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
        T::TlsConnect: Send,
    {
        let servers = u32::try_from(self.config.get_hosts().len()).unwrap_or(u32::MAX);
        let whole = CONNECT.saturating_mul(2).saturating_mul(servers.max(1));
        let connected = timeout(whole, self.config.connect(tls)).await;
        let (client, connection) = connected.map_err(|_elapsed| QueryError::Late)??;
        let mut driver = JoinSet::new();
        driver.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(error = %mail::in_full(&error), "connection to the database ended");
            }
        });
        Ok(Session {
            client,
            statements: Mutex::default(),
            is_late: AtomicBool::new(false),
            _driver: driver,
        })
    }
}

/// One connection. It ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Session {
    client: Client,
    /// What was prepared on it, by text.
    statements: Mutex<HashMap<&'static str, Statement>>,
    /// Whether an answer has not come in time.
    is_late: AtomicBool,
    _driver: JoinSet<()>,
}

/// A parameter of a statement.
pub(crate) type Parameter<'a> = &'a (dyn ToSql + Sync);

impl Session {
    /// Whether it has ended, or is not to be used again.
    pub(crate) fn is_closed(&self) -> bool {
        self.client.is_closed() || self.is_late.load(Ordering::Acquire)
    }

    /// Waits for an answer, and not for ever: a connection on which none came is not used again.
    async fn within<T>(
        &self,
        asked: impl Future<Output = Result<T, QueryError>>,
    ) -> Result<T, QueryError> {
        timeout(STATEMENT, asked).await.unwrap_or_else(|_elapsed| {
            self.is_late.store(true, Ordering::Release);
            Err(QueryError::Late)
        })
    }

    /// Prepares a statement, once for each connection.
    async fn prepared(&self, sql: &'static str) -> Result<Statement, QueryError> {
        let known =
            self.statements.lock().unwrap_or_else(PoisonError::into_inner).get(sql).cloned();
        if let Some(statement) = known {
            return Ok(statement);
        }
        let statement = self.client.prepare(sql).await?;
        let mut statements = self.statements.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(statements.entry(sql).or_insert(statement).clone())
    }

    /// Prepares statements, so that later each is sent at once when it is asked for.
    pub(crate) async fn prepare_all(&self, all: &[&'static str]) -> Result<(), QueryError> {
        self.within(async {
            for sql in all {
                self.prepared(sql).await?;
            }
            Ok(())
        })
        .await
    }

    /// Asks for rows.
    pub(crate) async fn query(
        &self,
        sql: &'static str,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, QueryError> {
        self.within(async {
            let statement = self.prepared(sql).await?;
            Ok(self.client.query(&statement, parameters).await?)
        })
        .await
    }

    /// Changes rows; how many.
    pub(crate) async fn execute(
        &self,
        sql: &'static str,
        parameters: &[Parameter<'_>],
    ) -> Result<u64, QueryError> {
        self.within(async {
            let statement = self.prepared(sql).await?;
            Ok(self.client.execute(&statement, parameters).await?)
        })
        .await
    }

    /// Does statements that have no parameters.
    pub(crate) async fn batch(&self, sql: &str) -> Result<(), QueryError> {
        self.within(async { Ok(self.client.batch_execute(sql).await?) }).await
    }
}

/// What a commit on a connection waits for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Durability {
    /// For nothing: a later commit that waits makes it durable.
    Deferred,
    /// For the disk, and for the standby that there may be.
    Synchronous,
}

/// A connection with one duty, shared by all who need that; it is made again when it has ended.
#[derive(Debug)]
pub(crate) struct Link {
    connector: Arc<Connector>,
    durability: Durability,
    session: tokio::sync::Mutex<Option<Arc<Session>>>,
}

impl Link {
    /// One that is not connected yet.
    pub(crate) fn new(connector: &Arc<Connector>, durability: Durability) -> Self {
        let (connector, session) = (Arc::clone(connector), tokio::sync::Mutex::default());
        Self { connector, durability, session }
    }

    /// The connection as it is, or a new one.
    pub(crate) async fn session(&self) -> Result<Arc<Session>, QueryError> {
        let mut kept = self.session.lock().await;
        if let Some(session) = kept.as_ref().filter(|session| !session.is_closed()) {
            return Ok(Arc::clone(session));
        }
        *kept = None;
        let session = Arc::new(self.connector.connect().await?);
        match self.durability {
            Durability::Deferred => session.batch("SET synchronous_commit = off").await?,
            Durability::Synchronous => {}
        }
        *kept = Some(Arc::clone(&session));
        Ok(session)
    }

    /// Ends the connection.
    pub(crate) async fn close(&self) {
        drop(self.session.lock().await.take());
    }
}
