//! Reading DER (X.690 §10) as far as a certificate needs it: tags, lengths, and no more.
//!
//! The bytes come from a peer. Nothing is believed but what fits into what holds it, lengths are
//! definite, and there is no recursion.

/// Tags that occur in a certificate.
pub(crate) mod tag {
    pub(crate) const INTEGER: u8 = 0x02;
    pub(crate) const BIT_STRING: u8 = 0x03;
    pub(crate) const OCTET_STRING: u8 = 0x04;
    pub(crate) const OID: u8 = 0x06;
    pub(crate) const UTF8_STRING: u8 = 0x0c;
    pub(crate) const BMP_STRING: u8 = 0x1e;
    pub(crate) const UTC_TIME: u8 = 0x17;
    pub(crate) const GENERALIZED_TIME: u8 = 0x18;
    pub(crate) const BOOLEAN: u8 = 0x01;
    pub(crate) const SEQUENCE: u8 = 0x30;
    pub(crate) const SET: u8 = 0x31;

    /// `[number]`, of a primitive type.
    pub(crate) const fn context(number: u8) -> u8 {
        0x80 | number
    }

    /// `[number]`, of a constructed type.
    pub(crate) const fn constructed(number: u8) -> u8 {
        0xa0 | number
    }
}

/// What is left to read of an encoding.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The next element: its tag and its content.
    pub(crate) fn element(&mut self) -> Option<(u8, &'a [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        // Tags of several octets do not occur in a certificate.
        if tag & 0x1f == 0x1f {
            return None;
        }
        let (length, rest) = length(rest)?;
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, content))
    }

    /// The content of the next element, which has to have this tag.
    pub(crate) fn expect(&mut self, wanted: u8) -> Option<&'a [u8]> {
        let (tag, content) = self.element()?;
        (tag == wanted).then_some(content)
    }

    /// The next element with its tag and length; it has to have this tag.
    pub(crate) fn whole(&mut self, wanted: u8) -> Option<&'a [u8]> {
        let before = self.0;
        self.expect(wanted)?;
        before.get(..before.len().checked_sub(self.0.len())?)
    }

    /// Whether nothing is left.
    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The content of the next element, if it has this tag; otherwise nothing is read.
    pub(crate) fn optional(&mut self, wanted: u8) -> Option<&'a [u8]> {
        let mut ahead = *self;
        let content = ahead.expect(wanted)?;
        *self = ahead;
        Some(content)
    }
}

/// The elements that are left, up to the first that is malformed.
impl<'a> Iterator for Reader<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        self.element()
    }
}

/// A definite length, and what follows it.
fn length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (&first, rest) = bytes.split_first()?;
    if first < 0x80 {
        return Some((usize::from(first), rest));
    }
    // Three octets of length are more than a handshake message holds.
    let count = usize::from(first & 0x7f);
    if !(1..=3).contains(&count) {
        return None;
    }
    let (octets, rest) = rest.split_at_checked(count)?;
    let length = octets.iter().fold(0_usize, |length, octet| (length << 8) | usize::from(*octet));
    Some((length, rest))
}

/// An object identifier as people write it; what is malformed ends it.
pub(crate) fn oid_text(oid: &[u8]) -> String {
    let mut arcs: Vec<String> = Vec::new();
    let mut arc = 0_u64;
    for octet in oid.iter().take(64) {
        arc = (arc << 7) | u64::from(octet & 0x7f);
        if octet & 0x80 != 0 {
            continue;
        }
        if arcs.is_empty() {
            let root = (arc / 40).min(2);
            arcs.push(root.to_string());
            arc = arc.saturating_sub(root.saturating_mul(40));
        }
        arcs.push(arc.to_string());
        arc = 0;
    }
    arcs.join(".")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_element_is_what_fits() {
        for (bytes, expected) in [
            (&[0x02, 1, 7][..], Some((0x02, &[7][..]))),
            (&[0x30, 0], Some((0x30, &[]))),
            (&[0x04, 0x81, 2, 1, 2, 9], Some((0x04, &[1, 2]))),
            (&[0x04, 0x82, 0, 1, 5], Some((0x04, &[5]))),
            (&[0x04, 2, 1], None),
            (&[0x04, 0x80, 0, 0], None),
            (&[0x04, 0x84, 0, 0, 0, 1, 1], None),
            (&[0x1f, 1, 1], None),
            (&[0x04], None),
            (&[], None),
        ] {
            assert_eq!(Reader::new(bytes).element(), expected, "{bytes:?}");
        }
    }

    #[test]
    fn an_optional_element_that_is_not_there_is_not_read() {
        let mut reader = Reader::new(&[0x02, 1, 7]);
        assert_eq!(reader.optional(tag::OID), None);
        assert_eq!(reader.optional(tag::INTEGER), Some(&[7][..]));
        assert_eq!(reader.element(), None);
    }

    #[test]
    fn identifiers_are_written_with_dots() {
        for (oid, text) in [
            (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x04][..], "1.2.840.113549.1.1.4"),
            (&[0x55, 0x04, 0x03], "2.5.4.3"),
            (&[], ""),
        ] {
            assert_eq!(oid_text(oid), text);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_odd_to_be_read(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let elements = Reader::new(&bytes).count();
            prop_assert!(elements <= bytes.len());
            prop_assert!(oid_text(&bytes).len() <= 64 * 21);
        }
    }
}
