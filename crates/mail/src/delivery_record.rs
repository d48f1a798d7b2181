//! What one attempt made of one recipient's mail, as one typed value.
//!
//! It is made where the facts are known and only moved from there. The log, metrics, the queue and
//! reports to senders each make their words of it at their end, by exhaustive matches. What many
//! recipients share is shared: a message for a hundred has one [`AttemptRecord`].

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use smtp::MailboxDomain;

use crate::delivery_result::{DeliveryResult, FailureCause};
use crate::exception_record::ExceptionRecord;
use crate::id::QueueId;
use crate::policy_record::{PolicyDecision, TxtSeen, WhyPermitted};
use crate::session_record::{NO_TLS, Protection, SessionRecord};

/// What an attempt made of a recipient, and all that led to it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DeliveryRecord {
    /// The attempt.
    pub attempt: Arc<AttemptRecord>,
    /// Where it led, and what the policy there asked for.
    pub next_hop: Arc<NextHopRecord>,
    /// The session in which the result was reached; none where it was reached without one.
    pub session: Option<Arc<SessionRecord>>,
    /// What came of it.
    pub result: DeliveryResult,
    /// When that was known.
    pub ended_at: SystemTime,
}

impl DeliveryRecord {
    /// How long the message had been in the queue by then.
    #[must_use]
    pub fn queued_for(&self) -> Duration {
        self.ended_at.duration_since(self.attempt.received_at).unwrap_or_default()
    }

    /// What protected the mail, or would have.
    #[must_use]
    pub fn protection(&self) -> Protection {
        self.session.as_ref().map_or(Protection::Plaintext, |session| session.protection())
    }

    /// The operator's exception by which the mail left, or would have.
    #[must_use]
    pub fn exception(&self) -> Option<&Arc<ExceptionRecord>> {
        let of_session = self.session.as_ref().and_then(|session| session.exception.as_ref());
        of_session.or(self.next_hop.exception.as_ref())
    }

    /// A word for the log and for metrics: why nothing was enforced; empty where it was.
    #[must_use]
    pub fn why_word(&self) -> &'static str {
        match self.session.as_ref().and_then(|session| session.exception.as_ref()) {
            Some(_narrow) => WhyPermitted::Exception.word(),
            None => self.next_hop.decision.why_word(),
        }
    }

    /// A word for the log: the version of TLS, `none` in clear or without a session, `failed` in
    /// clear because TLS had failed.
    #[must_use]
    pub fn tls_word(&self) -> &'static str {
        self.session.as_ref().map_or(NO_TLS, |session| session.channel.word())
    }
}

/// An attempt for a message at one destination.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AttemptRecord {
    /// The message.
    pub queue_id: QueueId,
    /// The recipients' domain.
    pub destination: MailboxDomain,
    /// Which attempt it was, counted from 1.
    pub number: u32,
    /// When the message was accepted.
    pub received_at: SystemTime,
    /// When the attempt began.
    pub began_at: SystemTime,
}

/// Where an attempt led, and what the policy there asked for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NextHopRecord {
    /// By which route.
    pub route: RouteTaken,
    /// What the policy asked for.
    pub decision: PolicyDecision,
    /// The exception for all hosts of the next hop that has set an enforced policy aside.
    pub exception: Option<Arc<ExceptionRecord>>,
    /// What the DNS said of that policy; none where it was not asked.
    pub txt: Option<TxtSeen>,
    /// The hosts that were tried, in that order, as far as one took no message or there was no session
    /// with it. A host that took the message at once is no part of it.
    pub tried: Vec<TriedHost>,
}

/// A host that was tried.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TriedHost {
    /// Its name.
    pub host: String,
    /// Its address; none where there was no connection.
    pub address: Option<SocketAddr>,
    /// What it met.
    pub met: Met,
}

/// What an attempt met at a host.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Met {
    /// A session, over which the host was asked to take the message.
    Session,
    /// No session.
    Failure {
        /// What kind of failure it was.
        cause: FailureCause,
        /// The same in words.
        text: String,
    },
}

/// The route of a message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RouteTaken {
    /// To a configured next hop, with its name in the settings.
    Configured(String),
    /// To the mail hosts of its destination.
    Direct,
}
