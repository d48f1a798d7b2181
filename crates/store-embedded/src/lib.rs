//! The store on this machine: spool segments that hold the mail, and a sled index that finds it.
//!
//! The spool's record, with the whole envelope in its header, is the copy that counts; the index can
//! be rebuilt from it. One thread writes everything, so that many messages share one `fdatasync`.
//! The format of the files is described in `docs/queue-format.md`.
//!
//! It does not know whose turn it is, nor how a message is sent.

mod batch;
mod blocking;
mod body;
mod body_writer;
mod claims;
mod committer;
mod counts;
mod edits;
mod embedded;
mod error;
mod filter;
mod index;
mod inspect;
mod key;
mod lookup;
mod message_changes;
mod message_rows;
mod namespace;
mod offline;
mod reads;
mod record;
mod records;
mod recovery;
mod rows;
mod settings;
mod shared;
mod spool;
mod store_lock;
#[cfg(test)]
mod tests;
mod verify;
mod waiting;
mod work;

pub use crate::embedded::Embedded;
pub use crate::error::OpenError;
pub use crate::offline::Offline;
pub use crate::settings::StoreSettings;
pub use crate::verify::verify;
