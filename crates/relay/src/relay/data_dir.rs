//! The data directory, and the queue in it.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::sync::Arc;

use clock::{Clock, SteadyClock};
use queue::Queue;
use settings::Settings;
use store_embedded::Embedded;

use super::start_error::StartError;

/// Nobody but the relay's own user has business in the data directory.
const DATA_DIR_MODE: u32 = 0o700;

/// Makes the data directory, closed to others.
pub(super) fn make_data_dir(path: &Path) -> Result<(), StartError> {
    let made = DirBuilder::new().recursive(true).mode(DATA_DIR_MODE).create(path);
    made.map_err(|source| StartError::DataDir { path: path.to_owned(), source })
}

/// Opens the queue, which reads the disk for a while.
pub(super) async fn open_queue(
    settings: &Settings,
    clock: &Arc<SteadyClock>,
) -> Result<(Embedded, Queue), StartError> {
    let clock: Arc<dyn Clock> = Arc::<SteadyClock>::clone(clock);
    let (own, stores) = (settings.store.clone(), Arc::clone(&clock));
    let store = tokio::task::spawn_blocking(move || Embedded::open(own, stores)).await??;
    Ok((store.clone(), Queue::over(Arc::new(store), settings.queue, clock)))
}
