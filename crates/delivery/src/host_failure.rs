//! Why there was no session with one host.

use std::borrow::Borrow;
use std::net::SocketAddr;

use mail::{Failure, FailureCause, Met, Reason, ReasonClass, TriedHost};
use mta_sts::MxMismatch;
use smtp::{EnhancedCode, Reply};
use tls_policy::{Refusal, WhySkipped};

use crate::failure::{SessionFailure, TlsFailure};
use crate::status::Status;
use crate::tls::handshake_failure::HandshakeFailure;

/// How many hosts a reason names.
const LISTED: usize = 10;

/// Why there was no session with one host.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct HostFailure {
    /// The host.
    pub(crate) host: String,
    /// What kind of failure it is.
    pub(crate) kind: Kind,
    cause: FailureCause,
    class: ReasonClass,
    addr: Option<SocketAddr>,
    status: EnhancedCode,
    text: String,
    reply: Option<String>,
}

/// What stands between us and a host.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// The TLSA records of the host are not met, or not known.
    Dane,
    /// The host lacks what the message asks for (RFC 8689 §4.2.1).
    Lacks,
    /// The host is this relay.
    Loop,
    /// The host has no address.
    NoAddress,
    /// The enforced policy does not name the host.
    NotNamed,
    /// Anything else.
    Reach,
    /// TLS failed.
    Tls,
}

impl HostFailure {
    /// The host has no address.
    pub(crate) fn no_address(host: &str, text: String) -> Self {
        Self::of((host, Kind::NoAddress), ReasonClass::Dns, Status::NoRoute, text)
    }

    /// Whether the host has an address could not be looked up.
    pub(crate) fn address_unknown(host: &str, text: String) -> Self {
        Self::of((host, Kind::Reach), ReasonClass::Dns, Status::NoDirectory, text)
    }

    /// The host does not say that it keeps to proven TLS.
    pub(crate) fn lacks_requiretls(host: &str, addr: SocketAddr) -> Self {
        let text = "the host does not offer REQUIRETLS, which the message asks for".to_owned();
        let status = Status::RequireTlsNeeded;
        let failure = Self::of((host, Kind::Lacks), ReasonClass::Tls, status, text);
        Self { addr: Some(addr), ..failure }
    }

    /// The host may not be connected to.
    pub(crate) fn refused(host: &str, refusal: &Refusal) -> Self {
        let dane =
            |text| Self::of((host, Kind::Dane), ReasonClass::Dane, Status::Cryptography, text);
        let text = "an address can prove no name".to_owned();
        match refusal {
            Refusal::DaneRequired(found) => {
                dane(format!("usable TLSA records are required (dane.require), and {found}"))
            }
            Refusal::NoName(_) => {
                Self::of((host, Kind::Reach), ReasonClass::Tls, Status::Cryptography, text)
            }
            Refusal::NotNamed(mismatch) => Self::not_named(mismatch),
            Refusal::NotSecured => {
                let text =
                    "the message asks for REQUIRETLS, and neither DNSSEC nor an MTA-STS policy \
                            secures the host's name"
                        .to_owned();
                let status = Status::RequireTlsNeeded;
                Self::of((host, Kind::Lacks), ReasonClass::Tls, status, text)
            }
            Refusal::OtherRecords => dane("its TLSA records have changed meanwhile".to_owned()),
            Refusal::Skipped(why) => Self::skipped(host, why),
        }
    }

    /// Which TLSA records the host has is not known (RFC 7672 §2.1.2).
    fn skipped(host: &str, why: &WhySkipped) -> Self {
        let text = why.to_string();
        match why {
            WhySkipped::NoAddress => Self::no_address(host, text),
            WhySkipped::Addresses(_) | WhySkipped::OutOfTime => Self::address_unknown(host, text),
            WhySkipped::Alias(_) | WhySkipped::NotAHost(_) | WhySkipped::Tlsa { .. } => {
                Self::of((host, Kind::Dane), ReasonClass::Dane, Status::NoDirectory, text)
            }
            WhySkipped::NoValidator => {
                Self::of((host, Kind::Dane), ReasonClass::Dane, Status::OwnSystem, text)
            }
            WhySkipped::Unread { .. } => {
                Self::of((host, Kind::Dane), ReasonClass::Dane, Status::Cryptography, text)
            }
        }
    }

