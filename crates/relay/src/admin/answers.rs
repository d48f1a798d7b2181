//! Where the command line's answers come from: the running relay, or the disk when none runs.

use std::path::PathBuf;
use std::sync::Arc;

use clock::SystemClock;
use mta_sts::PolicyDomain;
use queue::{OpenError, Queue, QueueId, Selection};
use thiserror::Error;
use tokio::task::JoinError;

use super::PAGE;
use super::answer::{FullMessage, ListedPolicy, Message, Policy, QueueStats, Retried};
use super::client::{Client, ClientError};
use super::view::{View, ViewError};
use crate::settings::Settings;

/// Who answers.
#[derive(Debug)]
pub(crate) enum Answers {
    /// No relay runs: this process reads the queue, and changes nothing.
    OnDisk {
        /// What is read.
        view: View,
        /// To close it.
        queue: Queue,
    },
    /// The relay that runs.
    Running(Client),
}

/// There is no answer.
#[derive(Debug, Error)]
pub(crate) enum AnswerError {
    /// The running relay did not give one.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// Another process has the queue, and does not answer at the socket.
    #[error(
        "{}: the queue is open in another process, but no relay answers at {}; \
         a relay that is starting or stopping answers soon", dir.display(), socket.display()
    )]
    Locked {
        /// The queue's directory.
        dir: PathBuf,
        /// The admin socket that the settings name.
        socket: PathBuf,
    },
    /// There is nothing to read.
    #[error("{}: there is no queue, and no relay answers at {}", dir.display(), socket.display())]
    NoQueue {
        /// The queue's directory.
        dir: PathBuf,
        /// The admin socket that the settings name.
        socket: PathBuf,
    },
    /// What was asked for takes a running relay.
    #[error("no relay runs; it tries what is due when it starts, so start it and try again")]
    NotRunning,
    /// The queue on disk cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Our own mistake.
    #[error("the look into the queue failed")]
    Task(#[from] JoinError),
    /// The queue on disk cannot be read.
    #[error(transparent)]
    View(#[from] ViewError),
}

impl Answers {
    /// Reaches the running relay, or opens the queue on disk.
    pub(crate) async fn reach(settings: &Settings) -> Result<Self, AnswerError> {
        let socket = settings.admin_socket.clone();
        if let Some(client) = Client::connect(&socket).await? {
            return Ok(Self::Running(client));
        }
        let (dir, queue) = (settings.queue.dir.clone(), settings.queue.clone());
        if !dir.exists() {
            return Err(AnswerError::NoQueue { dir, socket });
        }
        let clock = Arc::new(SystemClock);
        let open = move || Queue::open(queue, clock);
        match tokio::task::spawn_blocking(open).await? {
            Ok(queue) => {
                let view = View::of(queue.clone(), Arc::new(SystemClock));
                Ok(Self::OnDisk { view, queue })
            }
            Err(OpenError::Locked { dir }) => Err(AnswerError::Locked { dir, socket }),
            Err(error) => Err(error.into()),
        }
    }

    /// Some messages after `after`, oldest first; none after the last.
    pub(crate) async fn messages(
        &mut self,
        after: Option<QueueId>,
    ) -> Result<Vec<Message>, AnswerError> {
        match self {
            Self::OnDisk { view, .. } => Ok(view.messages(after, PAGE).await?),
            Self::Running(client) => {
                let after = after.map(|id| format!("?after={id}")).unwrap_or_default();
                Ok(client.get(&format!("/queue{after}")).await?.unwrap_or_default())
            }
        }
    }

    /// One message.
    pub(crate) async fn message(
        &mut self,
        id: QueueId,
    ) -> Result<Option<FullMessage>, AnswerError> {
        match self {
            Self::OnDisk { view, .. } => Ok(view.message(id).await?),
            Self::Running(client) => Ok(client.get(&format!("/queue/{id}")).await?),
        }
    }

    /// How much waits for whom.
    pub(crate) async fn stats(&mut self) -> Result<Option<QueueStats>, AnswerError> {
        match self {
            Self::OnDisk { view, .. } => Ok(Some(view.stats().await?)),
            Self::Running(client) => Ok(client.get("/stats").await?),
        }
    }

    /// Has messages tried now.
    pub(crate) async fn retry(
        &mut self,
        selection: &Selection,
    ) -> Result<Option<Retried>, AnswerError> {
        let Self::Running(client) = self else { return Err(AnswerError::NotRunning) };
        let query = match selection {
            Selection::All => "all=true".to_owned(),
            Selection::Destination(domain) => format!("domain={domain}"),
            Selection::Message(id) => format!("id={id}"),
        };
        Ok(client.post(&format!("/queue/retry?{query}")).await?)
    }

    /// Some cached policies after `after`, by domain; none after the last.
    pub(crate) async fn policies(
        &mut self,
        after: Option<PolicyDomain>,
    ) -> Result<Vec<ListedPolicy>, AnswerError> {
        match self {
            Self::OnDisk { view, .. } => Ok(view.policies(after, PAGE).await?),
            Self::Running(client) => {
                let after =
                    after.map(|domain| format!("?after={}", domain.as_str())).unwrap_or_default();
                Ok(client.get(&format!("/policies{after}")).await?.unwrap_or_default())
            }
        }
    }

    /// The cached policy of `domain`.
    pub(crate) async fn policy(
        &mut self,
        domain: PolicyDomain,
    ) -> Result<Option<Policy>, AnswerError> {
        match self {
            Self::OnDisk { view, .. } => Ok(view.policy(domain).await?),
            Self::Running(client) => {
                Ok(client.get(&format!("/policies/{}", domain.as_str())).await?)
            }
        }
    }

    /// Ends the conversation; a queue that was opened is closed in order.
    pub(crate) async fn end(self) {
        if let Self::OnDisk { queue, .. } = self {
            queue.close().await;
        }
    }
}
