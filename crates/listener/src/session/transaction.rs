//! A mail transaction: MAIL, RCPT, and then DATA or BDAT (RFC 5321 §3.3, RFC 3030).

use access::{Admission, Submitter};
use queue::{DsnWishes, Envelope, Health, Recipient};
use smtp::{
    BodyType, Chunk, CommandError, ForwardPath, LocalPart, MailParameters, Mailbox, RcptParameters,
    ReplyCode, ReversePath,
};

use super::offers::{has_room, in_ascii};
use super::replies::reply;
use super::{Client, Incoming, Origin, Session, Step};
use crate::connections::Standing;
use crate::meters::Metered;
use crate::protocol::Protocol;
use crate::refusal::Refusal;
use crate::service::AuthMode;
use crate::settings::ListenerSettings;

/// A mail transaction (RFC 5321 §3.3): begun by MAIL, so by a client that may submit.
#[derive(Debug)]
pub(super) struct Transaction {
    submitter: Submitter,
    pub(super) reverse_path: ReversePath,
    parameters: MailParameters,
    recipients: Vec<Recipient>,
    surplus: Surplus,
}

/// Whether recipients were refused for being too many.
#[derive(Clone, Copy, Debug)]
enum Surplus {
    None,
    Told,
}

impl Session {
    /// Leave to submit a message from `path`.
    fn admit(&self, path: &ReversePath) -> Result<Submitter, Refusal> {
        let peer = self.peer();
        if let Some(user) = &self.user {
            return user
                .submit(peer, path)
                .ok_or_else(|| Refusal::SenderNotAllowed { user: user.name().to_owned() });
        }
        match self.service.auth {
            AuthMode::Required => {
                return Err(Refusal::AuthenticationRequired { tls_first: self.tls.is_none() });
            }
            AuthMode::Off | AuthMode::Optional => {}
        }
        match self.origin {
            Origin::Proxy(_) => Err(Refusal::NotAdmitted { peer }),
            Origin::Client(_) => match self.rules.networks.judge(peer) {
                Admission::Admitted(submitter) => Ok(submitter),
                Admission::Gateway => Err(Refusal::Gateway { peer }),
                Admission::Unlisted if self.service.auth == AuthMode::Optional => {
                    Err(Refusal::AuthenticationRequired { tls_first: self.tls.is_none() })
                }
                Admission::Unlisted => Err(Refusal::NotAdmitted { peer }),
            },
        }
    }

    /// MAIL opens a transaction for a client that may submit.
    pub(super) fn mail(
        &mut self,
        path: ReversePath,
        parameters: MailParameters,
        health: Health,
    ) -> Result<Step, Refusal> {
        let client = self.client.as_ref().ok_or(Refusal::HelloFirst)?;
        if self.in_chunks() {
            return Err(Refusal::ChunksBegun);
        }
        if self.transaction.is_some() {
            return Err(Refusal::NestedMail);
        }
        let limits = &self.rules.settings.limits;
        if self.messages >= limits.messages_per_connection {
            return Err(Refusal::TooManyMessages);
        }
        let submitter = self.admit(&path)?;
        self.offered_to_mail(client.hello, &parameters)?;
        if parameters.size.is_some_and(|size| size > limits.message_size) {
            return Err(Refusal::MessageTooLarge { limit: limits.message_size });
        }
        has_room(health)?;
        self.rules
            .meters
            .take(self.peer(), Metered::Message)
            .map_err(|_often| Refusal::TooOften(Metered::Message))?;
        self.transaction = Some(Transaction {
            submitter,
            reverse_path: path,
            parameters,
            recipients: Vec::new(),
            surplus: Surplus::None,
        });
        Ok(Step::Reply(reply(ReplyCode::OK, (1, 0), "sender ok")))
    }

    /// RCPT adds a recipient.
    pub(super) fn rcpt(
        &mut self,
        line: &[u8],
        path: ForwardPath,
        parameters: RcptParameters,
    ) -> Result<Step, Refusal> {
        if self.in_chunks() {
            return Err(Refusal::ChunksBegun);
        }
        let hello = self.client.as_ref().ok_or(Refusal::HelloFirst)?.hello;
        let peer = self.peer();
        let offered = self.offered_to_rcpt(hello, &parameters);
        let transaction = self.transaction.as_mut().ok_or(Refusal::MailFirst)?;
        in_ascii(line, transaction.parameters.smtputf8)?;
        offered?;
        if transaction.recipients.len() >= self.rules.settings.limits.recipients {
            return Ok(transaction.too_many(&self.rules.settings));
        }
        let mailbox = match path {
            ForwardPath::Mailbox(mailbox) => mailbox,
            ForwardPath::Postmaster => postmaster(&self.rules.settings)?,
        };
        self.rules
            .meters
            .take(peer, Metered::Recipient)
            .map_err(|_often| Refusal::TooOften(Metered::Recipient))?;
        transaction.recipients.push(Recipient::with(mailbox, parameters));
        Ok(Step::Reply(reply(ReplyCode::OK, (1, 5), "recipient ok")))
    }

