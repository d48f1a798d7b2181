//! What a store finds when it compares itself with itself.

use std::fmt::{self, Display, Formatter};
use std::path::PathBuf;

use mail::QueueId;

/// What a comparison of spool and index found.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Findings {
    /// How many messages the index has.
    pub messages: u64,
    /// How many whole records the spool has, of messages in the queue and of others.
    pub records: u64,
    /// What is wrong.
    pub problems: Vec<Problem>,
}

/// Something that is wrong with a store.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Problem {
    /// Bytes in the spool that should be a record and are not.
    Damage {
        /// The spool file.
        file: PathBuf,
        /// Where they begin.
        offset: u64,
        /// How many there are.
        size: u64,
        /// What is wrong.
        why: String,
    },
    /// The index cannot be read, or disagrees with itself; the next start rebuilds it.
    Index {
        /// What is wrong.
        why: String,
    },
    /// The record of a message in the queue is damaged or missing.
    Record {
        /// The message.
        id: QueueId,
        /// What is wrong.
        why: String,
    },
    /// A whole record that is not in the index, and that no settled log knows to be settled: if the
    /// index were lost, it would be sent. After a power cut those that were settled in its last
    /// second are such, and no harm; any other one the index has lost.
    Unknown {
        /// The message.
        id: QueueId,
        /// The spool file.
        file: PathBuf,
    },
}

impl Display for Problem {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damage { file, offset, size, why } => {
                let bytes = if *size == 1 { "byte" } else { "bytes" };
                write!(f, "{}: {size} {bytes} at {offset}: {why}", file.display())
            }
            Self::Index { why } => write!(f, "index: {why}"),
            Self::Record { id, why } => write!(f, "message {id}: {why}"),
            Self::Unknown { id, file } => {
                write!(
                    f,
                    "message {id}: in {} but neither queued nor known to be settled",
                    file.display()
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_byte_is_not_many() {
        for (size, words) in [(0, "0 bytes"), (1, "1 byte"), (2, "2 bytes")] {
            let why = "unreadable".to_owned();
            let damage = Problem::Damage { file: "spool/1".into(), offset: 7, size, why };
            assert_eq!(damage.to_string(), format!("spool/1: {words} at 7: unreadable"));
        }
    }
}
