//! Rewriting: other addresses in the place of those that a message says it is from.
//!
//! What is rewritten is an address (RFC 5322 §3.4.1), wherever it stands in an originator field
//! (§3.6.2); names, comments, groups and folds around it stay. A field that cannot be read in one way
//! alone stays as it is.

use std::sync::Arc;

use smtp::{AddressError, AddressPattern, Domain, Mailbox, ReversePath};

use crate::folding::folded;
use crate::section::{Field, HeaderSection};

/// Which addresses become which others.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Rewriting {
    rules: Vec<Arc<RewriteRule>>,
}

/// One rule: of the rules for an address in a field, the first that covers it applies, and no other.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RewriteRule {
    /// Whose mail it is for, by the sender of the envelope; none: everybody's. Patterns never cover
    /// the null sender.
    pub sender: Vec<AddressPattern>,
    /// The addresses that it rewrites.
    pub from: Vec<AddressPattern>,
    /// What they become.
    pub to: Replacement,
    /// Where it rewrites them.
    pub fields: Vec<OriginatorField>,
}

/// Where a message says who it is from.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum OriginatorField {
    /// The reverse-path, to which bounces go (RFC 5321 §4.1.1.2).
    Envelope,
    /// Who wrote it (RFC 5322 §3.6.2).
    From,
    /// Who sent it, where the author did not.
    Sender,
    /// Who gets replies.
    ReplyTo,
}

/// What takes the place of an address.
///
/// ```
/// use smtp::Mailbox;
/// use submission::Replacement;
///
/// let root = Mailbox::parse("root@db1.internal").unwrap();
/// for (to, becomes) in
///     [("ops@example.org", "ops@example.org"), ("@example.org", "root@example.org")]
/// {
///     let becomes = Mailbox::parse(becomes).ok();
///     assert_eq!(Replacement::parse(to).unwrap().of(&root), becomes);
/// }
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Replacement {
    /// The same local part at this domain.
    Domain(Domain),
    /// This address.
    Mailbox(Mailbox),
}

/// Why a text is no [`Replacement`].
#[derive(Debug, thiserror::Error)]
pub enum ReplacementError {
    /// It is neither an address nor a domain.
    #[error("neither an address nor a domain such as @example.org ({0})")]
    Address(#[from] AddressError),
    /// It is the pattern of all addresses.
    #[error("a pattern; name one address, or a domain such as @example.org")]
    Any,
    /// It could not stand in a message that did not ask for SMTPUTF8 (RFC 6531 §3.6).
    #[error("an address beyond ASCII, which needs SMTPUTF8 in all mail; name another")]
    NotAscii,
}

impl Rewriting {
    /// These rules, in this order.
    #[must_use]
    pub fn new(rules: Vec<RewriteRule>) -> Self {
        Self { rules: rules.into_iter().map(Arc::new).collect() }
    }

    /// The rules, in their order.
    pub fn rules(&self) -> impl Iterator<Item = &RewriteRule> {
        self.rules.iter().map(Arc::as_ref)
    }

    /// Whether there is no rule.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The rules for mail from `sender`.
    #[must_use]
    pub fn for_sender(&self, sender: &ReversePath) -> Self {
        let rules = self.rules.iter().filter(|rule| rule.is_for(sender)).cloned();
        Self { rules: rules.collect() }
    }

    /// What becomes of a message's sender; none where it stays, as the null one does
    /// (RFC 5321 §4.5.5).
    #[must_use]
    pub fn reverse_path(&self, sender: &ReversePath) -> Option<ReversePath> {
        let rewritten = self.address(OriginatorField::Envelope, sender.mailbox()?);
        rewritten.map(ReversePath::Mailbox)
    }

    /// What becomes of a header section, and what was received behind it stays.
    ///
    /// What From said is kept in Reply-To, as far as that is not to be rewritten as well, where there
    /// is no Reply-To yet.
    #[must_use]
    pub fn header(&self, received: &[u8]) -> Vec<u8> {
        let section = HeaderSection::read(received);
        let mut reply_to = self.kept_author(&section);
        let mut bytes = Vec::with_capacity(received.len());
        for field in section.fields() {
            let originator = OriginatorField::of(field);
            if originator == Some(OriginatorField::From) {
                bytes.append(&mut reply_to);
            }
            match originator.and_then(|originator| self.value(originator, field.value())) {
                Some(value) => {
                    let rewritten = [field.before_value(), &value].concat();
                    bytes.extend_from_slice(&folded(&rewritten, field.bytes()));
                }
                None => bytes.extend_from_slice(field.bytes()),
            }
        }
        bytes.extend_from_slice(section.rest());
        bytes
    }