    /// DATA hands the transaction over; whatever becomes of the message, it is over then
    /// (RFC 5321 §4.1.1.4).
    pub(super) fn data(&mut self) -> Result<Step, Refusal> {
        if self.in_chunks() {
            return Err(Refusal::ChunksBegun);
        }
        // RFC 3030 §3: what has no lines has no dot at its end either.
        if self.transaction.as_ref().is_some_and(Transaction::is_binary) {
            return Err(Refusal::BinaryByData);
        }
        Ok(Step::Receive(Box::new(self.hand_over()?)))
    }

    /// BDAT hands over so many octets; they are there whatever is thought of them (RFC 3030 §2).
    pub(super) fn bdat(&mut self, size: u64, chunk: Chunk) -> Step {
        let limit = self.rules.settings.limits.message_size;
        if size > limit {
            self.forget();
            return Step::RefuseAndLeave(Refusal::MessageTooLarge { limit });
        }
        if self.in_chunks() {
            return Step::Chunk { size, chunk, incoming: None };
        }
        match self.hand_over() {
            Ok(incoming) => {
                self.chunks = Some(incoming.envelope.reverse_path().clone());
                Step::Chunk { size, chunk, incoming: Some(Box::new(incoming)) }
            }
            // Octets of a client that cannot hand in mail are not worth the wait.
            Err(refusal) if !self.is_welcome() => Step::RefuseAndLeave(refusal),
            Err(refusal) => Step::Discard { size, refusal },
        }
    }

    /// Whether the client may hand in mail, for all that is known of it by now.
    fn is_welcome(&self) -> bool {
        self.user.is_some() || self.standing() == Standing::Admitted
    }

    /// The transaction, which has all it needs but the message.
    fn hand_over(&mut self) -> Result<Incoming, Refusal> {
        let client = self.client.as_ref().ok_or(Refusal::HelloFirst)?;
        let transaction = self.transaction.take_if(|open| !open.recipients.is_empty());
        let Some(transaction) = transaction else {
            let begun = self.transaction.is_some();
            return Err(if begun { Refusal::NoRecipients } else { Refusal::MailFirst });
        };
        let protocol = Protocol {
            hello: client.hello,
            smtputf8: transaction.parameters.smtputf8,
            tls: self.tls.clone(),
            user: self.user.is_some(),
        };
        Ok(transaction.into_incoming(client, protocol))
    }
}

impl Transaction {
    /// Whether the message is announced as one without lines.
    fn is_binary(&self) -> bool {
        self.parameters.body == BodyType::BinaryMime
    }

    /// The first recipient too many is a refusal to be logged; a client may well name thousands
    /// more, and come back with them (RFC 5321 §4.5.3.1.10).
    fn too_many(&mut self, settings: &ListenerSettings) -> Step {
        match self.surplus {
            Surplus::Told => Step::Reply(Refusal::TooManyRecipients.reply(&settings.hostname)),
            Surplus::None => {
                self.surplus = Surplus::Told;
                Step::Refuse(Refusal::TooManyRecipients)
            }
        }
    }

    /// All that is known before the message comes.
    fn into_incoming(self, client: &Client, protocol: Protocol) -> Incoming {
        let MailParameters { body, smtputf8, ret, envid, .. } = self.parameters;
        let envelope = Envelope::new(self.reverse_path, self.recipients, body, smtputf8);
        Incoming {
            submitter: self.submitter,
            envelope: envelope.with_dsn(DsnWishes { ret, envid }),
            client_name: client.name.clone(),
            protocol,
        }
    }
}

/// Whom the bare `<postmaster>` stands for (RFC 5321 §4.5.1).
fn postmaster(settings: &ListenerSettings) -> Result<Mailbox, Refusal> {
    let domain = settings.postmaster_domain.clone();
    LocalPart::new("postmaster")
        .and_then(|local| Mailbox::new(local, domain.into()))
        .map_err(|error| CommandError::ForwardPath(error.into()).into())
}
