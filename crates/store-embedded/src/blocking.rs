//! Reading on a thread that may wait.

use store::StoreError;
use tokio::sync::Semaphore;

/// How many short reads are made at once. A thread that waits for the disk takes memory for as long as
/// it lives, and no disk gives more to a hundred of them (docs/decisions/0034-allocator.md).
const READERS: usize = 4;

/// Short reads: a row, a body.
#[derive(Debug)]
pub(crate) struct ShortReads(Semaphore);

impl Default for ShortReads {
    fn default() -> Self {
        Self(Semaphore::new(READERS))
    }
}

impl ShortReads {
    /// Does what takes a moment on a thread that may wait for the disk, once it is its turn.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        let _turn = self.0.acquire().await.map_err(|_closed| StoreError::Closed)?;
        blocking(work).await
    }
}

/// Does what may take a while on a thread that may be held up; a panic goes on where it is waited
/// for.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => Ok(done),
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_cancelled) => Err(StoreError::Closed),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc::channel;

    use tokio::task::JoinSet;

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_few_short_reads_are_made_at_once_and_the_others_after_them() {
        let reads = Arc::new(ShortReads::default());
        let (begun, has_begun) = channel();
        let (mut gates, mut all) = (Vec::new(), JoinSet::new());
        for _ in 0..5 * READERS {
            let (gate, opened) = channel::<()>();
            gates.push(gate);
            let (reads, begun) = (Arc::clone(&reads), begun.clone());
            all.spawn(async move {
                let read = reads.read(move || {
                    begun.send(()).unwrap();
                    // Until the gate is gone.
                    let _gone = opened.recv();
                });
                read.await.unwrap();
            });
        }
        for _ in 0..READERS {
            has_begun.recv().unwrap();
        }
        assert_eq!(reads.0.available_permits(), 0);
        drop(gates);
        assert_eq!(all.join_all().await.len(), 5 * READERS);
        assert_eq!(reads.0.available_permits(), READERS);
    }
}
