//! A key with its names, which signs messages (RFC 6376 §3.5, §5).

use std::time::SystemTime;

use aws_lc_rs::digest::SHA256_OUTPUT_LEN;
use aws_lc_rs::error::Unspecified;
use smtp::{Domain, DomainError, to_base64};

use crate::canonical::{field_name, relaxed_value};
use crate::field::FieldName;
use crate::fields::Fields;
use crate::hasher::{MessageHash, MessageHasher};
use crate::key::SigningKey;
use crate::selector::Selector;
use crate::signed_fields::SignedFields;

/// The most octets that a line of a signature has, where it can be folded (RFC 5322 §2.1.1).
const LINE_MAX: usize = 78;

/// A key with the domain, the selector and the fields that it signs for.
#[derive(Debug)]
pub struct Signer {
    domain: Domain,
    selector: Selector,
    record_name: Domain,
    key: SigningKey,
    fields: SignedFields,
}

impl Signer {
    /// A signer for `domain`, whose key record stands at `selector`.
    ///
    /// # Errors
    ///
    /// [`SignerError`]: there can be no such key record.
    pub fn new(
        domain: Domain,
        selector: Selector,
        key: SigningKey,
        fields: SignedFields,
    ) -> Result<Self, SignerError> {
        let record_name = selector.record_name(&domain).map_err(SignerError)?;
        Ok(Self { domain, selector, record_name, key, fields })
    }

    /// The domain that takes responsibility, the tag `d=`.
    #[must_use]
    pub const fn domain(&self) -> &Domain {
        &self.domain
    }

    /// Which of the domain's keys it is, the tag `s=`.
    #[must_use]
    pub const fn selector(&self) -> &Selector {
        &self.selector
    }

    /// The name of the key record (RFC 6376 §3.6.2.1).
    #[must_use]
    pub const fn record_name(&self) -> &Domain {
        &self.record_name
    }

    /// The private key.
    #[must_use]
    pub const fn key(&self) -> &SigningKey {
        &self.key
    }

    /// The fields that it signs of mail.
    #[must_use]
    pub const fn fields(&self) -> &SignedFields {
        &self.fields
    }

    /// Whether mail from this domain is signed: it is the signer's, or below it, which is relaxed
    /// alignment (RFC 7489 §3.1.1).
    #[must_use]
    pub fn signs_for(&self, from: &Domain) -> bool {
        let below = from.as_str().strip_suffix(self.domain.as_str());
        below.is_some_and(|labels| labels.is_empty() || labels.ends_with('.'))
    }

    /// The `DKIM-Signature` field of a message, folded, with its last line end: it goes before the
    /// message.
    ///
    /// # Errors
    ///
    /// [`SignError`]: the message goes unsigned, or does not go.
    pub fn sign(&self, message: &MessageHash, now: SystemTime) -> Result<String, SignError> {
        self.sign_fields(&self.fields, message, now)
    }

    /// The same with other fields than those that it signs of mail.
    ///
    /// # Errors
    ///
    /// As for [`Self::sign`].
    pub fn sign_fields(
        &self,
        fields: &SignedFields,
        message: &MessageHash,
        now: SystemTime,
    ) -> Result<String, SignError> {
        if !message.fields().has_from() {
            return Err(SignError::NoFrom);
        }
        let hash = to_base64(message.body());
        let mut field = self.unsigned(fields, message.fields(), &hash, now);
        let mut canonical = fields.canonical(message.fields());
        // RFC 6376 §3.7: the field itself comes last, without a signature and a line end.
        let (name, value) = field_name(field.as_bytes()).unwrap_or_default();
        canonical.extend([name, relaxed_value(value)].join(&b':'));
        let signature = self.key.sign(&canonical).map_err(SignError::Failed)?;
        end(&mut field, &signature);
        Ok(field)
    }

    /// How many octets [`Self::sign`] will give for a message whose header section has ended, at the
    /// same time `now`.
    #[must_use]
    pub fn signature_octets(&self, message: &MessageHasher, now: SystemTime) -> usize {
        let hash = to_base64(&[0; SHA256_OUTPUT_LEN]);
        let mut field = self.unsigned(&self.fields, message.fields(), &hash, now);
        end(&mut field, &vec![0; self.key.signature_octets()]);
        field.len()
    }

    /// The field up to the signature.
    fn unsigned(
        &self,
        fields: &SignedFields,
        message: &Fields,
        hash: &str,
        now: SystemTime,
    ) -> String {
        let seconds = clock::millis(now) / 1000;
        let Self { domain, selector, .. } = self;
        let algorithm = self.key.algorithm();
        let mut field = format!(
            "DKIM-Signature: v=1; a={algorithm}; c=relaxed/relaxed;\r\n d={domain}; s={selector}; \
             t={seconds};\r\n h="
        );
        fold_names(&mut field, &fields.names_in(message));
        for part in [";\r\n bh=", hash, ";\r\n b="] {
            field.push_str(part);
        }
        field
    }
}

/// Appends the signature and the last line end.
fn end(field: &mut String, signature: &[u8]) {
    fold_base64(field, &to_base64(signature));
    field.push_str("\r\n");
}

/// How long the last line of a text is.
fn last_line(text: &str) -> usize {
    text.rsplit('\n').next().map_or(0, str::len)
}

/// Appends names with colons between them, folded before a name.
fn fold_names(field: &mut String, names: &[&FieldName]) {
    for (place, name) in names.iter().enumerate() {
        if place > 0 {
            field.push(':');
            // One more for what follows the name.
            if last_line(field).saturating_add(name.as_str().len()) >= LINE_MAX {
                field.push_str("\r\n  ");
            }
        }
        field.push_str(name.as_str());
    }
}

/// Appends base64, folded where a line is full.
fn fold_base64(field: &mut String, text: &str) {
    let mut room = LINE_MAX.saturating_sub(last_line(field));
    for c in text.chars() {
        if room == 0 {
            field.push_str("\r\n  ");
            room = LINE_MAX.saturating_sub(2);
        }
        field.push(c);
        room = room.saturating_sub(1);
    }
}

/// There can be no key record for the selector and the domain.
#[derive(Debug, thiserror::Error)]
#[error("selector and domain are too long for a name in the DNS")]
pub struct SignerError(#[source] DomainError);

/// Why a message is not signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The library for cryptography failed.
    #[error("signing failed")]
    Failed(#[source] Unspecified),
    /// The message has no From field, which must be signed (RFC 6376 §5.4), or its header section is
    /// larger than 8 MiB.
    #[error("there is no From field to sign")]
    NoFrom,
}

#[cfg(test)]
mod tests;
