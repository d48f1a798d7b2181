//! Why there was no session with one host.

use std::borrow::Borrow;
use std::net::SocketAddr;

use mail::{Failure, FailureCause, Reason, ReasonClass};
use mta_sts::MxMismatch;
use smtp::{EnhancedCode, Reply};

use crate::failure::SessionFailure;
use crate::status::Status;

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

    /// The host has no name that it could prove.
    pub(crate) fn no_proof(host: &str, text: String) -> Self {
        Self::of((host, Kind::Reach), ReasonClass::Tls, Status::Cryptography, text)
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

    /// Whether its host may take a message that others cannot take, once it can be asked.
    pub(crate) fn may_pass(&self) -> bool {
        match self.kind {
            Kind::Loop | Kind::NoAddress | Kind::NotNamed => false,
            Kind::Reach | Kind::Tls => true,
        }
    }

    /// This failure as the failure of an attempt, in words that cover all of them.
    pub(crate) fn failure(&self, text: String, policy: Option<String>) -> Failure {
        let (cause, class) = match policy {
            Some(_) => (FailureCause::Policy, ReasonClass::Policy),
            None => (self.cause, self.class),
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
