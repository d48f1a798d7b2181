//! The envelope of a message, and what else is kept about it.

use std::time::SystemTime;

use smtp::{
    BodyType, EnvelopeId, Mailbox, Notify, OriginalRecipient, RcptParameters, Ret, ReversePath,
    Smtputf8,
};

use crate::tls_required::TlsRequired;

/// Who a message is from and for, and what its transport needs (RFC 5321 §2.3.1).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Envelope {
    reverse_path: ReversePath,
    recipients: Vec<Recipient>,
    body: BodyType,
    smtputf8: Smtputf8,
    dsn: DsnParameters,
    purpose: Purpose,
    tls: TlsRequired,
    begins: Begins,
}

/// In which state a message begins.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Begins {
    /// It waits for nothing but its turn.
    #[default]
    Due,
    /// Staging holds it until an operator releases it.
    HeldByStaging,
}

impl Envelope {
    /// The envelope of ordinary mail.
    #[must_use]
    pub const fn new(
        reverse_path: ReversePath,
        recipients: Vec<Recipient>,
        body: BodyType,
        smtputf8: Smtputf8,
    ) -> Self {
        let dsn = DsnParameters { ret: None, envid: None };
        let (purpose, tls, begins) = (Purpose::Mail, TlsRequired::Unspecified, Begins::Due);
        Self { reverse_path, recipients, body, smtputf8, dsn, purpose, tls, begins }
    }

    /// The same envelope with the DSN parameters of MAIL (RFC 3461).
    #[must_use]
    pub fn with_dsn(mut self, dsn: DsnParameters) -> Self {
        self.dsn = dsn;
        self
    }

    /// The same envelope for another purpose, which may weaken what TLS must prove: only for a message
    /// of the relay's own, and for one that is read back.
    #[must_use]
    pub const fn with_purpose(mut self, purpose: Purpose) -> Self {
        self.purpose = purpose;
        self
    }

    /// The same envelope, of a message that may say something about TLS on its way (RFC 8689).
    #[must_use]
    pub const fn with_tls(mut self, tls: TlsRequired) -> Self {
        self.tls = tls;
        self
    }

    /// The same envelope of a message that begins in another state.
    #[must_use]
    pub const fn beginning(mut self, begins: Begins) -> Self {
        self.begins = begins;
        self
    }

    /// In which state the message begins.
    #[must_use]
    pub const fn begins(&self) -> Begins {
        self.begins
    }

    /// Where a bounce goes.
    #[must_use]
    pub const fn reverse_path(&self) -> &ReversePath {
        &self.reverse_path
    }

    /// Everyone the message is for, in the order they were named.
    #[must_use]
    pub fn recipients(&self) -> &[Recipient] {
        &self.recipients
    }

    /// What the body may hold (RFC 6152).
    #[must_use]
    pub const fn body(&self) -> BodyType {
        self.body
    }

    /// Whether SMTPUTF8 was asked for (RFC 6531).
    #[must_use]
    pub const fn smtputf8(&self) -> Smtputf8 {
        self.smtputf8
    }

    /// The DSN parameters of MAIL, for all recipients.
    #[must_use]
    pub const fn dsn(&self) -> &DsnParameters {
        &self.dsn
    }

    /// What the message says about TLS on its way (RFC 8689).
    #[must_use]
    pub const fn tls(&self) -> TlsRequired {
        self.tls
    }

    /// What the message is.
    #[must_use]
    pub const fn purpose(&self) -> Purpose {
        self.purpose
    }
}

/// The DSN parameters of MAIL: what a sender wants of reports on a message (RFC 3461 §4.3, §4.4).
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct DsnParameters {
    /// How much of the message a failure report returns.
    pub ret: Option<Ret>,
    /// The sender's own name for the transaction.
    pub envid: Option<EnvelopeId>,
}

/// One recipient.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Recipient {
    /// The address.
    pub mailbox: Mailbox,
    /// When the sender wants a report (RFC 3461 §4.1).
    pub notify: Option<Notify>,
    /// Whom the sender first wrote to (RFC 3461 §4.2).
    pub orcpt: Option<OriginalRecipient>,
}

impl Recipient {
    /// A recipient without parameters.
    #[must_use]
    pub const fn new(mailbox: Mailbox) -> Self {
        Self { mailbox, notify: None, orcpt: None }
    }

    /// A recipient with the parameters that RCPT had.
    #[must_use]
    pub fn with(mailbox: Mailbox, parameters: RcptParameters) -> Self {
        let RcptParameters { notify, orcpt } = parameters;
        Self { mailbox, notify, orcpt }
    }
}

/// Whether a sender has been told that mail is late: once for each recipient, for it stays late.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum DelayNotice {
    /// Not yet.
    #[default]
    Due,
    /// It has; the notification went into the queue with the settlement that says so.
    Sent,
}

/// What a message is, which decides how its transport is judged.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Purpose {
    /// Mail, and bounces.
    Mail,
    /// A report on TLS failures, which must be sent despite such failures (RFC 8460 §5.3).
    TlsReport,
}

/// What is the same for all recipients of a queued message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Message {
    /// Where a bounce goes.
    pub reverse_path: ReversePath,
    /// What the body may hold.
    pub body: BodyType,
    /// Whether SMTPUTF8 was asked for.
    pub smtputf8: Smtputf8,
    /// When the message was taken.
    pub received_at: SystemTime,
    /// The size of header and body, in bytes.
    pub size: u64,
    /// The DSN parameters of MAIL.
    pub dsn: DsnParameters,
    /// What the message is.
    pub purpose: Purpose,
    /// What it says about TLS on its way (RFC 8689).
    pub tls: TlsRequired,
}
