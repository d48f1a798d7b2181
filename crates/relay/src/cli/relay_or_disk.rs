//! Where the command line's answers come from: the running relay, or the disk when none runs.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use admin::api::answers::{
    Changed, FullMessage, ListedPolicy, Matched, Message, PartChanged, Policy, QueueStats, Removed,
    Retried, Verified,
};
use admin::api::change::{Bounce, Change};
use admin::api::exceptions::{ListedException, exception_query, removal_query};
use admin::api::policy_answers::{Purged, Refreshed};
use admin::api::query::{PAGE, Part, list_query, retry_query};
use admin::client::{Client, ClientError};
use admin::server::error::AdminError;
use admin::server::reads::Reads;
use clock::{Clock as _, SteadyClock, SystemClock};
use mta_sts::{Exception, ExceptionScope, PolicyDomain};
use queue::{BodyError, Filter, QueueId, Selection};
use settings::{RawStoreKind, RelayPaths, SettingsError};
use store_embedded::{Offline, OpenError};
use thiserror::Error;
use tokio::io::AsyncReadExt as _;
use tokio::task::JoinError;

use crate::policy_store::PoliciesAtRest;
use crate::timekeeping;

/// How much of a message is handed on at a time.
const CHUNK_BYTES: usize = 64 << 10;

