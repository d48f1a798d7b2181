//! What a store of queued mail promises, whichever it is.

mod committed;
mod entry_id;
mod error;
mod findings;
mod health;
mod query;
mod settled;
mod waiting;

pub use crate::committed::Committed;
pub use crate::entry_id::{LotId, LotNumber};
pub use crate::error::{
    BeginError, BodyError, CommitError, IndexError, StoreError, chain, is_full,
};
pub use crate::findings::{Findings, Problem};
pub use crate::health::{Health, Totals};
pub use crate::query::{
    Census, Counted, Depth, Details, Filter, LotDetails, Matching, RecipientDetails, Selection,
    StateKind, Stats, Summary,
};
pub use crate::settled::Settled;
pub use crate::waiting::Waiting;
