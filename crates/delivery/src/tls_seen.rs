//! What a connection showed of TLS, in the words of a report (RFC 8460 §4.3).

use dane::Mismatch;
use tls_policy::HostRecords;
use tls_rpt::{FailureReason, ReceivingMxHelo, ResultType, TlsaRecord};

use crate::dialogue::DialogueError;
use crate::endpoints::Endpoints;
use crate::failure::{SessionFailure, TlsFailure};
use crate::tls::handshake_failure::{
    HandshakeFailure, mismatch_reason, mismatch_type, reason, result_type,
};
use crate::tls::peer_seen::{PeerSeen, reported};
use crate::tls::verdict::Verdict;

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

/// Of records that are all of no use (RFC 8460 §4.3.2.1).
const ALL_UNUSABLE: TlsFault = TlsFault {
    result_type: ResultType::TlsaInvalid,
    reason: Some(FailureReason::AllRecordsUnusable),
};

impl TlsSeen {
    /// Of a peer that had to prove itself: by its name, by those of its records that are of use, or by
    /// both. Records that are set aside are among `records`, and have their own verdict as well.
    pub(crate) fn of_peer<T>(
        (ends, helo): (Endpoints, Option<ReceivingMxHelo>),
        session: &Result<T, SessionFailure>,
        peer: &PeerSeen,
        records: Option<&HostRecords>,
    ) -> Self {
        // An exception may let a peer pass that they refuse.
        let outcome = TlsOutcome::of_authorities(session, peer);
        let by_records = match records {
            None => None,
            Some(HostRecords::Unusable(_)) => Some(TlsOutcome::of_unusable(session)),
            Some(HostRecords::Usable(_)) => Some(TlsOutcome::of_records(session, peer)),
        };
        let tlsa = records.zip(by_records).map(|(records, tls)| TlsaSeen::new(records, tls));
        Self { ends, helo, outcome, tlsa }
    }
}

impl TlsaSeen {
    /// What became of TLS with a host that has these records.
    fn new(records: &HostRecords, outcome: TlsOutcome) -> Self {
        let (base, records) = match records {
            HostRecords::Usable(usable) => {
                (usable.names().base().as_ref(), usable.records().iter().map(reported).collect())
            }
            HostRecords::Unusable(unusable) => {
                let all = unusable.records().records().iter();
                (unusable.base().as_str(), all.map(|(record, _)| reported(record)).collect())
            }
        };
        Self { base_domain: base.to_owned(), records, outcome }
    }

    /// Of a peer that did not have to match these records, by what became of TLS.
    pub(crate) fn beside(records: &HostRecords, tls: TlsOutcome, peer: &PeerSeen) -> Self {
        let judged = match (records, &peer.dane) {
            (HostRecords::Unusable(_), _) => Err(ALL_UNUSABLE),
            (HostRecords::Usable(_), Some(Ok(_))) => Ok(()),
            (HostRecords::Usable(_), Some(Err(mismatch))) => Err(TlsFault::of_mismatch(mismatch)),
            (HostRecords::Usable(_), None) => {
                Err(TlsFault::validation(FailureReason::NoCertificate))
            }
        };
        let outcome = match tls {
            TlsOutcome::Abandoned | TlsOutcome::NoTls(_) => tls,
            TlsOutcome::Tls(_) => TlsOutcome::Tls(judged),
        };
        Self::new(records, outcome)
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
    /// Of a session whose host has records of use, by those, whether it had to match them or not.
    fn of_records<T>(session: &Result<T, SessionFailure>, peer: &PeerSeen) -> Self {
        match (session, &peer.dane) {
            (Err(SessionFailure::Tls(_)), Some(Err(mismatch))) => {
                Self::Tls(Err(TlsFault::of_mismatch(mismatch)))
            }
            // The authorities alone have failed.
            (
                Err(SessionFailure::Tls(TlsFailure::Handshake(HandshakeFailure::Tls(error)))),
                Some(Ok(_)),
            ) if error.is_about_certificate() => Self::Tls(Ok(())),
            // Records that are set aside may fail where there is a session.
            (_, Some(Err(mismatch))) => {
                Self::of_session(session, Err(TlsFault::of_mismatch(mismatch)))
            }
            (_, Some(Ok(_)) | None) => Self::of_session(session, Ok(())),
        }
    }

    /// Of a peer whose host has records, none of use (RFC 8460 §4.3.2.1).
    fn of_unusable<T>(session: &Result<T, SessionFailure>) -> Self {
        match session {
            // The authorities have failed, and the records have nothing against whoever answers.
            Err(SessionFailure::Tls(TlsFailure::Handshake(HandshakeFailure::Tls(error))))
                if error.is_about_certificate() =>
            {
                Self::Tls(Err(ALL_UNUSABLE))
            }
            _ => Self::of_session(session, Err(ALL_UNUSABLE)),
        }
    }

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

#[cfg(test)]
mod tests {
    use pkix::TlsError;
    use rustls::{CertificateError, Error};

    use super::*;

    #[test]
    fn a_peer_that_an_exception_lets_pass_is_told_as_the_authorities_see_it() {
        let told = |webpki| {
            let peer = PeerSeen { webpki, ..PeerSeen::nothing() };
            let ends = (Endpoints::default(), None);
            TlsSeen::of_peer(ends, &Ok(()), &peer, None).outcome
        };
        let expired = TlsError::from(Error::from(CertificateError::Expired));
        let fault = TlsFault { result_type: ResultType::CertificateExpired, reason: None };
        assert_eq!(told(Verdict::Invalid(expired)), TlsOutcome::Tls(Err(fault)));
        assert_eq!(told(Verdict::Valid), TlsOutcome::Tls(Ok(())));
    }
}
