//! From what happened to what becomes of a recipient: delivered, deferred or bounced.
//!
//! Only two things are permanent at once: a destination that cannot be, unless a policy is in force
//! and the DNS alone says so, and a host's own 5yz in a proper session. All that goes wrong before a session waits for better times, and a policy that
//! is not met never ends a message's life unless the policy has been looked at once more
//! (RFC 8461 §5.1).

use std::borrow::Borrow;
use std::net::SocketAddr;
use std::time::Duration;

use mta_sts::{MxMismatch, Rechecked, RequiredTls};
use queue::{Outcome, Reason, ReasonClass};
use smtp::{Class, EnhancedCode, MailboxDomain, Reply, ReplyCode, Severity};

use crate::failure::SessionFailure;
use crate::routing::looped;
use crate::status::{self, permanent};
use crate::transaction::{Fate, Step, Unfit};

/// How many hosts a reason names.
const LISTED: usize = 10;

/// What became of a recipient with one host.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Judged {
    /// The transaction has as many recipients as the host takes; the same host may take this one in
    /// a further one (RFC 5321 §4.5.3.1.10).
    Crowded(Reason),
    /// Another host may do better in the same attempt.
    Open(Reason),
    /// No other host is asked.
    Settled(Outcome),
    /// This host cannot take such a message; it is returned for this reason unless another one takes
    /// it.
    Unfit(Reason),
}

/// The host at the other end of a session.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Remote<'a> {
    /// Its name.
    pub(crate) host: &'a str,
    /// The address at which it was reached.
    pub(crate) addr: Option<SocketAddr>,
}

impl Remote<'_> {
    /// A reason that names the host.
    pub(crate) fn reason(self, class: ReasonClass, status: EnhancedCode, text: String) -> Reason {
        let Self { host, addr } = self;
        Reason { mx: Some(host.to_owned()), addr, ..Reason::new(class, status, text) }
    }
}