    /// A host that was not connected to.
    fn of((host, kind): (&str, Kind), class: ReasonClass, status: Status, text: String) -> Self {
        let (host, cause, status) = (host.to_owned(), status.cause(), status.code());
        Self { host, kind, cause, class, addr: None, status, text, reply: None }
    }

    /// The enforced policy does not name the host.
    pub(crate) fn not_named(mismatch: &MxMismatch) -> Self {
        let text = "the policy does not name this host".to_owned();
        let host = (mismatch.mx.as_str(), Kind::NotNamed);
        Self::of(host, ReasonClass::Policy, Status::NotInPolicy, text)
    }

    /// There was no session with the host at this address.
    pub(crate) fn no_session(host: &str, addr: SocketAddr, failure: &SessionFailure) -> Self {
        let kind = match failure {
            SessionFailure::Ourselves => Kind::Loop,
            SessionFailure::Tls(TlsFailure::Handshake(HandshakeFailure::NoMatch(_))) => Kind::Dane,
            SessionFailure::Tls(_) => Kind::Tls,
            SessionFailure::Connect(_)
            | SessionFailure::ConnectTimedOut
            | SessionFailure::Dialogue { .. }
            | SessionFailure::LeftAlone { .. }
            | SessionFailure::Login(_)
            | SessionFailure::Silent { .. }
            | SessionFailure::Refused { .. } => Kind::Reach,
        };
        Self {
            host: host.to_owned(),
            kind,
            cause: failure.cause(),
            class: failure.class(),
            addr: Some(addr),
            status: failure.enhanced_code(),
            text: failure.to_string(),
            reply: failure.reply().map(Reply::one_line),
        }
    }

    /// The same where it is the host's TLSA records that ask for TLS (RFC 7672 §2.2).
    pub(crate) fn of_records(mut self) -> Self {
        if self.kind == Kind::Tls || self.kind == Kind::Dane {
            self.kind = Kind::Dane;
            self.status = Status::Cryptography.code();
        }
        self
    }

    /// What is recorded of it.
    pub(crate) fn tried(&self) -> TriedHost {
        let met = Met::Failure { cause: self.cause, text: self.text.clone() };
        TriedHost { host: self.host.clone(), address: self.addr, met }
    }

    /// Whether the host was reached and has not met its TLSA records.
    pub(crate) fn is_mismatch(&self) -> bool {
        self.kind == Kind::Dane && self.addr.is_some()
    }

    /// Whether its host may take a message that others cannot take, once it can be asked.
    pub(crate) fn may_pass(&self) -> bool {
        match self.kind {
            Kind::Lacks | Kind::Loop | Kind::NoAddress | Kind::NotNamed => false,
            Kind::Dane | Kind::Reach | Kind::Tls => true,
        }
    }

    /// This failure as the failure of an attempt, in words that cover all of them.
    pub(crate) fn failure(&self, text: String, policy: Option<String>) -> Failure {
        let (cause, class) = match (&policy, self.kind) {
            (Some(_), _) => (FailureCause::Policy, ReasonClass::Policy),
            (None, Kind::Dane) => (FailureCause::Dane, ReasonClass::Dane),
            (
                None,
                Kind::Lacks
                | Kind::Loop
                | Kind::NoAddress
                | Kind::NotNamed
                | Kind::Reach
                | Kind::Tls,
            ) => (self.cause, self.class),
        };
        let reason = Reason {
            enhanced: self.status,
            class,
            text,
            cause: Some(self.text.clone()),
            mx: Some(self.host.clone()),
            addr: self.addr,
            reply: self.reply.clone(),
            policy,
        };
        Failure { cause, reason }
    }
}

/// What went wrong, host by host; the same for several addresses of a host is said once.
pub(crate) fn list<T: Borrow<HostFailure>>(failures: &[T]) -> String {
    let mut named: Vec<(String, usize)> = Vec::new();
    let mut more = 0_usize;
    for failure in failures.iter().map(Borrow::borrow) {
        let text = format!("{}: {}", failure.host, failure.text);
        if let Some((_, times)) = named.iter_mut().find(|(other, _)| *other == text) {
            *times = times.saturating_add(1);
        } else if named.len() < LISTED {
            named.push((text, 1));
        } else {
            more = more.saturating_add(1);
        }
    }
    let each = named.into_iter().map(|(text, times)| match times {
        1 => text,
        _ => format!("{text} ({times} times)"),
    });
    let listed = each.collect::<Vec<_>>().join("; ");
    if more == 0 { listed } else { format!("{listed}; and {more} more") }
}
