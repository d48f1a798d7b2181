//! From what happened to what becomes of a recipient: delivered, deferred or bounced.
//!
//! Only two things are permanent at once: a destination that cannot be, unless a policy is in force
//! and the DNS alone says so, and a host's own 5yz in a proper session. All that goes wrong before a session waits for better times, and a policy that
//! is not met never ends a message's life unless the policy has been looked at once more
//! (RFC 8461 §5.1).

use std::borrow::Borrow;
use std::net::SocketAddr;
use std::time::Duration;

use mail::{
    Channel, DeliveryResult, Failure, FailureCause, Reason, ReasonClass, Reports, SessionRecord,
};
use mta_sts::{MxMismatch, Rechecked, RequiredTls};
use smtp::{Class, EnhancedCode, MailboxDomain, Reply, ReplyCode, Severity};

use crate::failure::SessionFailure;
use crate::hop::Manner;
use crate::recipient::{Disposition, NotTaken};
use crate::routing::looped;
use crate::status::{Status, permanent};
use crate::transaction::{RecipientReply, Step, Unfit};

/// How many hosts a reason names.
const LISTED: usize = 10;

/// The host at the other end of a session.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Remote<'a> {
    /// Its name.
    pub(crate) host: &'a str,
    /// The address at which it was reached.
    pub(crate) addr: Option<SocketAddr>,
}

impl<'a> Remote<'a> {
    /// The host of a session.
    pub(crate) fn of(session: &'a SessionRecord) -> Self {
        Self { host: &session.host, addr: session.address }
    }

    /// A failure that names the host, with its cause at the host in short.
    pub(crate) fn failure(
        self,
        class: ReasonClass,
        status: Status,
        (text, cause): (String, String),
    ) -> Failure {
        let Failure { cause: kind, reason } = status.failure(class, text);
        let (mx, addr) = (Some(self.host.to_owned()), self.addr);
        Failure { cause: kind, reason: Reason { mx, addr, cause: Some(cause), ..reason } }
    }
}

/// What is to be done about a recipient after this reply on a session with `remote`, in a transaction
/// in which these answer for reports.
pub(crate) fn judge(
    reply: RecipientReply,
    remote: Remote<'_>,
    tls: Encryption,
    reports: Reports,
) -> Disposition {
    let Remote { host, addr } = remote;
    match reply {
        RecipientReply::Taken(reply) => {
            let (mx, reply) = (host.to_owned(), reply.one_line());
            Disposition::Final(DeliveryResult::Delivered { mx, addr, reply, reports })
        }
        RecipientReply::Refused { step, reply } => refused(step, &reply, remote, tls),
        RecipientReply::Cut { step, error } => {
            let text = format!("the session with {host} failed at {}: {error}", step.as_str());
            let cause = format!("{error} (at {})", step.as_str());
            Disposition::NextHost(NotTaken::Later(remote.failure(
                ReasonClass::Connect,
                error.status(),
                (text, cause),
            )))
        }
        // Asking another host now could deliver the message twice.
        RecipientReply::InDoubt(error) => {
            let text = format!(
                "the session with {host} failed after the message was sent: {error}; it may have \
                 been delivered",
            );
            let cause = format!("{error} (after the message; it may have been delivered)");
            let failure = remote.failure(ReasonClass::Connect, error.status(), (text, cause));
            Disposition::Final(DeliveryResult::Deferred(failure))
        }
        RecipientReply::Unfit(unfit) => {
            let status = match unfit {
                Unfit::Binary | Unfit::EightBit => Status::ConversionNeeded,
                Unfit::Smtputf8 => Status::Smtputf8Needed,
                Unfit::TooLarge { .. } => Status::TooBig,
            };
            let text = format!("{host} cannot take this message: {unfit}");
            let failure = remote.failure(ReasonClass::Other, status, (text, unfit.to_string()));
            Disposition::NextHost(NotTaken::Unfit(failure.with_class(Class::Permanent)))
        }
        RecipientReply::Unreadable(kind) => {
            let text = format!("this relay could not read the message: {kind}");
            let failure = Status::OwnSystem.failure(ReasonClass::Other, text);
            Disposition::Final(DeliveryResult::Deferred(failure))
        }
    }
}

/// Whether a session was under TLS.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Encryption {
    /// It was, with a smart host that may want to know who we are.
    Agreed,
    /// It was not.
    None,
    /// It was.
    Tls,
}

impl Encryption {
    /// Of a session with a host that was reached in this manner.
    pub(crate) const fn of(session: &SessionRecord, manner: &Manner) -> Self {
        match (&session.channel, manner) {
            (Channel::Clear(_), _) => Self::None,
            (Channel::Tls(_), Manner::AsPolicy) => Self::Tls,
            (Channel::Tls(_), Manner::Proven { .. }) => Self::Agreed,
        }
    }
}

