//! What became of mail, kept as evidence: a record of each attempt, in files that anyone can read and
//! check.
//!
//! ```text
//! DeliveryRecord --Recorder--> RecordBytes --settled with the mail--> store
//!                       ... later ...
//! store --Keeper--> segments on disk, each record chained to the one before
//! segments --History--> what was asked for; verify
//! ```
//!
//! The record is part of the settlement's commit (`docs/decisions/0017-store-contract.md`); the files
//! here are made of it afterwards, and mail never waits for them. A segment is an SQLite database of 64 MiB
//! or a day. [`Keeper`] is the only one that writes; [`History`] reads, also while no relay runs.
//!
//! `docs/history-format.md` has the tables and the chain; it suffices to write a verifier.

mod activity;
mod activity_log;
mod address;
mod appending;
mod chain;
mod digest;
mod error;
mod facts;
mod file_digest;
mod files;
mod forget;
mod gap;
mod history;
mod keeper;
mod kept;
mod known;
mod ledger;
mod names;
mod progress;
mod proof;
mod query;
mod recorder;
mod row;
mod segment;
mod settings;
mod shared;
mod span;
mod sql;
mod tables;
mod telling;
mod verify;
mod words;
mod writer;

pub use crate::activity::{Act, Activity, Messages};
pub use crate::activity_log::{ActivityLog, activities, verify_activities};
pub use crate::error::HistoryError;
pub use crate::facts::{
    Attempt, Certificate, Dane, Decision, MtaSts, Session, Tls, Tried, Verdict,
};
pub use crate::gap::{Gap, WhyGap};
pub use crate::history::{Found, FoundRecord, History, Stats};
pub use crate::keeper::Keeper;
pub use crate::ledger::{
    AcceptedCount, Between, Certificates, Counts, Day, DayBar, Domain, DomainQuery, DomainState,
    Event, EventKind, Figures, FullDomain, Held, HostCertificates, LastProof, Ledger, LedgerKeeper,
    Need, NeedKind, PolicyStanding, Refreshes, Runs, ShownCertificate, Span, Weight,
};
pub use crate::progress::{HistoryLevels, HistoryProgress};
pub use crate::proof::{Proof, ProvenBlob, ProvenRecord};
pub use crate::query::{Order, OutcomeKind, Query, Wanted};
pub use crate::recorder::Recorder;
pub use crate::settings::{Addresses, HistorySettings};
pub use crate::verify::{Fault, Seal, Verified};