    /// The Reply-To field that keeps what the first From field said; empty where there is none.
    fn kept_author(&self, section: &HeaderSection<'_>) -> Vec<u8> {
        let from = section.first("From").filter(|_| !section.has("Reply-To"));
        let rewritten = from.and_then(|from| self.value(OriginatorField::From, from.value()));
        let (Some(from), Some(rewritten)) = (from, rewritten) else { return Vec::new() };
        let said = from.value();
        let kept = self.value(OriginatorField::ReplyTo, said).unwrap_or_else(|| said.to_vec());
        if kept == rewritten {
            return Vec::new();
        }
        let line_end: &[u8] = if kept.ends_with(b"\n") { b"" } else { b"\r\n" };
        folded(&[b"Reply-To:", kept.as_slice(), line_end].concat(), from.bytes())
    }

    /// What becomes of a field that says this; none where it stays.
    fn value(&self, field: OriginatorField, said: &[u8]) -> Option<Vec<u8>> {
        let (mut value, mut written) = (Vec::new(), 0);
        for address in smtp::addr_specs(said)? {
            let Some(mailbox) = self.address(field, &address.mailbox) else { continue };
            value.extend_from_slice(said.get(written..address.octets.start)?);
            value.extend_from_slice(mailbox.to_string().as_bytes());
            written = address.octets.end;
        }
        value.extend_from_slice(said.get(written..)?);
        (written > 0).then_some(value)
    }

    /// What becomes of an address; none where it stays.
    fn address(&self, field: OriginatorField, mailbox: &Mailbox) -> Option<Mailbox> {
        let rule = self.rules().find(|rule| rule.covers(field, mailbox))?;
        rule.to.of(mailbox).filter(|new| new != mailbox)
    }
}

impl RewriteRule {
    /// Whether it is for mail from `sender`.
    fn is_for(&self, sender: &ReversePath) -> bool {
        let covers = |mailbox| self.sender.iter().any(|pattern| pattern.covers(mailbox));
        self.sender.is_empty() || sender.mailbox().is_some_and(covers)
    }

    /// Whether it rewrites this address in this field. An address in octets that are not UTF-8 was not
    /// read whole, so it is none that anybody has named.
    fn covers(&self, field: OriginatorField, mailbox: &Mailbox) -> bool {
        self.fields.contains(&field)
            && !mailbox.local().as_str().contains(char::REPLACEMENT_CHARACTER)
            && self.from.iter().any(|pattern| pattern.covers(mailbox))
    }
}

impl OriginatorField {
    /// Which one a field of a header is.
    fn of(field: &Field<'_>) -> Option<Self> {
        [(Self::From, "From"), (Self::Sender, "Sender"), (Self::ReplyTo, "Reply-To")]
            .into_iter()
            .find_map(|(originator, name)| field.is(name).then_some(originator))
    }
}

impl Replacement {
    /// Reads an address, or `@` and a domain.
    ///
    /// # Errors
    ///
    /// [`ReplacementError`]: it is neither, or cannot stand in every message.
    pub fn parse(text: &str) -> Result<Self, ReplacementError> {
        match AddressPattern::parse(text)? {
            AddressPattern::Any => Err(ReplacementError::Any),
            AddressPattern::Domain(domain) => Ok(Self::Domain(domain)),
            AddressPattern::Mailbox(mailbox) if mailbox.is_ascii() => Ok(Self::Mailbox(mailbox)),
            AddressPattern::Mailbox(_) => Err(ReplacementError::NotAscii),
        }
    }

    /// What takes the place of `mailbox`; none where that would be longer than an address may be.
    #[must_use]
    pub fn of(&self, mailbox: &Mailbox) -> Option<Mailbox> {
        match self {
            Self::Domain(domain) => {
                Mailbox::new(mailbox.local().clone(), domain.clone().into()).ok()
            }
            Self::Mailbox(new) => Some(new.clone()),
        }
    }
}

#[cfg(test)]
mod tests;
