//! The nouns of queued mail: a message's id, its envelope, and what became of its recipients.
//!
//! They do no I/O and know neither how a message is kept nor how it is sent.

mod delivery_record;
mod delivery_result;
mod envelope;
mod error_text;
mod exception_record;
mod id;
mod outcome;
mod policy_record;
mod session_record;
mod state;
mod tls_required;

pub use crate::delivery_record::{
    AttemptRecord, DeliveryRecord, Met, NextHopRecord, RouteTaken, TriedHost,
};
pub use crate::delivery_result::{DeliveryResult, Failure, FailureCause, Reports};
pub use crate::envelope::{
    Begins, DelayNotice, DsnParameters, Envelope, Message, Purpose, Recipient,
};
pub use crate::error_text::in_full;
pub use crate::exception_record::{ExceptedScope, ExceptionRecord};
pub use crate::id::{QueueId, QueueIdError};
pub use crate::outcome::{Outcome, Reason, ReasonClass};
pub use crate::policy_record::{
    PolicyDecision, PolicyMode, PolicySource, PolicyVersion, TxtSeen, WhyPermitted, WhyUndecided,
};
pub use crate::session_record::{
    CertificateRecord, CertificateVerdict, Channel, DaneVerdict, MtaStsVerdict, Proof, Protection,
    SessionRecord, ShownCertificate, TlsRecord, TlsVersion, WhyClear,
};
pub use crate::state::State;
pub use crate::tls_required::TlsRequired;
