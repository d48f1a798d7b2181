//! Bodies of late, in memory.
//!
//! Most mail is sent a moment after it was taken, and need not be read back from the disk for that.
//! What is here is what was received, and was never anywhere where it could have been damaged; the
//! copy that counts is the spool's, and who finds nothing here reads that one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mail::QueueId;

/// How much memory the bodies may take.
const MOST_BYTES: usize = 16 << 20;

/// The longest body that is kept; a longer one costs more to send than to read.
const LONGEST: usize = 64 << 10;

/// The bodies of the messages that came last and were not sent yet.
#[derive(Debug, Default)]
pub struct RecentBodies {
    bodies: Mutex<Bodies>,
}

#[derive(Debug, Default)]
struct Bodies {
    by_id: BTreeMap<QueueId, Recent>,
    /// How much memory they take.
    bytes: usize,
}

/// A body, and how often it will be asked for.
#[derive(Debug)]
struct Recent {
    body: Arc<Vec<u8>>,
    wanted: usize,
}

impl RecentBodies {
    /// Keeps a short body to be taken `wanted` times; the oldest ones make room for it.
    pub fn keep(&self, id: QueueId, body: &Arc<Vec<u8>>, wanted: usize) {
        if body.len() > LONGEST {
            return;
        }
        let mut bodies = self.bodies();
        bodies.bytes = bodies.bytes.saturating_add(body.capacity());
        bodies.by_id.insert(id, Recent { body: Arc::clone(body), wanted });
        while bodies.bytes > MOST_BYTES {
            let Some((_, oldest)) = bodies.by_id.pop_first() else { return };
            bodies.bytes = bodies.bytes.saturating_sub(oldest.body.capacity());
        }
    }

    /// The body of a message, which is forgotten when it was taken as often as it was wanted.
    pub fn take(&self, id: QueueId) -> Option<Arc<Vec<u8>>> {
        let mut bodies = self.bodies();
        let recent = bodies.by_id.get_mut(&id)?;
        recent.wanted = recent.wanted.saturating_sub(1);
        if recent.wanted > 0 {
            return Some(Arc::clone(&recent.body));
        }
        bodies.forget(id)
    }

    /// Forgets the body of a message.
    pub fn forget(&self, id: QueueId) {
        drop(self.bodies().forget(id));
    }

    fn bodies(&self) -> MutexGuard<'_, Bodies> {
        self.bodies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Bodies {
    fn forget(&mut self, id: QueueId) -> Option<Arc<Vec<u8>>> {
        let Recent { body, .. } = self.by_id.remove(&id)?;
        self.bytes = self.bytes.saturating_sub(body.capacity());
        Some(body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: QueueId = QueueId::from_number(1);
    const SECOND: QueueId = QueueId::from_number(2);

    #[test]
    fn a_body_is_there_as_often_as_it_is_wanted() {
        let recent = RecentBodies::default();
        let body = Arc::new(b"x".to_vec());
        recent.keep(FIRST, &body, 2);
        recent.keep(SECOND, &body, 1);
        recent.forget(SECOND);
        assert_eq!(recent.take(SECOND), None);
        assert_eq!(recent.take(FIRST), Some(Arc::clone(&body)));
        assert_eq!(recent.take(FIRST), Some(body));
        assert_eq!(recent.take(FIRST), None);
        assert_eq!(recent.bodies().bytes, 0);
    }

    #[test]
    fn the_memory_has_an_end_and_the_oldest_go_first() {
        let recent = RecentBodies::default();
        recent.keep(FIRST, &Arc::new(vec![0; LONGEST + 1]), 1);
        assert_eq!(recent.take(FIRST), None);
        let body = Arc::new(vec![0; LONGEST]);
        let most = u64::try_from(MOST_BYTES / LONGEST).unwrap();
        for number in 0..=most {
            recent.keep(QueueId::from_number(number), &body, 1);
        }
        assert!(recent.bodies().bytes <= MOST_BYTES);
        assert_eq!(recent.take(QueueId::from_number(0)), None);
        for number in 1..=most {
            assert!(recent.take(QueueId::from_number(number)).is_some(), "{number}");
        }
        assert_eq!(recent.bodies().bytes, 0);
    }
}
