//! What is changed of a message's header by the server that it is submitted to (RFC 6409 §8).
//!
//! Bytes go in, bytes come out: nothing here reads, writes or waits, and nothing knows who submits.
//! Every byte outside the fields that are added, removed or rewritten stays as it was.

mod edits;
mod folding;
mod rewriting;
mod section;
mod staging;

pub use crate::edits::{Additions, Bcc, Edited, Edits};
pub use crate::rewriting::{
    OriginatorField, Replacement, ReplacementError, RewriteRule, Rewriting,
};
pub use crate::section::{Field, HeaderSection};
pub use crate::staging::{HoldAll, Others, Staged, Staging};
