//! Looks up the records of DKIM keys (RFC 6376 §3.6.2): a key signs once its record is published.

use std::sync::Arc;
use std::time::Duration;

use dkim::{KeyState, ListedKey, Publication, SigningTable};
use dns::{Dns, LookupError};
use mail::in_full;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// How often the records are looked up.
const ROUND: Duration = Duration::from_secs(3600);

/// The same while the record of a key is not as it should be: it is perhaps being published.
const ROUND_WHILE_WANTING: Duration = Duration::from_secs(300);

/// Looks the records of a table up at once, and then from time to time, until there is another table
/// or `stop`.
pub(crate) async fn watch(
    dns: Arc<dyn Dns>,
    mut tables: watch::Receiver<Arc<SigningTable>>,
    stop: CancellationToken,
) {
    let rounds = async {
        loop {
            let table = Arc::clone(&tables.borrow_and_update());
            let round = async {
                while !table.is_empty() {
                    sleep(look_up_all(&*dns, &table).await).await;
                }
                std::future::pending::<()>().await;
            };
            tokio::select! {
                changed = tables.changed() => if changed.is_err() { return },
                () = round => {}
            }
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = rounds => {}
    }
}

/// Looks up the records of all keys; answers with how long to wait for the next time.
async fn look_up_all(dns: &dyn Dns, table: &SigningTable) -> Duration {
    let mut wait = ROUND;
    for key in table.keys() {
        look_up(dns, key).await;
        if key.state() != KeyState::Published {
            wait = ROUND_WHILE_WANTING;
        }
    }
    wait
}

/// Looks up the record of one key. What was known stays known where the DNS does not answer.
async fn look_up(dns: &dyn Dns, key: &ListedKey) {
    let signer = &key.key().signer;
    let record = signer.record_name();
    match published(dns, key).await {
        Err(error) => {
            warn!(%record, error = in_full(&error), "DKIM key record lookup failed");
        }
        Ok(publication) => {
            let (before, was) = (key.state(), key.publication());
            key.publish(publication);
            let state = key.state();
            if state != before || was == Publication::Unknown {
                tell(record, state);
            }
        }
    }
}

/// What the DNS says of the record of a key, past all that is remembered of it.
///
/// # Errors
///
/// [`LookupError`] where that cannot be told.
pub(crate) async fn published(dns: &dyn Dns, key: &ListedKey) -> Result<Publication, LookupError> {
    let found = dns.txt_fresh(key.key().signer.record_name().as_str()).await?;
    let records = found.into_records().map(|found| found.records).unwrap_or_default();
    Ok(Publication::of(records.iter().map(|txt| String::from_utf8_lossy(txt))))
}

/// Tells of a record that was found, or of one that is not as it should be.
fn tell(record: &smtp::Domain, state: KeyState) {
    match state.fault() {
        None => info!(%record, "DKIM key record found"),
        Some(error) if state.can_sign() => {
            warn!(%record, error, "DKIM key record restricts a key that signs");
        }
        Some(error) => warn!(%record, error, "DKIM key not used"),
    }
}
