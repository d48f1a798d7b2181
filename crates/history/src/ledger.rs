//! The ledger: per domain, what protects mail and since when; and how much mail flows.
//!
//! ```text
//! segments --feed--> Observed --DomainState::observe--> states, days, events, figures --> ledger.sqlite
//! ledger.sqlite --Ledger--> commands, pages, notices
//! ```
//!
//! It is a projection of the segments: whatever becomes of it, it can be made again of them.
//! [`LedgerKeeper`] is the only one that writes it.

mod certificates;
mod database;
mod day;
mod domain_state;
mod event;
mod feed;
mod figures;
mod keeper;
mod need;
mod observed;
mod projection;
mod reading;
mod runs;

pub use self::certificates::{Certificates, HostCertificates, ShownCertificate};
pub use self::day::{Counts, Day, DayBar};
pub use self::domain_state::{DomainState, Held, LastProof, PolicyStanding};
pub use self::event::{Event, EventKind, Weight};
pub use self::figures::{Figures, Span};
pub use self::keeper::{AcceptedCount, LedgerKeeper, Refreshes};
pub use self::need::{Need, NeedKind};
pub use self::reading::{Between, Domain, DomainQuery, FullDomain, Ledger};
pub use self::runs::Runs;
