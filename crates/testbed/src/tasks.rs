//! Everything that runs in a world, so that it ends with the world.

use std::future::Future;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A set of tasks that are stopped together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
    /// The tracker of the set this one belongs to.
    parent: Option<TaskTracker>,
}

impl Tasks {
    /// Runs `future` until it is done or the set is stopped.
    pub(crate) fn spawn<F>(&self, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let stop = self.stop.clone();
        let with_parent = self.parent.as_ref().map(TaskTracker::token);
        drop(self.tracker.spawn(async move {
            stop.run_until_cancelled(future).await;
            drop(with_parent);
        }));
    }

    /// A set that is stopped with this one, or before it.
    pub(crate) fn child(&self) -> Self {
        let (tracker, parent) = (TaskTracker::new(), Some(self.tracker.clone()));
        Self { tracker, stop: self.stop.child_token(), parent }
    }

    /// Stops every task of the set; their sockets close as they are dropped.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }

    /// Waits until every task of the set and of its children has ended.
    pub(crate) async fn ended(&self) {
        self.tracker.close();
        self.tracker.wait().await;
    }
}
