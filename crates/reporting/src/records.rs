//! Whether a domain wants reports, asked in the background (RFC 8460 §3).

use std::collections::VecDeque;
use std::sync::Arc;

use dns::Dns;
use tls_rpt::DomainName;
use tokio::task::JoinSet;

use crate::record_lookup::{RecordLookupError, record};

/// How many domains are asked at once.
const LOOKUPS_MAX: usize = 16;

/// Whether a domain wants reports.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Wish {
    /// The DNS did not say.
    Unknown,
    /// There is no record, or none that can be used.
    Unwanted,
    /// There is a record.
    Wanted,
}

/// Domains that are being asked.
#[derive(Debug)]
pub(crate) struct Records {
    dns: Arc<dyn Dns>,
    waiting: VecDeque<DomainName>,
    asked: JoinSet<(DomainName, Wish)>,
}

impl Records {
    /// Nobody is asked yet.
    pub(crate) fn new(dns: Arc<dyn Dns>) -> Self {
        Self { dns, waiting: VecDeque::new(), asked: JoinSet::new() }
    }

    /// Asks `domain` as soon as there is room.
    pub(crate) fn ask(&mut self, domain: DomainName) {
        self.waiting.push_back(domain);
        self.begin();
    }

    /// The next answer; none while nobody is being asked.
    pub(crate) async fn answer(&mut self) -> Option<(DomainName, Wish)> {
        let answer = self.asked.join_next().await;
        self.begin();
        answer?.ok()
    }

    /// Asks as many of those who wait as may be asked at once.
    fn begin(&mut self) {
        while self.asked.len() < LOOKUPS_MAX {
            let Some(domain) = self.waiting.pop_front() else { return };
            let dns = Arc::clone(&self.dns);
            let _task = self.asked.spawn(async move {
                let wish = wish(&*dns, &domain).await;
                (domain, wish)
            });
        }
    }
}

/// Whether `domain` wants reports.
async fn wish(dns: &dyn Dns, domain: &DomainName) -> Wish {
    match record(dns, domain).await {
        Ok(_record) => Wish::Wanted,
        Err(RecordLookupError::None(_)) => Wish::Unwanted,
        Err(RecordLookupError::Failed(_)) => Wish::Unknown,
    }
}
