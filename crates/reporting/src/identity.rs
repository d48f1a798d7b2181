//! What a relay's reports are called (RFC 8460 §5.1): the same name as long as its store exists.

use std::sync::Arc;

use store::{Expected, Namespace, Put, Store};
use tls_rpt::Instance;

use crate::error::ReportError;
use crate::next_report::Part;

/// Where the name of the instance is kept.
const NAMES: &str = "tls-rpt-names";

/// The key of the instance.
const INSTANCE: &str = "instance";

/// The names that a store's reports have.
#[derive(Clone, Debug)]
pub(crate) struct Identity(Namespace);

impl Identity {
    /// That of the reports in `store`.
    pub(crate) fn new(store: &Arc<dyn Store>) -> Self {
        Self(Namespace::new(Arc::clone(store), NAMES))
    }

    /// The store's instance: relays that share a store are one.
    pub(crate) async fn instance(&self) -> Result<Instance, ReportError> {
        loop {
            let expected = match self.0.get(INSTANCE).await? {
                None => Expected::Absent,
                Some(kept) => match Instance::parse(&String::from_utf8_lossy(&kept)) {
                    Ok(instance) => return Ok(instance),
                    Err(_unreadable) => Expected::Anything,
                },
            };
            let drawn = format!("{:08x}", rand::random::<u32>());
            if self.0.put_expecting(INSTANCE, drawn.into_bytes(), expected).await? == Put::Written {
                tracing::debug!("instance of TLS reports named");
            }
        }
    }

    /// The instance of the report about a part of a day: each after the first has a name of its own.
    pub(crate) async fn of_part(&self, part: Part) -> Result<Instance, ReportError> {
        let instance = self.instance().await?;
        if part == Part::FIRST {
            return Ok(instance);
        }
        Ok(Instance::parse(&format!("{instance}p{}", part.number())).unwrap_or(instance))
    }
}
