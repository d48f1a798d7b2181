//! A mail transaction, from MAIL to the message (RFC 5321 §3.3).

use access::Submitter;
use queue::{Begins, DsnParameters, Envelope, Recipient};
use smtp::{
    BodyType, ClientName, CommandError, ForwardPath, LocalPart, MailParameters, Mailbox,
    ReversePath, Smtputf8,
};
use submission::{HoldAll, Staged, Staging};

use super::client::Client;
use super::step::{Incoming, Step};
use crate::protocol::Protocol;
use crate::refusal::Refusal;
use crate::rules::Rules;
use crate::settings::ListenerSettings;

/// A mail transaction (RFC 5321 §3.3): begun by MAIL, so by a client that may submit.
#[derive(Debug)]
pub(super) struct Transaction {
    submitter: Submitter,
    reverse_path: ReversePath,
    parameters: MailParameters,
    recipients: Vec<Recipient>,
    surplus: Surplus,
}

/// Whether recipients were refused for being too many.
#[derive(Clone, Copy, Debug)]
enum Surplus {
    None,
    Refused,
}

impl Transaction {
    /// A transaction that MAIL begins; nobody is named yet who gets the message.
    pub(super) const fn new(
        submitter: Submitter,
        reverse_path: ReversePath,
        parameters: MailParameters,
    ) -> Self {
        let surplus = Surplus::None;
        Self { submitter, reverse_path, parameters, recipients: Vec::new(), surplus }
    }

    /// Who the message is from.
    pub(super) const fn reverse_path(&self) -> &ReversePath {
        &self.reverse_path
    }

    /// Whether SMTPUTF8 was asked for.
    pub(super) const fn smtputf8(&self) -> Smtputf8 {
        self.parameters.smtputf8
    }

    /// How many recipients have been taken.
    pub(super) const fn recipients(&self) -> usize {
        self.recipients.len()
    }

    /// Takes one recipient more.
    pub(super) fn add(&mut self, recipient: Recipient) {
        self.recipients.push(recipient);
    }

    /// Whether the message is announced as one without lines.
    pub(super) fn is_binary(&self) -> bool {
        self.parameters.body == BodyType::BinaryMime
    }

    /// The first recipient too many is a refusal to be logged; a client may well name thousands
    /// more, and come back with them (RFC 5321 §4.5.3.1.10).
    pub(super) fn too_many(&mut self, settings: &ListenerSettings) -> Step {
        match self.surplus {
            Surplus::Refused => Step::Reply(Refusal::TooManyRecipients.reply(&settings.hostname)),
            Surplus::None => {
                self.surplus = Surplus::Refused;
                Step::Refuse(Refusal::TooManyRecipients)
            }
        }
    }

    /// Puts staging's recipients in the place of those there are, which it returns.
    fn redirect(&mut self, staging: &Staging) -> Vec<Mailbox> {
        let others = staging.redirect_to.iter().cloned().map(Recipient::new).collect();
        let original = std::mem::replace(&mut self.recipients, others);
        original.into_iter().map(|recipient| recipient.mailbox).collect()
    }

    /// All that is known before the message comes, as rewriting and staging have it.
    pub(super) fn into_incoming(
        mut self,
        client_name: ClientName,
        protocol: Protocol,
        settings: &ListenerSettings,
    ) -> Incoming {
        let staging = &settings.staging;
        let staged = staging.of(self.recipients.iter().map(|one| &one.mailbox));
        let original_recipients = match staged {
            Staged::Held | Staged::Sent => Vec::new(),
            Staged::Redirected => self.redirect(staging),
        };
        let begins = match (staged, staging.hold) {
            (Staged::Held, _) | (Staged::Redirected, HoldAll::Yes) => Begins::HeldByStaging,
            (Staged::Redirected, HoldAll::No) | (Staged::Sent, _) => Begins::Due,
        };
        let MailParameters { body, smtputf8, requiretls, ret, envid, .. } = self.parameters;
        let rewriting = settings.rewriting.for_sender(&self.reverse_path);
        let (from, rewritten_from) = match rewriting.reverse_path(&self.reverse_path) {
            Some(from) => (from, Some(self.reverse_path)),
            None => (self.reverse_path, None),
        };
        let envelope = Envelope::new(from, self.recipients, body, smtputf8);
        Incoming {
            submitter: self.submitter,
            envelope: envelope
                .with_dsn(DsnParameters { ret, envid })
                .with_tls(requiretls.into())
                .beginning(begins),
            rewritten_from,
            rewriting,
            original_recipients,
            staged,
            client_name,
            protocol,
        }
    }
}

/// The mailbox that RCPT names, if mail may be sent there; the bare `<postmaster>`, which stands for
/// one of ours, may always be written to (RFC 5321 §4.5.1).
pub(super) fn mailbox(
    path: ForwardPath,
    client: &Client,
    rules: &Rules,
) -> Result<Mailbox, Refusal> {
    let mailbox = match path {
        ForwardPath::Mailbox(mailbox) => client.addressee(mailbox, &rules.settings),
        ForwardPath::Postmaster => return postmaster(&rules.settings),
    };
    if !rules.settings.staging.takes(&mailbox) {
        return Err(Refusal::RefusedByStaging { mailbox });
    }
    if !rules.recipients.hold(&mailbox) {
        return Err(Refusal::RecipientNotAllowed { mailbox });
    }
    Ok(mailbox)
}

/// Whom the bare `<postmaster>` stands for (RFC 5321 §4.5.1).
fn postmaster(settings: &ListenerSettings) -> Result<Mailbox, Refusal> {
    let domain = settings.postmaster_domain.clone();
    LocalPart::new("postmaster")
        .and_then(|local| Mailbox::new(local, domain.into()))
        .map_err(|error| CommandError::ForwardPath(error.into()).into())
}
