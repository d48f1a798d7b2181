//! A header section, field by field (RFC 5322 §2.2).

use smtp::split_field;

/// A header section that has been received whole.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HeaderSection<'a> {
    fields: Vec<Field<'a>>,
    rest: &'a [u8],
}

/// One field with its continuation lines and line end, as it was received.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Field<'a> {
    bytes: &'a [u8],
    name: &'a [u8],
    value: &'a [u8],
}

impl<'a> HeaderSection<'a> {
    /// Reads fields from the front of `bytes` as far as there are any.
    ///
    /// ```
    /// let section = submission::HeaderSection::read(b"To: a@b.example,\r\n c@d.example\r\n\r\nTo: x");
    /// assert_eq!(section.fields().len(), 1);
    /// assert_eq!(section.rest(), b"\r\nTo: x");
    /// ```
    #[must_use]
    pub fn read(bytes: &'a [u8]) -> Self {
        let (mut fields, mut rest) = (Vec::new(), bytes);
        while let Some(field) = Field::first_of(rest) {
            rest = rest.get(field.bytes.len()..).unwrap_or_default();
            fields.push(field);
        }
        Self { fields, rest }
    }

    /// The fields in their order.
    #[must_use]
    pub fn fields(&self) -> &[Field<'a>] {
        &self.fields
    }

    /// What follows the last field: the empty line, and what was received behind it.
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Whether there is a field of this name.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.first(name).is_some()
    }

    /// The first field of this name.
    #[must_use]
    pub fn first(&self, name: &str) -> Option<&Field<'a>> {
        self.fields.iter().find(|field| field.is(name))
    }
}

impl<'a> Field<'a> {
    /// The field at the front of `bytes`.
    fn first_of(bytes: &'a [u8]) -> Option<Self> {
        let (name, after) = split_field(bytes)?;
        let value = after.get(..field_end(after))?;
        let length = bytes.len().checked_sub(after.len())?.checked_add(value.len())?;
        Some(Self { bytes: bytes.get(..length)?, name, value })
    }

    /// All of the field.
    #[must_use]
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// What is before its value: the name and the colon, with the blanks between them.
    #[must_use]
    pub fn before_value(&self) -> &'a [u8] {
        self.bytes.strip_suffix(self.value).unwrap_or_default()
    }

    /// Its name as it was written.
    #[must_use]
    pub const fn name(&self) -> &'a [u8] {
        self.name
    }

    /// What is behind the colon, folds and line end included.
    #[must_use]
    pub const fn value(&self) -> &'a [u8] {
        self.value
    }

    /// Whether it has this name, in any case (RFC 5322 §1.2.2).
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }
}

/// Where a field ends: behind the first line end that no blank follows (RFC 5322 §2.2.3).
fn field_end(bytes: &[u8]) -> usize {
    let mut end: usize = 0;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        if end > 0 && !line.starts_with(b" ") && !line.starts_with(b"\t") {
            return end;
        }
        end = end.saturating_add(line.len());
    }
    end
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names(bytes: &[u8]) -> (Vec<&str>, &[u8]) {
        let section = HeaderSection::read(bytes);
        let fields = section.fields.iter().map(|field| std::str::from_utf8(field.name).unwrap());
        (fields.collect(), section.rest)
    }

    #[test]
    fn fields_are_read_with_their_folds_up_to_the_empty_line() {
        for (bytes, fields, rest) in [
            (&b""[..], &[][..], &b""[..]),
            (b"\r\nTo: x\r\n", &[], b"\r\nTo: x\r\n"),
            (b"A: 1\r\n\tfolded: no\r\nb :2\r\n\r", &["A", "b"], b"\r"),
            (b"A: 1\r\n\r\n", &["A"], b"\r\n"),
            (b"A:\r\n", &["A"], b""),
            (b"A: no line end", &["A"], b""),
            (b"words and: more\r\n", &[], b"words and: more\r\n"),
            (b": x\r\n", &[], b": x\r\n"),
            (b"A: 1\r\nno field\r\nB: 2\r\n", &["A"], b"no field\r\nB: 2\r\n"),
        ] {
            assert_eq!(names(bytes), (fields.to_vec(), rest), "{bytes:?}");
        }
        let section = HeaderSection::read(b"Subject : a\r\n b\r\n");
        assert!(section.has("SUBJECT") && !section.has("Subject "));
        assert_eq!(section.fields[0].value(), b" a\r\n b\r\n");
        assert_eq!(section.fields[0].before_value(), b"Subject :");
    }

    proptest! {
        #[test]
        fn no_byte_is_lost(bytes in proptest::collection::vec(prop_oneof![
            Just(b'\r'), Just(b'\n'), Just(b':'), Just(b' '), Just(b'a'), any::<u8>()
        ], 0..80)) {
            let section = HeaderSection::read(&bytes);
            let mut whole: Vec<u8> = section.fields.iter().flat_map(|field| field.bytes.to_vec()).collect();
            whole.extend_from_slice(section.rest);
            prop_assert_eq!(whole, bytes);
        }
    }
}