fn refused(step: Step, reply: &Reply, remote: Remote<'_>, tls: Encryption) -> Disposition {
    let what = match step {
        Step::Mail => "the sender",
        Step::Rcpt => "the recipient",
        Step::Data | Step::Message => "the message",
    };
    let class = match reply.severity() {
        Severity::PermanentNegative => Class::Permanent,
        Severity::PositiveCompletion
        | Severity::PositiveIntermediate
        | Severity::TransientNegative => Class::PersistentTransient,
    };
    let given = reply.enhanced().unwrap_or_else(|| EnhancedCode::new(class, 0, 0));
    let text = format!("{} refused {what}, in reply to {}", remote.host, step.as_str());
    let (mx, addr) = (Some(remote.host.to_owned()), remote.addr);
    let reason = Reason::new(ReasonClass::Reply, given, text);
    let reason = Reason { mx, addr, reply: Some(reply.one_line()), ..reason };
    let failure = Failure { cause: FailureCause::Refused, reason };
    if class == Class::Permanent && is_unfit(step, reply) {
        Disposition::NextHost(NotTaken::Unfit(failure))
    } else if class == Class::Permanent && !may_pass(step, reply, tls) {
        Disposition::Final(DeliveryResult::Bounced(failure))
    } else if is_crowd(step, reply) {
        Disposition::NextTransaction(failure.with_class(Class::PersistentTransient))
    } else {
        Disposition::NextHost(NotTaken::Later(failure.with_class(Class::PersistentTransient)))
    }
}

/// The replies that speak of what this host can take, before it has the message: too large
/// (RFC 1870 §6), or in need of a conversion or of SMTPUTF8 (RFC 6531 §3.5).
fn is_unfit(step: Step, reply: &Reply) -> bool {
    let is_unfit = match reply.enhanced() {
        Some(code) => {
            [(3, 4), (6, 2), (6, 3), (6, 7), (6, 9)].contains(&(code.subject(), code.detail()))
        }
        None => step == Step::Mail && reply.code() == ReplyCode::TOO_LARGE,
    };
    step != Step::Message && is_unfit
}

/// The replies to RCPT that mean "not in this transaction": X.5.3, or without an enhanced code the
/// two that RFC 5321 §4.5.3.1.10 names.
fn is_crowd(step: Step, reply: &Reply) -> bool {
    let too_many = match reply.enhanced() {
        Some(code) => (code.subject(), code.detail()) == (5, 3),
        None => [ReplyCode::INSUFFICIENT_STORAGE, ReplyCode::TOO_LARGE].contains(&reply.code()),
    };
    step == Step::Rcpt && too_many
}

/// The replies of 5yz that mean "not now".
fn may_pass(step: Step, reply: &Reply, tls: Encryption) -> bool {
    // Too many recipients, from hosts of the old school (RFC 5321 §4.5.3.1.10).
    let crowd =
        is_crowd(step, reply) || (step == Step::Rcpt && reply.code() == ReplyCode::TOO_LARGE);
    // The host wants TLS (RFC 3207 §4), with which it has just failed.
    let wants_tls = tls == Encryption::None && reply.code() == ReplyCode::AUTHENTICATION_REQUIRED;
    // A smart host has not recognised us (RFC 4954 §6), which says nothing of the mail.
    let wants_login = tls == Encryption::Agreed
        && [
            ReplyCode::AUTHENTICATION_REQUIRED,
            ReplyCode::AUTHENTICATION_FAILED,
            ReplyCode::ENCRYPTION_REQUIRED,
        ]
        .contains(&reply.code());
    crowd || wants_tls || wants_login
}

/// Why there was no session with one host.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Trouble {
    /// The host.
    pub(crate) host: String,
    /// What kind of trouble it is.
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

impl Trouble {
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