/// Judges a recipient's fate on a session with `remote`.
pub(crate) fn judge(fate: Fate, remote: Remote<'_>, tls: Encryption) -> Judged {
    let Remote { host, addr } = remote;
    match fate {
        Fate::Taken(reply) => {
            let (mx, reply) = (host.to_owned(), reply.one_line());
            Judged::Settled(Outcome::Delivered { mx, addr, reply })
        }
        Fate::Refused { step, reply } => refused(step, &reply, remote, tls),
        Fate::Cut { step, error } => {
            let text = format!("the session with {host} failed at {}: {error}", step.as_str());
            let reason = remote.reason(ReasonClass::Connect, error.enhanced_code(), text);
            let cause = Some(format!("{error} (at {})", step.as_str()));
            Judged::Open(Reason { cause, ..reason })
        }
        // Asking another host now could deliver the message twice.
        Fate::InDoubt(error) => {
            let text = format!(
                "the session with {host} failed after the message was sent: {error}; it may have \
                 been delivered",
            );
            let reason = remote.reason(ReasonClass::Connect, error.enhanced_code(), text);
            let cause = Some(format!("{error} (after the message; it may have been delivered)"));
            Judged::Settled(Outcome::Deferred(Reason { cause, ..reason }))
        }
        Fate::Unfit(unfit) => {
            let status = match unfit {
                Unfit::Binary | Unfit::EightBit => status::CONVERSION_NEEDED,
                Unfit::Smtputf8 => status::SMTPUTF8_NEEDED,
                Unfit::TooLarge { .. } => status::TOO_BIG,
            };
            let text = format!("{host} cannot take this message: {unfit}");
            let reason = remote.reason(ReasonClass::Other, permanent(status), text);
            Judged::Unfit(Reason { cause: Some(unfit.to_string()), ..reason })
        }
        Fate::Unreadable(kind) => {
            let text = format!("this relay could not read the message: {kind}");
            let reason = Reason::new(ReasonClass::Other, status::OWN_SYSTEM, text);
            Judged::Settled(Outcome::Deferred(reason))
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

fn refused(step: Step, reply: &Reply, remote: Remote<'_>, tls: Encryption) -> Judged {
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
    let said = Some(reply.one_line());
    let reason = |status| Reason { reply: said, ..remote.reason(ReasonClass::Reply, status, text) };
    if class == Class::Permanent && is_unfit(step, reply) {
        Judged::Unfit(reason(given))
    } else if class == Class::Permanent && !may_pass(step, reply, tls) {
        Judged::Settled(Outcome::Bounced(reason(given)))
    } else if is_crowd(step, reply) {
        Judged::Crowded(reason(given.with_class(Class::PersistentTransient)))
    } else {
        Judged::Open(reason(given.with_class(Class::PersistentTransient)))
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
    /// The enforced policy.
    Policy,
    /// Anything else.
    Reach,
}

impl Trouble {
    /// The host has no address, or none can be looked up.
    pub(crate) fn no_address(host: &str, status: EnhancedCode, text: String) -> Self {
        let (host, kind, class) = (host.to_owned(), Kind::Reach, ReasonClass::Dns);
        Self { host, kind, class, addr: None, status, text, reply: None }
    }

    /// The host has no name that it could prove.
    pub(crate) fn no_proof(host: &str, text: String) -> Self {
        let trouble = Self::no_address(host, status::CRYPTOGRAPHY, text);
        Self { class: ReasonClass::Tls, ..trouble }
    }

    /// The enforced policy does not name the host.
    pub(crate) fn not_named(mismatch: &MxMismatch) -> Self {
        Self {
            host: mismatch.mx.as_str().to_owned(),
            kind: Kind::Policy,
            class: ReasonClass::Policy,
            addr: None,
            status: status::NOT_IN_POLICY,
            text: "the policy does not name this host".to_owned(),
            reply: None,
        }
    }

    /// There was no session with the host at this address.
    pub(crate) fn no_session(host: &str, addr: SocketAddr, failure: &SessionFailure) -> Self {
        let kind = match failure {
            SessionFailure::Ourselves => Kind::Loop,
            SessionFailure::Tls(_) => Kind::Policy,
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
            class: failure.class(),
            addr: Some(addr),
            status: failure.enhanced_code(),
            text: failure.to_string(),
            reply: failure.reply().map(Reply::one_line),
        }
    }

    /// Whether its host may take a message that others cannot take, once it can be asked.
    pub(crate) fn may_pass(&self) -> bool {
        let is_host = ![status::NOT_IN_POLICY, status::NO_ROUTE].contains(&self.status);
        match self.kind {
            Kind::Loop => false,
            Kind::Policy | Kind::Reach => is_host,
        }
    }

    /// This trouble as a reason, in words that cover all of them.
    fn reason(&self, text: String, policy: Option<String>) -> Reason {
        let class = if policy.is_some() { ReasonClass::Policy } else { self.class };
        Reason {
            enhanced: self.status,
            class,
            text,
            cause: Some(self.text.clone()),
            mx: Some(self.host.clone()),
            addr: self.addr,
            reply: self.reply.clone(),
            policy,
        }
    }
}

/// What becomes of recipients whose enforced policy let no session come about.
pub(crate) fn unmet(required: &RequiredTls, troubles: &[Trouble]) -> Outcome {
    let domain = required.domain();
    // A certificate or a missing STARTTLS tells more than a host that was not even asked.
    let telling = |trouble: &&Trouble| trouble.kind == Kind::Policy;
    let asked = |trouble: &&Trouble| telling(trouble) && trouble.status != status::NOT_IN_POLICY;
    let Some(worst) = troubles.iter().find(asked).or_else(|| troubles.iter().find(telling)) else {
        return no_hosts(required, unreached(domain, troubles));
    };
    let policy = format!("sts id={} mode={}", required.id(), required.policy().mode());
    let text = format!(
        "the MTA-STS policy of {domain} (id {}, mode {}) is not met by any of its hosts: {}",
        required.id(),
        required.policy().mode(),
        list(troubles),
    );
    Outcome::Deferred(worst.reason(text, Some(policy)))
}

/// The outcome for recipients under an enforced policy where the DNS alone says that there is no
/// host to try.
///
/// That is never final. Answers of the DNS can be forged, and the policy, which came over HTTPS, is
/// there for exactly this (RFC 8461 §10.1); a domain that is gone is still found to be so when the
/// lifetime of the message ends.
pub(crate) fn no_hosts(required: &RequiredTls, outcome: Outcome) -> Outcome {
    let reason = match outcome {
        Outcome::Bounced(reason) => reason,
        waiting @ (Outcome::Deferred(_) | Outcome::Delivered { .. }) => return waiting,
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
    Outcome::Deferred(Reason { enhanced, text, cause: Some(reason.text.clone()), ..reason })
}

/// What becomes of recipients whose message the hosts that were asked cannot take, while others that
/// may take it could not be asked, for these reasons.
pub(crate) fn unfit_so_far(reason: Reason, troubles: &[&Trouble]) -> Outcome {
    let others = if troubles.is_empty() {
        "other hosts are asked in the next attempt".to_owned()
    } else {
        format!("other hosts could not be asked: {}", list(troubles))
    };
    let enhanced = reason.enhanced.with_class(Class::PersistentTransient);
    let text = format!("{}; {others}", reason.text);
    Outcome::Deferred(Reason { enhanced, text, ..reason })
}

/// What becomes of recipients with whose hosts no session came about.
pub(crate) fn unreached(domain: &dyn std::fmt::Display, troubles: &[Trouble]) -> Outcome {
    match troubles.last() {
        Some(last) if last.kind == Kind::Loop && troubles.len() == 1 => looped(domain),
        Some(last) => {
            let text = format!("no session with a host of {domain}: {}", list(troubles));
            Outcome::Deferred(last.reason(text, None))
        }
        None => {
            let text = format!("no host of {domain} could be tried");
            Outcome::Deferred(Reason::new(ReasonClass::Dns, status::NO_ROUTE, text))
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
pub(crate) fn expire(reason: Reason, waited: Duration, rechecked: Option<&Rechecked>) -> Outcome {
    let waited = in_words(waited);
    match (&reason.policy, rechecked) {
        (Some(_), None) => Outcome::Deferred(reason),
        (Some(_), Some(_)) => Outcome::Bounced(Reason {
            enhanced: permanent(reason.enhanced),
            text: format!("not delivered in {waited}: {}", reason.text),
            ..reason
        }),
        (None, _) => Outcome::Bounced(Reason {
            enhanced: permanent(status::EXPIRED),
            text: format!("not delivered in {waited}; the last attempt: {}", reason.text),
            ..reason
        }),
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
pub(crate) fn no_domain(destination: &MailboxDomain) -> Outcome {
    let text = format!("{destination} is not the name of a domain");
    Outcome::Bounced(Reason::new(ReasonClass::Dns, permanent(status::NO_SUCH_SYSTEM), text))
}

#[cfg(test)]
mod tests;
