//! What a connection showed of TLS, in the words of a report (RFC 8460 §4.3).

use dane::{Association, Mismatch};
use tls_policy::{EncryptOnly, HostRecords};
use tls_rpt::{FailureReason, ReceivingMxHelo, ResultType, TlsaRecord};

use crate::dialogue::DialogueError;
use crate::endpoints::Endpoints;
use crate::failure::{SessionFailure, TlsFailure};
use crate::tls::danger::Verdict;
use crate::tls::handshake_failure::{
    HandshakeFailure, mismatch_reason, mismatch_type, reason, result_type,
};
use crate::tls::peer_seen::{PeerSeen, reported};

/// What a connection showed of TLS, once EHLO has been answered under it or nothing more can come.
#[derive(Clone, Debug)]
pub struct TlsSeen {
    /// The two ends.
    pub ends: Endpoints,
    /// What the host called itself before TLS.
    pub helo: Option<ReceivingMxHelo>,
    /// What became of TLS, by what public authorities say.
    pub outcome: TlsOutcome,
    /// What became of it by the TLSA records of the host, where it has any.
    pub tlsa: Option<TlsaSeen>,
}

/// What became of TLS by the TLSA records of a host (RFC 7672 §2.2).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TlsaSeen {
    /// The TLSA base domain.
    pub base_domain: String,
    /// All records.
    pub records: Vec<TlsaRecord>,
    /// What became of TLS.
    pub outcome: TlsOutcome,
}

impl TlsSeen {
    /// Of a peer that had to prove itself: by its name, by those of its records that are of use, or by
    /// both.
    pub(crate) fn of_peer<T>(
        (ends, helo): (Endpoints, Option<ReceivingMxHelo>),
        session: &Result<T, SessionFailure>,
        peer: &PeerSeen,
        records: Option<&HostRecords>,
    ) -> Self {
        let by_name = || TlsOutcome::of_session(session, Ok(()));
        let (outcome, tlsa) = match records {
            None => (by_name(), None),
            Some(HostRecords::Unusable(records)) => {
                (by_name(), Some(TlsaSeen::of_unusable(records, session)))
            }
            Some(HostRecords::Usable(records)) => (
                TlsOutcome::of_authorities(session, peer),
                Some(TlsaSeen::of_records(records, session, peer)),
            ),
        };
        Self { ends, helo, outcome, tlsa }
    }
}

impl TlsaSeen {
    /// Of a peer that had to match these records.
    fn of_records<T>(
        records: &Association,
        session: &Result<T, SessionFailure>,
        peer: &PeerSeen,
    ) -> Self {
        let outcome = match (session, &peer.dane) {
            (Err(SessionFailure::Tls(_)), Some(Err(mismatch))) => {
                TlsOutcome::Tls(Err(TlsFault::of_mismatch(mismatch)))
            }
            // The authorities alone have failed.
            (
                Err(SessionFailure::Tls(TlsFailure::Handshake(HandshakeFailure::Tls(error)))),
                Some(Ok(_)),
            ) if error.is_about_certificate() => TlsOutcome::Tls(Ok(())),
            _ => TlsOutcome::of_session(session, Ok(())),
        };
        let base_domain = records.names().base().as_ref().to_owned();
        Self { base_domain, records: records.records().iter().map(reported).collect(), outcome }
    }

    /// Of a peer whose host has records, none of use (RFC 8460 §4.3.2.1).
    pub(crate) fn of_unusable<T>(
        records: &EncryptOnly,
        session: &Result<T, SessionFailure>,
    ) -> Self {
        let reason = Some(FailureReason::AllRecordsUnusable);
        let unusable = TlsFault { result_type: ResultType::TlsaInvalid, reason };
        let outcome = match session {
            // The authorities have failed, and the records have nothing against whoever answers.
            Err(SessionFailure::Tls(TlsFailure::Handshake(HandshakeFailure::Tls(error))))
                if error.is_about_certificate() =>
            {
                TlsOutcome::Tls(Err(unusable))
            }
            _ => TlsOutcome::of_session(session, Err(unusable)),
        };
        let all = records.records().records().iter();
        Self {
            base_domain: records.base().as_str().to_owned(),
            records: all.map(|(record, _)| reported(record)).collect(),
            outcome,
        }
    }
}

/// What became of TLS.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TlsOutcome {
    /// Nothing that says anything of the host: the relay has ended the connection.
    Abandoned,
    /// There is none.
    NoTls(TlsFault),
    /// There is, and a client that verifies makes this of the certificate.
    Tls(Result<(), TlsFault>),
}

/// What went wrong, in the words of a report.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TlsFault {
    /// What failed.
    pub result_type: ResultType,
    /// What the result type leaves open.
    pub reason: Option<FailureReason>,
}

