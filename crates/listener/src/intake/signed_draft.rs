//! A message on its way into the queue, signed by the keys of its author's domain (RFC 6376 §5).
//!
//! What is signed is the message as it leaves: it comes here after all that is done to its header,
//! and our Received field stands before it already. Where no key is configured nothing is done.

use std::sync::Arc;
use std::time::SystemTime;

use dkim::{Choice, FieldName, MessageHasher, SignError, SigningTable, WithoutKey};
use queue::{Committed, Draft};
use smtp::{BodyType, Domain, MailboxDomain};
use tokio::task::spawn_blocking;

use crate::refusal::Refusal;
use crate::tls_required::tag;

/// The most authors of a message whose keys are looked for.
const AUTHORS_MOST: usize = 100;

/// A draft, and what its signatures take.
#[derive(Debug)]
pub(crate) struct SignedDraft {
    draft: Draft,
    signing: Signing,
    at: SystemTime,
}

/// How far the signing of a message is.
#[derive(Debug)]
enum Signing {
    /// The body passes; there is room for the signatures before the message.
    Body(Box<MessageHasher>, Choice),
    /// The header section passes and is held back: who signs is not known.
    Header(Box<MessageHasher>, Arc<SigningTable>, Vec<u8>),
    /// Nobody signs.
    None,
}

impl SignedDraft {
    /// A message received at `at` that goes into `draft` from here on, to be signed by keys of
    /// `table`.
    pub(crate) fn new(draft: Draft, table: &Arc<SigningTable>, at: SystemTime) -> Self {
        let signing = if table.is_empty() {
            Signing::None
        } else {
            let hasher = MessageHasher::keeping(table.field_names().cloned());
            Signing::Header(Box::new(hasher), Arc::clone(table), Vec::new())
        };
        Self { draft, signing, at }
    }

    /// What the body may hold.
    pub(crate) const fn body_type(&self) -> BodyType {
        self.draft.envelope().body()
    }

    /// Tags the message with what MAIL and these TLS-Required fields say (RFC 8689 §4.1).
    pub(crate) async fn tag(&mut self, fields: &[Vec<u8>]) -> Result<(), Refusal> {
        let mail = self.draft.envelope().tls();
        match tag(mail, fields) {
            Ok(tls) if tls == mail => {}
            Ok(tls) => self.draft.tag(tls).await?,
            Err(why) => {
                tracing::info!(queue_id = %self.draft.id(), why = why.label(), "TLS-Required ignored");
            }
        }
        Ok(())
    }

    /// Appends to the message.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        match &mut self.signing {
            Signing::None => {}
            Signing::Body(hasher, _) => hasher.feed(bytes),
            Signing::Header(hasher, _, held) => {
                hasher.feed(bytes);
                if hasher.header_has_ended() {
                    self.begin_body().await?;
                } else {
                    held.extend_from_slice(bytes);
                    return Ok(());
                }
            }
        }
        Ok(self.draft.write(bytes).await?)
    }

    /// Signs the message and makes it durable.
    pub(crate) async fn commit(mut self) -> Result<Committed, Refusal> {
        if let Signing::Header(hasher, _, held) = &mut self.signing {
            let lacks_line = held.ends_with(b"\n");
            hasher.end_header();
            self.begin_body().await?;
            // Without the empty line Exim takes the end of data for a body, and the signature for a bad one.
            if let (true, Signing::Body(..)) = (lacks_line, &self.signing) {
                self.draft.write(b"\r\n").await?;
            }
        }
        if let Signing::Body(hasher, choice) = std::mem::replace(&mut self.signing, Signing::None) {
            let at = self.at;
            let sign = move || choice.sign(&hasher.finish(), at);
            let signatures = spawn_blocking(sign).await.map_err(|_panicked| Refusal::NotSigned)?;
            self.draft.fill(signatures.map_err(|error| unsigned(&error))?.as_bytes()).await?;
        }
        Ok(self.draft.commit().await?)
    }

    /// The header section is whole: chooses who signs, leaves room for the signatures, and writes what
    /// was held back.
    async fn begin_body(&mut self) -> Result<(), Refusal> {
        let Signing::Header(hasher, table, held) =
            std::mem::replace(&mut self.signing, Signing::None)
        else {
            return Ok(());
        };
        let choice = table.for_mail(&authors(&hasher), self.at);
        match &choice {
            Choice::NoKey | Choice::Unusable(WithoutKey::Send) => {}
            Choice::Unusable(WithoutKey::Refuse) => return Err(Refusal::NoKeyPublished),
            Choice::Signers(signers) => {
                let octets = signers.iter().map(|signer| signer.signature_octets(&hasher, self.at));
                self.draft.reserve(octets.fold(0, usize::saturating_add)).await?;
                self.signing = Signing::Body(hasher, choice);
            }
        }
        Ok(self.draft.write(&held).await?)
    }
}

/// The domains of the authors of a message whose header section is whole.
fn authors(message: &MessageHasher) -> Vec<Domain> {
    let from = FieldName::from_field();
    let mailboxes = message.values(&from).filter_map(smtp::mailboxes).flatten();
    let domain = |mailbox: smtp::Mailbox| match mailbox.domain() {
        MailboxDomain::Domain(domain) => Some(domain.clone()),
        MailboxDomain::Literal(_) => None,
    };
    mailboxes.filter_map(domain).take(AUTHORS_MOST).collect()
}

/// The refusal of a message that could not be signed.
fn unsigned(error: &SignError) -> Refusal {
    tracing::error!(%error, "message not signed");
    Refusal::NotSigned
}
