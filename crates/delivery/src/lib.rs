//! Outbound SMTP: from a lease to an outcome per recipient.
//!
//! [`Delivery`] leases what is due and makes an attempt for each lease: the policy of the
//! destination is decided, its hosts are found, and one after the other is tried until one has
//! taken the message.
//!
//! ```text
//! Lease - decide - hosts - Route - Plain - verify -> Session<Verified>   - Transaction - Outcome
//!                                        - settle -> Session<Unverified>
//! ```
//!
//! A route says what a session must prove, and [`Session`]s are made in one file that asks for it:
//! under an enforced policy there is no other way to a MAIL command than through a verified
//! handshake (RFC 8461 §5). Every handshake is judged and told of in an
//! [`Observation`](tls_rpt::Observation).
//!
//! Deliberately absent: retry times and durability, which are the queue's; what a policy says,
//! which is `mta_sts`'s; any setting that weakens an enforced policy.

mod account;
mod addresses;
mod attempt;
mod attempt_pace;
#[path = "../tests/authority.rs"]
#[cfg(test)]
mod authority;
mod body;
mod capabilities;
mod client;
mod concurrency;
mod connect;
mod connection_cache;
mod dane_lookup;
mod dane_result;
mod dead_addresses;
mod delivery_log;
mod departures;
mod dialogue;
mod disposition;
mod downgrade;
mod dsn;
mod endpoints;
mod envelope;
mod failover;
mod failure;
mod gathering;
mod header;
mod host_failure;
mod limit;
mod line_io;
mod notice;
mod observation;
mod observer;
mod ourselves;
mod outcome;
mod pace;
mod paces;
mod patience;
mod policy_facts;
mod target;

mod mx_hosts;
#[cfg(test)]
#[path = "../../tls-policy/tests/world.rs"]
mod policy_world;
mod probe;
mod rate_reply;
mod recipient;
mod recipient_batches;
mod recipient_reply;
mod recorder;
mod removal;
mod route;
#[path = "../tests/scripted.rs"]
#[cfg(test)]
mod scripted;
mod session;
mod settings;
mod settling;
mod slots;
mod status;
mod tls;
mod tls_required_no;
mod tls_seen;
mod transaction;
mod trials;
mod workers;

pub use crate::account::{Login, LoginMechanism, Secret, SecretError};
pub use crate::client::now_of;
pub use crate::dane_lookup::{TlsaAge, host_dane};
pub use crate::dane_result::DaneResult;
pub use crate::departures::Departures;
pub use crate::dialogue::DialogueError;
pub use crate::endpoints::Endpoints;
pub use crate::failure::{LoginFailure, SessionFailure, Stage, TlsFailure};
pub use crate::limit::{Limit, Limits, Rate, SourceAddresses};
pub use crate::line_io::{BytesLeft, Stream};
pub use crate::observation::of_failed_refresh;
pub use crate::observer::{Observer, Unobserved};
pub use crate::paces::{PaceKey, PaceStatus, SlowedBy};
pub use crate::probe::{CertificateSeen, Look, Prober};
pub use crate::recorder::{Recorder, Unrecorded};
pub use crate::removal::{RemovalError, ReportingMta, removal_notice};
pub use crate::route::{ConfiguredHop, DomainPattern, Route, Routes, SmartHost};
pub use crate::session::established::{Session, WrongSession};
pub use crate::session::open::{BrokenHandshake, Unsettled};
pub use crate::session::plain::Plain;
pub use crate::session::strict::{PeerDemand, RecordsBeside, Strict};
pub use crate::settings::{DeliverySettings, IpPreference, RequireTlsDelivery, Timeouts};
pub use crate::target::TlsRequirement;
pub use crate::tls::danger::Observing;
pub use crate::tls::handshake_failure::{HandshakeFailure, mismatch_type, result_type};
pub use crate::tls::no_match::NoMatch;
pub use crate::tls::peer_seen::PeerSeen;
pub use crate::tls::wall_clock::WallClock;
pub use crate::tls::webpki::WebPki;
pub use crate::tls_seen::{TlsFault, TlsOutcome, TlsSeen, TlsaSeen};
pub use crate::transaction::Transaction;
pub use crate::workers::{Delivery, Reloaded};
pub use tls_policy::{Demanded, Encrypted, Matched, TlsStart, Trust, Unverified, Verified};
