//! Asking the running relay: HTTP/1.1 over its unix socket.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::HOST;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use thiserror::Error;
use tokio::net::UnixStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::api::refusal::Refusal;

/// How long the relay may take to answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long it may take where it has to read all of the queue.
const LONG_PATIENCE: Duration = Duration::from_secs(12 * 60 * 60);

/// A connection to the running relay.
#[derive(Debug)]
pub struct Client {
    sender: SendRequest<Empty<Bytes>>,
    /// Drives the connection.
    _connection: JoinSet<hyper::Result<()>>,
}

/// The running relay could not be asked.
#[derive(Debug, Error)]
pub enum ClientError {
    /// What came back makes no sense; another version may run.
    #[error("the running relay's answer cannot be understood")]
    Answer(#[from] serde_json::Error),
    /// Only the relay's user may open the socket.
    #[error(
        "{}: permission denied: run this as the relay's user, as in `sudo -u sts-relay sts-relay ...`",
        path.display()
    )]
    Forbidden {
        /// The socket.
        path: PathBuf,
    },
    /// The conversation broke off.
    #[error("the connection to the running relay was lost")]
    Http(#[source] Box<dyn Error + Send + Sync>),
    /// What came cannot be handed on.
    #[error("the answer cannot be written")]
    Sink(#[source] io::Error),
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
    pub async fn connect(path: &Path) -> Result<Option<Self>, ClientError> {
        let stream = match UnixStream::connect(path).await {
            Ok(stream) => stream,
            Err(error) if nobody_listens(&error) => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                return Err(ClientError::Forbidden { path: path.to_owned() });
            }
            Err(source) => return Err(ClientError::Unreachable { path: path.to_owned(), source }),
        };
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        let mut task = JoinSet::new();
        let _handle = task.spawn(connection);
        Ok(Some(Self { sender, _connection: task }))
    }

    /// Asks for what is at `path`; `None` where there is nothing.
    pub async fn get<T: DeserializeOwned>(&mut self, path: &str) -> Result<Option<T>, ClientError> {
        self.ask(Method::GET, path, PATIENCE).await
    }

    /// Asks for what is told with any status: one of failure is part of the answer.
    pub async fn get_whatever_status<T: DeserializeOwned>(
        &mut self,
        path: &str,
    ) -> Result<T, ClientError> {
        let response = self.send(Method::GET, path, PATIENCE).await?;
        Ok(serde_json::from_slice(&whole(response, PATIENCE).await?)?)
    }

    /// Asks for what takes long to find out.
    pub async fn get_slowly<T: DeserializeOwned>(
        &mut self,
        path: &str,
    ) -> Result<Option<T>, ClientError> {
        self.ask(Method::GET, path, LONG_PATIENCE).await
    }

    /// Hands the bytes at `path` to `sink`, piece by piece; whether there is anything.
    pub async fn get_bytes(
        &mut self,
        path: &str,
        sink: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<bool, ClientError> {
        self.bytes(Method::GET, path, sink).await
    }

    /// Has something done, and hands what is answered meanwhile to `sink`, piece by piece; whether
    /// there is anything.
    pub async fn post_for_bytes(
        &mut self,
        path: &str,
        sink: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<bool, ClientError> {
        self.bytes(Method::POST, path, sink).await
    }

    async fn bytes(
        &mut self,
        method: Method,
        path: &str,
        mut sink: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<bool, ClientError> {
        let mut response = self.send(method, path, PATIENCE).await?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Ok(false),
            _ => return Err(refused(&whole(response, PATIENCE).await?)?),
        }
        loop {
            let frame = timeout(PATIENCE, response.body_mut().frame()).await;
            let Some(frame) = frame.map_err(|_elapsed| ClientError::Silent)? else {
                return Ok(true);
            };
            if let Some(bytes) = frame.map_err(broken)?.data_ref() {
                sink(bytes).map_err(ClientError::Sink)?;
            }
        }
    }

    /// Has something done.
    pub async fn post<T: DeserializeOwned>(
        &mut self,
        path: &str,
    ) -> Result<Option<T>, ClientError> {
        self.ask(Method::POST, path, PATIENCE).await
    }

    /// Has something done that takes long.
    pub async fn post_slowly<T: DeserializeOwned>(
        &mut self,
        path: &str,
    ) -> Result<Option<T>, ClientError> {
        self.ask(Method::POST, path, LONG_PATIENCE).await
    }

    /// Has something removed.
    pub async fn delete<T: DeserializeOwned>(
        &mut self,
        path: &str,
    ) -> Result<Option<T>, ClientError> {
        self.ask(Method::DELETE, path, PATIENCE).await
    }

    /// One request and its answer.
    async fn ask<T: DeserializeOwned>(
        &mut self,
        method: Method,
        path: &str,
        patience: Duration,
    ) -> Result<Option<T>, ClientError> {
        let response = self.send(method, path, patience).await?;
        let status = response.status();
        let body = whole(response, patience).await?;
        match status {
            StatusCode::OK => Ok(Some(serde_json::from_slice(&body)?)),
            StatusCode::NOT_FOUND => Ok(None),
            _ => Err(refused(&body)?),
        }
    }

    /// One request and the beginning of its answer.
    async fn send(
        &mut self,
        method: Method,
        path: &str,
        patience: Duration,
    ) -> Result<Response<Incoming>, ClientError> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, "sts-relay")
            .body(Empty::new())
            .map_err(broken)?;
        let response = Box::pin(timeout(patience, self.sender.send_request(request))).await;
        response.map_err(|_elapsed| ClientError::Silent)?.map_err(broken)
    }
}

/// All of an answer.
async fn whole(response: Response<Incoming>, patience: Duration) -> Result<Bytes, ClientError> {
    let body = Box::pin(timeout(patience, response.into_body().collect())).await;
    Ok(body.map_err(|_elapsed| ClientError::Silent)?.map_err(broken)?.to_bytes())
}

/// Why the relay will not do it.
fn refused(body: &[u8]) -> Result<ClientError, ClientError> {
    Ok(ClientError::Refused(serde_json::from_slice::<Refusal>(body)?.error))
}

/// Whether a failed connection means that no relay runs.
fn nobody_listens(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}

/// The conversation broke off.
fn broken(error: impl Error + Send + Sync + 'static) -> ClientError {
    ClientError::Http(Box::new(error))
}