impl TlsOutcome {
    /// Of a session whose peer had to match records, by what the authorities say.
    fn of_authorities<T>(session: &Result<T, SessionFailure>, peer: &PeerSeen) -> Self {
        match (session, &peer.webpki) {
            // The records alone have failed: the authorities have judged all the same.
            (
                Err(SessionFailure::Tls(TlsFailure::Handshake(HandshakeFailure::NoMatch(_)))),
                Verdict::Valid | Verdict::Invalid(_),
            ) => Self::Tls(TlsFault::of_verdict(&peer.webpki)),
            _ => Self::of_session(session, TlsFault::of_verdict(&peer.webpki)),
        }
    }

    /// Of a session under TLS, or of why there is none.
    pub(crate) fn of_session<T>(
        session: &Result<T, SessionFailure>,
        certificate: Result<(), TlsFault>,
    ) -> Self {
        match session {
            // An EHLO that is refused is answered.
            Ok(_) | Err(SessionFailure::Refused { .. }) => Self::Tls(certificate),
            Err(SessionFailure::Dialogue { error, .. }) => {
                // Under TLS 1.3 a host refuses a handshake only after the client has ended it.
                let closed = TlsFault::validation(FailureReason::ClosedAfterHandshake);
                by_host(*error).map_or(Self::Abandoned, |_how| Self::NoTls(closed))
            }
            Err(SessionFailure::Tls(failure)) => Self::of_failure(failure),
            Err(
                SessionFailure::Connect(_)
                | SessionFailure::ConnectTimedOut
                | SessionFailure::LeftAlone { .. }
                | SessionFailure::Login(_)
                | SessionFailure::Ourselves
                | SessionFailure::Silent { .. },
            ) => Self::Abandoned,
        }
    }

    /// Of a connection on which TLS did not come about.
    pub(crate) fn of_failure(failure: &TlsFailure) -> Self {
        let result_type = failure.result_type();
        let fault = |reason| Self::NoTls(TlsFault { result_type, reason });
        match failure {
            TlsFailure::Cut(error) => {
                by_host(*error).map_or(Self::Abandoned, |how| fault(Some(how)))
            }
            TlsFailure::Handshake(failure) => fault(of_handshake(failure)),
            TlsFailure::Injected(_) => fault(Some(FailureReason::InjectedPlaintext)),
            TlsFailure::NotAName(_) => fault(Some(FailureReason::NameNotProvable)),
            TlsFailure::NotOffered => fault(Some(FailureReason::StarttlsNotOffered)),
            TlsFailure::Refused(reply) => {
                fault(Some(FailureReason::StarttlsReply(reply.code().as_u16())))
            }
        }
    }
}

impl TlsFault {
    /// A failure that has no result type of its own (RFC 8460 §4.3.3).
    pub(crate) const fn validation(reason: FailureReason) -> Self {
        Self { result_type: ResultType::ValidationFailure, reason: Some(reason) }
    }

    /// What TLSA records make of a chain that matches none of them.
    pub(crate) const fn of_mismatch(mismatch: &Mismatch) -> Self {
        Self { result_type: mismatch_type(mismatch), reason: mismatch_reason(mismatch) }
    }

    /// What a client that verifies makes of a certificate that anybody may show.
    pub(crate) fn of_verdict(verdict: &Verdict) -> Result<(), Self> {
        match verdict {
            Verdict::Valid => Ok(()),
            Verdict::Invalid(error) => {
                Err(Self { result_type: result_type(error.error()), reason: reason(error.error()) })
            }
            Verdict::Unknown => Err(Self::validation(FailureReason::NoCertificate)),
        }
    }
}

/// Why a handshake failed.
fn of_handshake(failure: &HandshakeFailure) -> Option<FailureReason> {
    match failure {
        HandshakeFailure::Broken(_) => Some(FailureReason::ConnectionCut),
        HandshakeFailure::NoMatch(failure) => mismatch_reason(failure.mismatch()),
        HandshakeFailure::NotVerified => Some(FailureReason::NoCertificate),
        HandshakeFailure::TimedOut => Some(FailureReason::Timeout),
        HandshakeFailure::Tls(error) => reason(error.error()),
    }
}

/// How a host ended a dialogue; none where the relay did.
const fn by_host(error: DialogueError) -> Option<FailureReason> {
    match error {
        DialogueError::Broken(_)
        | DialogueError::Closed
        | DialogueError::Endless
        | DialogueError::Garbled => Some(FailureReason::ConnectionCut),
        DialogueError::TimedOut | DialogueError::TooSlow => Some(FailureReason::Timeout),
        DialogueError::Displaced | DialogueError::OutOfTime => None,
    }
}