/// Who answers.
#[derive(Debug)]
pub(crate) enum RelayOrDisk {
    /// No relay runs: this process reads the queue's directory, and changes nothing in it.
    AtRest(Reads),
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
    /// Only the relay's user may look into the data directory.
    #[error(
        "{}: permission denied: run this as the relay's user, as in `sudo -u sts-relay sts-relay ...`",
        dir.display()
    )]
    Forbidden {
        /// The queue's directory.
        dir: PathBuf,
    },
    /// There is nothing to read.
    #[error(
        "{}: there is no queue, and no relay answers at {}; if the relay has other settings, name \
         their file with --config", dir.display(), socket.display()
    )]
    NoQueue {
        /// The queue's directory.
        dir: PathBuf,
        /// The admin socket that the settings name.
        socket: PathBuf,
    },
    /// What was asked for takes a running relay.
    #[error(
        "the relay is not running, and only a running relay can do this; start it and try again"
    )]
    NotRunning,
    /// The message cannot be handed on.
    #[error("the message cannot be written")]
    Write(#[from] io::Error),
    /// The queue on disk cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The running relay does not know what it is asked for.
    #[error("the running relay does not support this; it is another version")]
    TooOld,
    /// No relay answers at the place that is left of settings with faults.
    #[error("no relay answers at {}, and the settings cannot be used", socket.display())]
    Settings {
        /// The admin socket.
        socket: PathBuf,
        /// The faults.
        source: SettingsError,
    },
    /// Our own mistake.
    #[error("the queue could not be read")]
    Task(#[from] JoinError),
    /// The queue on disk cannot be read.
    #[error(transparent)]
    Admin(#[from] AdminError),
}

impl RelayOrDisk {
    /// Reaches the running relay, or looks at the queue on disk.
    pub(crate) async fn reach(paths: &RelayPaths) -> Result<Self, AnswerError> {
        if let Some(client) = Client::connect(&paths.admin_socket).await? {
            return Ok(Self::Running(client));
        }
        ensure_on_disk(paths)?;
        let dir = paths.queue.clone();
        let clock = Arc::new(SteadyClock::new(Arc::new(SystemClock)));
        let steady = Arc::clone(&clock);
        let offline = on_disk(paths, move || Offline::open(&dir, steady)).await?;
        timekeeping::resume_at_rest(&clock, &offline).await;
        let policies = Arc::new(PoliciesAtRest(offline.clone()));
        let offline = Arc::new(offline);
        let values = Arc::<Offline>::clone(&offline);
        Ok(Self::AtRest(Reads::at_rest(offline, policies, values, clock)))
    }

    /// Reaches the running relay, for what it alone may do.
    pub(crate) async fn running(paths: &RelayPaths) -> Result<Self, AnswerError> {
        if let Some(client) = Client::connect(&paths.admin_socket).await? {
            return Ok(Self::Running(client));
        }
        ensure_certain(paths)?;
        Err(AnswerError::NotRunning)
    }

    /// Compares the spool with the index: as the running relay sees them, or on disk.
    pub(crate) async fn verify(paths: &RelayPaths) -> Result<Verified, AnswerError> {
        if let Some(mut client) = Client::connect(&paths.admin_socket).await? {
            return client.get_slowly("/verify").await?.ok_or(AnswerError::TooOld);
        }
        ensure_on_disk(paths)?;
        let dir = paths.queue.clone();
        let findings = on_disk(paths, move || store_embedded::verify(&dir)).await?;
        Ok(Verified::from(&findings))
    }

    /// Some messages after `after` that meet `filter`, oldest first; none after the last.
    pub(crate) async fn messages(
        &mut self,
        filter: &Filter,
        after: Option<QueueId>,
    ) -> Result<Vec<Message>, AnswerError> {
        match self {
            Self::AtRest(look) => Ok(look.messages(filter.clone(), after, PAGE).await?),
            Self::Running(client) => {
                let part = Part { filter: filter.clone(), after, until: None };
                let path = format!("/queue{}", list_query(&part, Bounce::None));
                Ok(client.get(&path).await?.unwrap_or_default())
            }
        }
    }

    /// Hands the bytes of a message to `sink`, piece by piece; whether it is there.
    pub(crate) async fn body(
        &mut self,
        id: QueueId,
        mut sink: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<bool, AnswerError> {
        let look = match self {
            Self::AtRest(look) => look,
            Self::Running(client) => {
                return Ok(client.get_bytes(&format!("/queue/{id}/body"), sink).await?);
            }
        };
        let Some(mut body) = look.body(id).await? else { return Ok(false) };
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let read =
                body.read(&mut chunk).await.map_err(BodyError::Io).map_err(AdminError::Body)?;
            match chunk.get(..read) {
                Some([]) | None => return Ok(true),
                Some(bytes) => sink(bytes)?,
            }
        }
    }

    /// One message.
    pub(crate) async fn message(
        &mut self,
        id: QueueId,
    ) -> Result<Option<FullMessage>, AnswerError> {
        match self {
            Self::AtRest(look) => Ok(look.message(id).await?),
            Self::Running(client) => Ok(client.get(&format!("/queue/{id}")).await?),
        }
    }

    /// How much waits for whom.
    pub(crate) async fn stats(&mut self) -> Result<Option<QueueStats>, AnswerError> {
        match self {
            Self::AtRest(look) => Ok(Some(look.stats().await?)),
            Self::Running(client) => Ok(client.get("/stats").await?),
        }
    }

    /// Has messages tried now.
    pub(crate) async fn retry(
        &mut self,
        selection: &Selection,
    ) -> Result<Option<Retried>, AnswerError> {
        Ok(self.client()?.post(&format!("/queue/retry{}", retry_query(selection))).await?)
    }

    /// How many messages meet `filter`, and the last of them.
    pub(crate) async fn matching(&mut self, filter: &Filter) -> Result<Matched, AnswerError> {
        let part = Part { filter: filter.clone(), ..Part::default() };
        let path = format!("/queue/count{}", list_query(&part, Bounce::None));
        self.client()?.get_slowly(&path).await?.ok_or(AnswerError::TooOld)
    }

    /// Changes the next messages of a part.
    pub(crate) async fn change_part(
        &mut self,
        change: Change,
        part: &Part,
    ) -> Result<PartChanged, AnswerError> {
        let query = list_query(part, change.bounce());
        let path = format!("/queue/many/{}{query}", change.path());
        self.client()?.post_slowly(&path).await?.ok_or(AnswerError::TooOld)
    }

    /// Keeps a message from being sent.
    pub(crate) async fn hold(&mut self, id: QueueId) -> Result<Option<Changed>, AnswerError> {
        Ok(self.client()?.post(&format!("/queue/{id}/hold")).await?)
    }

    /// Lets a message go that is held or quarantined.
    pub(crate) async fn release(&mut self, id: QueueId) -> Result<Option<Changed>, AnswerError> {
        Ok(self.client()?.post(&format!("/queue/{id}/release")).await?)
    }

    /// Removes a message.
    pub(crate) async fn delete(
        &mut self,
        id: QueueId,
        bounce: Bounce,
    ) -> Result<Option<Removed>, AnswerError> {
        let bounce = bounce == Bounce::Sent;
        Ok(self.client()?.delete(&format!("/queue/{id}?bounce={bounce}")).await?)
    }

    /// The running relay, for what it alone may do.
    pub(crate) fn client(&mut self) -> Result<&mut Client, AnswerError> {
        match self {
            Self::AtRest(_) => Err(AnswerError::NotRunning),
            Self::Running(client) => Ok(client),
        }
    }

    /// Some cached policies after `after`, by domain; none after the last.
    pub(crate) async fn policies(
        &mut self,
        after: Option<PolicyDomain>,
    ) -> Result<Vec<ListedPolicy>, AnswerError> {
        match self {
            Self::AtRest(look) => Ok(look.policies(after, PAGE).await?),
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
            Self::AtRest(look) => Ok(look.policy(domain).await?),
            Self::Running(client) => {
                Ok(client.get(&format!("/policies/{}", domain.as_str())).await?)
            }
        }
    }

    /// The exceptions that last: those that the running relay goes by, or those of the settings and on
    /// disk.
    pub(crate) async fn exceptions(
        &mut self,
        paths: &RelayPaths,
    ) -> Result<Vec<ListedException>, AnswerError> {
        let now = SystemClock.now();
        let lasting = paths.exceptions.iter().filter(|one| now < one.until());
        let of_settings = lasting.map(|one| ListedException::of(one, None));
        match self {
            Self::AtRest(look) => Ok(of_settings.chain(look.granted_exceptions().await?).collect()),
            // One of a version that grants none goes by its settings alone.
            Self::Running(client) => {
                let listed = client.get("/exceptions").await?;
                Ok(listed.unwrap_or_else(|| of_settings.collect()))
            }
        }
    }

    /// Has an exception granted.
    pub(crate) async fn add_exception(
        &mut self,
        exception: &Exception,
    ) -> Result<ListedException, AnswerError> {
        let (domain, query) = (exception.domain().as_str(), exception_query(exception));
        let path = format!("/exceptions/{domain}{query}");
        self.client()?.post(&path).await?.ok_or(AnswerError::TooOld)
    }

    /// Has the exceptions for a domain withdrawn, of one scope or all; `None` where none is granted.
    pub(crate) async fn remove_exceptions(
        &mut self,
        domain: &PolicyDomain,
        scope: Option<&ExceptionScope>,
    ) -> Result<Option<Vec<ListedException>>, AnswerError> {
        let path = format!("/exceptions/{}{}", domain.as_str(), removal_query(scope));
        Ok(self.client()?.delete(&path).await?)
    }

    /// Fetches the policy of `domain` anew.
    pub(crate) async fn refresh(&mut self, domain: PolicyDomain) -> Result<Refreshed, AnswerError> {
        let path = format!("/policies/{}/refresh", domain.as_str());
        self.client()?.post(&path).await?.ok_or(AnswerError::TooOld)
    }

    /// Forgets what is kept of `domain`; `None` where nothing is.
    pub(crate) async fn purge(
        &mut self,
        domain: PolicyDomain,
    ) -> Result<Option<Purged>, AnswerError> {
        Ok(self.client()?.post(&format!("/policies/{}/purge", domain.as_str())).await?)
    }
}

/// Refuses to say more than that no relay answers, where the settings have faults.
fn ensure_certain(paths: &RelayPaths) -> Result<(), AnswerError> {
    let socket = paths.admin_socket.clone();
    paths.ensure_certain().map_err(|source| AnswerError::Settings { socket, source })
}

/// Refuses to look at the disk for mail that is in a database.
fn ensure_on_disk(paths: &RelayPaths) -> Result<(), AnswerError> {
    match paths.store {
        RawStoreKind::Embedded => Ok(()),
        RawStoreKind::Postgres => Err(AnswerError::NotRunning),
    }
}

/// Reads the queue on disk, where it can be waited for.
async fn on_disk<T: Send + 'static>(
    paths: &RelayPaths,
    open: impl FnOnce() -> Result<T, OpenError> + Send + 'static,
) -> Result<T, AnswerError> {
    ensure_certain(paths)?;
    let (dir, socket) = (paths.queue.clone(), paths.admin_socket.clone());
    match dir.try_exists() {
        Ok(true) => {}
        Ok(false) => return Err(AnswerError::NoQueue { dir, socket }),
        Err(_unseen) => return Err(AnswerError::Forbidden { dir }),
    }
    match tokio::task::spawn_blocking(open).await? {
        Ok(opened) => Ok(opened),
        Err(OpenError::Locked { dir }) => Err(AnswerError::Locked { dir, socket }),
        Err(error) => Err(error.into()),
    }
}
