//! From what a host replied to what is to be done about a recipient (RFC 5321 §4.2.1).
//!
//! Only a host's own 5yz in a proper session is permanent at once.

use std::net::SocketAddr;

use mail::{
    Channel, DeliveryResult, Failure, FailureCause, Reason, ReasonClass, Reports, SessionRecord,
};
use smtp::{Class, EnhancedCode, Reply, ReplyCode, Severity};

use crate::recipient_reply::{RecipientReply, Step, Unfit};
use crate::status::Status;
use crate::target::TlsRequirement;

/// What a host made of a message that it has not taken.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum NotTaken {
    /// It may take it later.
    Later(Failure),
    /// It cannot take such a message; the message is returned for this reason unless another host
    /// takes it.
    Unfit(Failure),
}

/// What is to be done about a recipient once a host has replied.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Disposition {
    /// No other host is asked.
    Final(DeliveryResult),
    /// Another host may do better in the same attempt.
    NextHost(NotTaken),
    /// The transaction has as many recipients as the host takes; the same host may take this one in
    /// a further one (RFC 5321 §4.5.3.1.10).
    NextTransaction(Failure),
}

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
    pub(crate) const fn of(session: &SessionRecord, requirement: &TlsRequirement) -> Self {
        match (&session.channel, requirement) {
            (Channel::Clear(_), _) => Self::None,
            (Channel::Tls(_), TlsRequirement::AsPolicy) => Self::Tls,
            (Channel::Tls(_), TlsRequirement::Proven { .. }) => Self::Agreed,
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
