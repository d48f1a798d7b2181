//! A message hashed while it passes (RFC 6376 §3.4, §3.7): its fields are kept in canonical form, its
//! body only as a hash.

use std::fmt::{self, Debug, Formatter};

use aws_lc_rs::digest::{Context, SHA256};

use crate::canonical::RelaxedBody;
use crate::field::FieldName;
use crate::fields::Fields;
use crate::header::{FieldSplitter, Reach};

/// Hashes a message as it passes, once for all keys that sign it.
///
/// A message of any size takes the memory of its header.
pub struct MessageHasher {
    /// The header section, until it has ended.
    header: Option<FieldSplitter>,
    fields: Fields,
    body: RelaxedBody,
    sum: Context,
    /// The canonical form of the piece at hand.
    canonical: Vec<u8>,
}

impl MessageHasher {
    /// Before the first byte of a message, of which fields of any name may be signed.
    #[must_use]
    pub fn new() -> Self {
        Self::with(Fields::default())
    }

    /// The same for a message of which From and fields of these names may be signed: it takes no more
    /// memory than these.
    #[must_use]
    pub fn keeping(names: impl IntoIterator<Item = FieldName>) -> Self {
        Self::with(Fields::of(names.into_iter().chain([FieldName::from_field()])))
    }

    fn with(fields: Fields) -> Self {
        Self {
            header: Some(FieldSplitter::default()),
            fields,
            body: RelaxedBody::default(),
            sum: Context::new(&SHA256),
            canonical: Vec::new(),
        }
    }

    /// Takes the next bytes of the message, wherever it is cut.
    pub fn feed(&mut self, bytes: &[u8]) {
        let Some(header) = &mut self.header else { return self.feed_body(bytes) };
        if let Reach::Body(line, rest) = header.feed(bytes, &mut |field| self.fields.keep(field)) {
            self.header = None;
            self.feed_body(&line);
            self.feed_body(rest);
        }
    }

    /// The message has ended if its header section has not: nothing more of it will come.
    pub fn end_header(&mut self) {
        if let Some(header) = self.header.take() {
            let line = header.finish(&mut |field| self.fields.keep(field));
            self.feed_body(&line);
        }
    }

    /// Whether the header section has ended, so that [`Self::values`] are all there are.
    #[must_use]
    pub const fn header_has_ended(&self) -> bool {
        self.header.is_none()
    }

    /// The values of the fields of this name so far, unfolded, from the top: the last ten.
    pub fn values(&self, name: &FieldName) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.fields.values(name)
    }

    /// The message has ended.
    #[must_use]
    pub fn finish(mut self) -> MessageHash {
        self.end_header();
        self.canonical.clear();
        self.body.finish(&mut self.canonical);
        self.sum.update(&self.canonical);
        MessageHash { fields: self.fields, body: self.sum.finish().as_ref().to_vec() }
    }

    /// The fields so far.
    pub(crate) const fn fields(&self) -> &Fields {
        &self.fields
    }

    fn feed_body(&mut self, bytes: &[u8]) {
        self.canonical.clear();
        self.body.feed(bytes, &mut self.canonical);
        self.sum.update(&self.canonical);
    }
}

impl Debug for MessageHasher {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (header, fields) = (&self.header, &self.fields);
        f.debug_struct("MessageHasher").field("header", header).field("fields", fields).finish()
    }
}

impl Default for MessageHasher {
    fn default() -> Self {
        Self::new()
    }
}

/// What is signed of a message: its fields in canonical form and the hash of its body.
#[derive(Debug)]
pub struct MessageHash {
    fields: Fields,
    body: Vec<u8>,
}

impl MessageHash {
    /// A whole message in memory.
    #[must_use]
    pub fn of(message: &[u8]) -> Self {
        let mut hasher = MessageHasher::new();
        hasher.feed(message);
        hasher.finish()
    }

    /// The values of the fields of this name, unfolded, from the top: the last ten; none of a header
    /// section that is larger than 8 MiB.
    pub fn values(&self, name: &FieldName) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.fields.values(name)
    }

    /// The fields.
    pub(crate) const fn fields(&self) -> &Fields {
        &self.fields
    }

    /// The hash of the body (SHA-256).
    pub(crate) fn body(&self) -> &[u8] {
        &self.body
    }
}

#[cfg(test)]
mod tests {
    use smtp::to_base64;

    use super::*;

    #[test]
    fn an_empty_body_has_the_hash_that_the_rfc_states() {
        // RFC 6376 §3.4.4.
        for message in [&b"A: b\r\n"[..], b"A: b\r\n\r\n", b"A: b\r\n\r\n\r\n \r\n", b""] {
            let hash = MessageHash::of(message);
            assert_eq!(to_base64(hash.body()), "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
        }
    }

    #[test]
    fn a_long_body_is_hashed_as_it_streams() {
        let mut hasher = MessageHasher::new();
        hasher.feed(b"A: b\r\n\r\n");
        let piece = b"0123456789 ".repeat(6000);
        for _piece in 0..100 {
            hasher.feed(&piece);
            assert!(hasher.canonical.capacity() <= 2 * piece.len());
        }
        let whole = [&b"\r\n"[..], &piece.repeat(100)].concat();
        assert_eq!(hasher.finish().body(), MessageHash::of(&whole).body());
    }

    #[test]
    fn a_header_of_more_than_8_mib_is_not_kept() {
        let name = FieldName::parse("a").unwrap();
        let field = [b"A: ", &b"x".repeat(1 << 20)[..], b"\r\n"].concat();
        assert_eq!(MessageHash::of(&field.repeat(7)).values(&name).count(), 7);
        assert_eq!(MessageHash::of(&field.repeat(8)).values(&name).count(), 0);
    }

    #[test]
    fn of_a_hundred_thousand_fields_those_are_kept_that_can_be_signed() {
        let (to, other) = (FieldName::parse("To").unwrap(), FieldName::parse("X").unwrap());
        let mut hasher = MessageHasher::keeping([to.clone()]);
        for number in 0..100_000 {
            hasher.feed(format!("To:{number}\r\nX:\r\nX{number}:\r\n").as_bytes());
        }
        hasher.feed(b"From: a\r\n\r\n");
        let values: Vec<_> = hasher.values(&to).collect();
        assert_eq!((values.len(), values[0], values[9]), (10, &b"99990"[..], &b"99999"[..]));
        assert_eq!(hasher.values(&other).count(), 0);
        assert_eq!(hasher.values(&FieldName::from_field()).count(), 1);
    }

    #[test]
    fn the_values_of_a_name_come_from_the_top() {
        let hash = MessageHash::of(b"A: 1\r\nb: 2\r\na : 3\r\n  4\r\n\r\nA: 5\r\n");
        let values: Vec<_> = hash.values(&FieldName::parse("A").unwrap()).collect();
        assert_eq!(values, [&b"1"[..], b"3 4"]);
    }
}
