//! What can be read of the queue and the policies: in the running relay, or of a queue that no process
//! has open, of which nothing is changed.

use std::sync::Arc;

use clock::Clock;
use mail::in_full;
use mta_sts::{PolicyDomain, PolicyStore};
use queue::{BodyError, BodyReader, Details, Filter, Inspect, Queue, QueueId, ReadValues, Store};

use crate::api::answers::{FullMessage, ListedPolicy, Message, Policy, QueueStats};
use crate::api::exceptions::ListedException;
use crate::server::error::AdminError;
use crate::server::grants::granted_in;
use crate::server::on_wall;

/// A look at the queue and the policies: in the running relay, or at what no process has open.
#[derive(Clone, Debug)]
pub struct Reads {
    mail: Arc<dyn Inspect>,
    /// The policies as they are kept, past all memory.
    pub(crate) policies: Arc<dyn PolicyStore>,
    /// What the rest of the program keeps.
    values: Arc<dyn ReadValues>,
    clock: Arc<dyn Clock>,
}

impl Reads {
    /// A look at mail that no process has open.
    pub fn at_rest(
        mail: Arc<dyn Inspect>,
        policies: Arc<dyn PolicyStore>,
        values: Arc<dyn ReadValues>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { mail, policies, values, clock }
    }

    /// A look at what this process has open.
    pub fn in_use(queue: &Queue, policies: Arc<dyn PolicyStore>, clock: Arc<dyn Clock>) -> Self {
        let values = Arc::<dyn Store>::clone(queue.store());
        Self { mail: Arc::<dyn Store>::clone(queue.store()), policies, values, clock }
    }

    /// The exceptions that are granted and last.
    pub async fn granted_exceptions(&self) -> Result<Vec<ListedException>, AdminError> {
        granted_in(self.values.as_ref(), self.clock.wall()).await
    }

    /// At most `limit` messages after `after` that meet `filter`, oldest first.
    pub async fn messages(
        &self,
        filter: Filter,
        after: Option<QueueId>,
        limit: usize,
    ) -> Result<Vec<Message>, AdminError> {
        let found = self.mail.list(&filter, after, limit).await?;
        let shown = |summary| Message::from(on_wall::summary(summary, &*self.clock));
        Ok(found.into_iter().map(shown).collect())
    }

    /// One message.
    pub async fn message(&self, id: QueueId) -> Result<Option<FullMessage>, AdminError> {
        Ok(self.details(id).await?.map(FullMessage::from))
    }

    /// One message, as the queue has it, with the times that the wall clock shows.
    pub async fn details(&self, id: QueueId) -> Result<Option<Details>, AdminError> {
        let found = self.mail.show(id).await?;
        Ok(found.map(|details| on_wall::details(details, &*self.clock)))
    }

    /// How much waits for whom.
    pub async fn stats(&self) -> Result<QueueStats, AdminError> {
        let stats = self.mail.stats().await?;
        let damaged = self.mail.quarantined_bytes().await.map_err(AdminError::Quarantine)?;
        Ok(QueueStats::of(stats, &damaged))
    }

    /// The header and body of a message.
    pub async fn body(&self, id: QueueId) -> Result<Option<BodyReader>, AdminError> {
        match self.mail.body(id).await {
            Ok(body) => Ok(Some(body)),
            Err(BodyError::Gone) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// At most `limit` cached policies after `after`, by domain.
    pub async fn policies(
        &self,
        after: Option<PolicyDomain>,
        limit: usize,
    ) -> Result<Vec<ListedPolicy>, AdminError> {
        let domains = self.policies.list(after.as_ref(), limit).await?;
        let mut listed = Vec::with_capacity(domains.len());
        for domain in &domains {
            listed.extend(self.listed(domain).await);
        }
        Ok(listed)
    }

    /// The cached policy of one domain.
    pub async fn policy(&self, domain: PolicyDomain) -> Result<Option<Policy>, AdminError> {
        let found = self.policies.find(&domain).await?;
        Ok(found.map(|cached| Policy::of(&cached, &*self.clock)))
    }

    /// The entry of one domain; none where it was dropped meanwhile.
    async fn listed(&self, domain: &PolicyDomain) -> Option<ListedPolicy> {
        match self.policies.find(domain).await {
            Ok(found) => {
                found.map(|cached| ListedPolicy::Cached(Policy::of(&cached, &*self.clock)))
            }
            Err(error) => Some(ListedPolicy::unreadable(domain, in_full(&error))),
        }
    }
}
