//! The data directory, and the queue in it or in a database.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::sync::Arc;

use clock::{Clock, SteadyClock};
use queue::Queue;
use settings::{ChosenStore, Settings, SharedStore};
use store_embedded::Embedded;
use store_postgres::Postgres;
use tracing::warn;

use super::start_error::StartError;

/// Nobody but the relay's own user has business in the data directory.
const DATA_DIR_MODE: u32 = 0o700;

/// Makes the data directory, closed to others.
pub(super) fn make_data_dir(path: &Path) -> Result<(), StartError> {
    let made = DirBuilder::new().recursive(true).mode(DATA_DIR_MODE).create(path);
    made.map_err(|source| StartError::DataDir { path: path.to_owned(), source })
}

/// Opens the queue, which reads the disk or asks the database for a while.
pub(super) async fn open_queue(
    settings: &Settings,
    clock: &Arc<SteadyClock>,
) -> Result<Queue, StartError> {
    let clock: Arc<dyn Clock> = Arc::<SteadyClock>::clone(clock);
    let queued = settings.queue;
    let own = Arc::clone(&clock);
    match &settings.store {
        ChosenStore::Embedded(settings) => {
            let settings = settings.clone();
            let store =
                tokio::task::spawn_blocking(move || Embedded::open(settings, own)).await??;
            Ok(Queue::over(Arc::new(store), queued, clock))
        }
        ChosenStore::Postgres(shared) => {
            tell_of_embedded_mail(shared);
            let store = Box::pin(Postgres::open(shared.settings.clone(), own)).await?;
            Ok(Queue::over(Arc::new(store), queued, clock))
        }
    }
}

/// Mail that was queued before a database was chosen stays where it is, and is not sent.
fn tell_of_embedded_mail(shared: &SharedStore) {
    let dir = &shared.embedded;
    if dir.exists() {
        warn!(dir = %dir.display(), "embedded store not used");
    }
}
