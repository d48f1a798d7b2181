//! Bringing counts to the store.

use futures_util::{StreamExt as _, stream};
use tls_rpt::{Day, DomainName, DomainTally, Tally};

use crate::tallies::{Tallies, TallyError};

/// How many values are written at once: the store brings what comes together to the disk together.
const WRITES_MAX: usize = 64;

/// What is to be written.
#[derive(Debug, Default)]
pub(crate) struct Work {
    /// What is added.
    pub(crate) counts: Tally,
    /// What is dropped before.
    pub(crate) unwanted: Vec<(Day, DomainName)>,
}

/// What was not written.
#[derive(Debug, Default)]
pub(crate) struct Left {
    /// The counts that the store has not taken, to be tried again.
    pub(crate) counts: Vec<(Day, DomainTally)>,
    /// What has not been dropped.
    pub(crate) unwanted: Vec<(Day, DomainName)>,
    /// How many connections are of days whose reports have been made.
    pub(crate) closed: u64,
    /// Why the store has not taken something, the last time.
    pub(crate) error: Option<TallyError>,
}

/// Writes all of `work`, and says what was not written.
pub(crate) async fn write(tallies: Tallies, work: Work) -> Left {
    let mut left = Left::default();
    for (day, domain) in work.unwanted {
        if let Err(error) = tallies.clear(day, &domain).await {
            left.error = Some(error);
            left.unwanted.push((day, domain));
        }
    }
    let mut written = stream::iter(work.counts.into_domains())
        .map(|(day, tally)| add(&tallies, day, tally))
        .buffer_unordered(WRITES_MAX);
    while let Some(added) = written.next().await {
        match added {
            Added::Written => {}
            Added::Closed(sessions) => left.closed = left.closed.saturating_add(sessions),
            Added::Not(day, tally, error) => {
                left.error = Some(error);
                left.counts.push((day, *tally));
            }
        }
    }
    left
}

/// What became of the counts of a domain.
enum Added {
    /// Their day is closed.
    Closed(u64),
    /// The store has not taken them.
    Not(Day, Box<DomainTally>, TallyError),
    /// They are in the store.
    Written,
}

/// Adds the counts of one domain.
async fn add(tallies: &Tallies, day: Day, tally: DomainTally) -> Added {
    let added = async {
        if tallies.is_closed(day).await? {
            return Ok(Added::Closed(tally.rows().map(|(_, sessions)| sessions).sum()));
        }
        match tallies.add(day, tally.clone()).await {
            Err(error @ TallyError::Unreadable(_)) => {
                tracing::warn!(
                    domain = %tally.domain(),
                    error = mail::in_full(&error),
                    "TLS report counts unreadable: started again"
                );
                tallies.drop(day, tally.domain()).await?;
                tallies.add(day, tally.clone()).await?;
            }
            other => other?,
        }
        Ok(Added::Written)
    };
    match added.await {
        Ok(added) => added,
        Err(error) => Added::Not(day, Box::new(tally), error),
    }
}