    /// This trouble as the failure of an attempt, in words that cover all of them.
    fn failure(&self, text: String, policy: Option<String>) -> Failure {
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

/// What becomes of recipients whose enforced policy let no session come about.
pub(crate) fn unmet(required: &RequiredTls, troubles: &[Trouble]) -> DeliveryResult {
    let domain = required.domain();
    // A certificate or a missing STARTTLS tells more than a host that was not even asked.
    let first = |kind: Kind| troubles.iter().find(|trouble| trouble.kind == kind);
    let Some(worst) = first(Kind::Tls).or_else(|| first(Kind::NotNamed)) else {
        return no_hosts(required, unreached(domain, troubles));
    };
    let policy = format!("sts id={} mode={}", required.id(), required.policy().mode());
    let text = format!(
        "the MTA-STS policy of {domain} (id {}, mode {}) is not met by any of its hosts: {}",
        required.id(),
        required.policy().mode(),
        list(troubles),
    );
    DeliveryResult::Deferred(worst.failure(text, Some(policy)))
}

/// The outcome for recipients under an enforced policy where the DNS alone says that there is no
/// host to try.
///
/// That is never final. Answers of the DNS can be forged, and the policy, which came over HTTPS, is
/// there for exactly this (RFC 8461 §10.1); a domain that is gone is still found to be so when the
/// lifetime of the message ends.
pub(crate) fn no_hosts(required: &RequiredTls, result: DeliveryResult) -> DeliveryResult {
    let Failure { cause, reason } = match result {
        DeliveryResult::Bounced(failure) => failure,
        waiting @ (DeliveryResult::Deferred(_) | DeliveryResult::Delivered { .. }) => {
            return waiting;
        }
    };
    let text = format!(
        "{}: so the DNS says, which is not taken as final while the MTA-STS policy of {} (id {}, \
         mode {}) is in force",
        reason.text,
        required.domain(),
        required.id(),
        required.policy().mode(),
    );
    let enhanced = reason.enhanced.with_class(Class::PersistentTransient);
    let reason = Reason { enhanced, text, cause: Some(reason.text.clone()), ..reason };
    DeliveryResult::Deferred(Failure { cause, reason })
}

/// What becomes of recipients whose message the hosts that were asked cannot take, while others that
/// may take it could not be asked, for these reasons.
pub(crate) fn unfit_so_far(failure: Failure, troubles: &[&Trouble]) -> DeliveryResult {
    let others = if troubles.is_empty() {
        "other hosts are asked in the next attempt".to_owned()
    } else {
        format!("other hosts could not be asked: {}", list(troubles))
    };
    let Failure { cause, reason } = failure.with_class(Class::PersistentTransient);
    let text = format!("{}; {others}", reason.text);
    DeliveryResult::Deferred(Failure { cause, reason: Reason { text, ..reason } })
}

/// What becomes of recipients with whose hosts no session came about.
pub(crate) fn unreached(domain: &dyn std::fmt::Display, troubles: &[Trouble]) -> DeliveryResult {
    match troubles.last() {
        Some(last) if last.kind == Kind::Loop && troubles.len() == 1 => looped(domain),
        Some(last) => {
            let text = format!("no session with a host of {domain}: {}", list(troubles));
            DeliveryResult::Deferred(last.failure(text, None))
        }
        None => {
            let text = format!("no host of {domain} could be tried");
            DeliveryResult::Deferred(Status::NoRoute.failure(ReasonClass::Dns, text))
        }
    }
}

/// What went wrong, host by host; the same for several addresses of a host is said once.
fn list<T: Borrow<Trouble>>(troubles: &[T]) -> String {
    let mut named: Vec<(String, usize)> = Vec::new();
    let mut more = 0_usize;
    for trouble in troubles.iter().map(Borrow::borrow) {
        let text = format!("{}: {}", trouble.host, trouble.text);
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

/// What becomes of a deferred recipient when the message's lifetime has ended.
///
/// Where a policy stood in the way it goes on waiting until somebody shows that the policy was
/// looked at once more (RFC 8461 §5.1).
pub(crate) fn expire(
    failure: Failure,
    waited: Duration,
    rechecked: Option<&Rechecked>,
) -> DeliveryResult {
    let waited = in_words(waited);
    let Failure { cause, reason } = failure;
    match (&reason.policy, rechecked) {
        (Some(_), None) => DeliveryResult::Deferred(Failure { cause, reason }),
        (Some(_), Some(_)) => {
            let enhanced = permanent(reason.enhanced);
            let text = format!("not delivered in {waited}: {}", reason.text);
            let reason = Reason { enhanced, text, ..reason };
            DeliveryResult::Bounced(Failure { cause, reason })
        }
        (None, _) => {
            let enhanced = permanent(Status::Expired.code());
            let text = format!("not delivered in {waited}; the last attempt: {}", reason.text);
            let reason = Reason { enhanced, text, ..reason };
            let undecided = cause == FailureCause::Undecided;
            let cause = if undecided { cause } else { FailureCause::Expired };
            DeliveryResult::Bounced(Failure { cause, reason })
        }
    }
}

/// A duration as people say it, in the largest unit that fits.
fn in_words(duration: Duration) -> String {
    let seconds = duration.as_secs();
    for (unit, name) in [(86_400, "days"), (3600, "hours"), (60, "minutes")] {
        let count = seconds.checked_div(unit).unwrap_or_default();
        if count >= 2 {
            return format!("{count} {name}");
        }
    }
    if seconds == 1 { "1 second".to_owned() } else { format!("{seconds} seconds") }
}

/// What becomes of recipients at a destination that is no name.
pub(crate) fn no_domain(destination: &MailboxDomain) -> DeliveryResult {
    let text = format!("{destination} is not the name of a domain");
    let failure = Status::NoSuchSystem.failure(ReasonClass::Dns, text);
    DeliveryResult::Bounced(failure.with_class(Class::Permanent))
}

#[cfg(test)]
mod tests;
