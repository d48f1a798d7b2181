//! Notices in the store: kept before anybody is told, so that a restart forgets none.

use std::collections::{BTreeMap, BTreeSet};

use store::{Namespace, StoreError};

use crate::notice::Notice;

/// So many are read; more are never kept.
const MOST: usize = 2_000;

/// What is in the store, by the notices' keys.
#[derive(Debug)]
pub(crate) struct Kept {
    values: Namespace,
    written: BTreeMap<String, Vec<u8>>,
}

impl Kept {
    /// Reads what is kept. What cannot be read is of another version, and is left out: what is so is seen
    /// again.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: the store cannot be read.
    pub(crate) async fn read(values: Namespace) -> Result<(Self, Vec<Notice>), StoreError> {
        let (mut written, mut notices) = (BTreeMap::new(), Vec::new());
        for (key, value) in values.scan(None, MOST).await? {
            notices.extend(serde_json::from_slice::<Notice>(&value).ok());
            written.insert(key, value);
        }
        Ok((Self { values, written }, notices))
    }

    /// Writes what has changed; it is durable when this returns.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: not all of it was written.
    pub(crate) async fn write(
        &mut self,
        notices: impl Iterator<Item = &Notice>,
    ) -> Result<(), StoreError> {
        let mut here = BTreeSet::new();
        let mut changed = Vec::new();
        for notice in notices {
            let key = key(notice);
            // A notice is plain text and numbers, so it can be written.
            let value = serde_json::to_vec(notice).unwrap_or_default();
            if self.written.get(&key) != Some(&value) {
                changed.push((key.clone(), value));
            }
            here.insert(key);
        }
        for (key, value) in changed {
            self.values.put(&key, value.clone()).await?;
            self.written.insert(key, value);
        }
        let gone: Vec<_> =
            self.written.keys().filter(|key| !here.contains(*key)).cloned().collect();
        for key in gone {
            self.values.remove(&key).await?;
            self.written.remove(&key);
        }
        Ok(())
    }
}

/// Where a notice is kept: a key that no store finds too long.
fn key(notice: &Notice) -> String {
    let name = notice.key.to_string();
    let sum = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, name.as_bytes());
    let sum = sum.as_ref().iter().take(16).map(|octet| format!("{octet:02x}")).collect::<String>();
    format!("{}/{sum}", notice.key.event.word())
}
