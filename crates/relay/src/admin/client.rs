//! Asking the running relay: HTTP/1.1 over its unix socket.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::{BodyExt as _, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::HOST;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use thiserror::Error;
use tokio::net::UnixStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::answer::Refusal;

/// How long the relay may take to answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// A connection to the running relay.
#[derive(Debug)]
pub(crate) struct Client {
    sender: SendRequest<Empty<Bytes>>,
    /// Drives the connection.
    _connection: JoinSet<hyper::Result<()>>,
}

/// The running relay could not be asked.
#[derive(Debug, Error)]
pub(crate) enum ClientError {
    /// What came back makes no sense; another version may run.
    #[error("the running relay's answer cannot be understood")]
    Answer(#[from] serde_json::Error),
    /// The conversation broke off.
    #[error("the conversation with the running relay broke off")]
    Http(#[source] Box<dyn Error + Send + Sync>),
    /// The relay will not do it.
    #[error("{0}")]
    Refused(String),
    /// The relay does not answer.
    #[error("the running relay does not answer")]
    Silent,
    /// The socket is there, and cannot be opened.
    #[error("{}: the running relay cannot be reached", path.display())]
    Unreachable {
        /// The socket.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl Client {
    /// Connects to the relay at `path`; `None` where none runs.
    pub(crate) async fn connect(path: &Path) -> Result<Option<Self>, ClientError> {
        let stream = match UnixStream::connect(path).await {
            Ok(stream) => stream,
            Err(error) if nobody_listens(&error) => return Ok(None),
            Err(source) => return Err(ClientError::Unreachable { path: path.to_owned(), source }),
        };
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        let mut task = JoinSet::new();
        let _handle = task.spawn(connection);
        Ok(Some(Self { sender, _connection: task }))
    }

    /// Asks for what is at `path`; `None` where there is nothing.
    pub(crate) async fn get<T: DeserializeOwned>(
        &mut self,
        path: &str,
    ) -> Result<Option<T>, ClientError> {
        self.ask(Method::GET, path).await
    }

    /// Has something done.
    pub(crate) async fn post<T: DeserializeOwned>(
        &mut self,
        path: &str,
    ) -> Result<Option<T>, ClientError> {
        self.ask(Method::POST, path).await
    }

    /// One request and its answer.
    async fn ask<T: DeserializeOwned>(
        &mut self,
        method: Method,
        path: &str,
    ) -> Result<Option<T>, ClientError> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, "sts-relay")
            .body(Empty::new())
            .map_err(broken)?;
        let exchange = Box::pin(async {
            let response = self.sender.send_request(request).await?;
            let status = response.status();
            Ok((status, response.into_body().collect().await?.to_bytes()))
        });
        let answer: Result<_, hyper::Error> =
            timeout(PATIENCE, exchange).await.map_err(|_elapsed| ClientError::Silent)?;
        let (status, body) = answer.map_err(broken)?;
        match status {
            StatusCode::OK => Ok(Some(serde_json::from_slice(&body)?)),
            StatusCode::NOT_FOUND => Ok(None),
            _ => Err(ClientError::Refused(serde_json::from_slice::<Refusal>(&body)?.error)),
        }
    }
}

/// Whether a failed connection means that no relay runs.
fn nobody_listens(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}

/// The conversation broke off.
fn broken(error: impl Error + Send + Sync + 'static) -> ClientError {
    ClientError::Http(Box::new(error))
}
