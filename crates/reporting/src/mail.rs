//! A report by mail (RFC 8460 §5.3): a message of the relay's own in the queue.
//!
//! It is sent whatever TLS does (§5.3.1), by the routes that other mail takes, and nobody gets a
//! notification of what becomes of it.

use std::fmt::Debug;

use mail::{Purpose, Recipient, TlsRequired};
use queue::{Draft, OwnMessage, Queue};
use smtp::{BodyType, Mailbox, Notify, ReversePath, Smtputf8};
use tls_rpt::{DomainName, MailAddress, Report, message};

use crate::error::ReportError;
use crate::kept::KeptReport;

/// Signs reports (RFC 8460 §3: a report by mail must have a valid DKIM signature).
pub trait Signatures: Debug + Send + Sync {
    /// The signature fields of `domain` that go before `message`, each with its line end; none where
    /// no key of the domain is fit for reports.
    fn sign(&self, domain: &DomainName, message: &[u8]) -> Option<Vec<u8>>;

    /// Whether a key of `domain` is fit for reports.
    fn can_sign(&self, domain: &DomainName) -> bool;
}

/// Writes the message that carries a report, signed; none where it cannot be signed.
pub(crate) fn signed(
    signatures: &dyn Signatures,
    kept: &KeptReport,
    report: &Report,
    to: &MailAddress,
) -> Option<Vec<u8>> {
    let message = message(report, to, kept.date());
    let mut signed = signatures.sign(report.submitter().domain(), &message)?;
    signed.extend(message);
    Some(signed)
}

/// Begins the message of a report in the queue; it has its number, and is not there yet.
pub(crate) async fn draft(
    queue: &Queue,
    from: &MailAddress,
    to: &MailAddress,
    message: &[u8],
) -> Result<Option<Draft>, ReportError> {
    let mailbox = |address: &MailAddress| Mailbox::parse(&address.to_string()).ok();
    let (Some(from), Some(to)) = (mailbox(from), mailbox(to)) else { return Ok(None) };
    let recipient = Recipient { notify: Some(Notify::NEVER), ..Recipient::new(to) };
    let mut draft = queue.begin_own(OwnMessage {
        reverse_path: ReversePath::Mailbox(from),
        recipients: vec![recipient],
        body: BodyType::SevenBit,
        smtputf8: Smtputf8::NotRequested,
        purpose: Purpose::TlsReport,
        tls: TlsRequired::Unspecified,
    })?;
    draft.write(message).await?;
    Ok(Some(draft))
}
