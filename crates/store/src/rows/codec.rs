//! Numbers and texts as bytes: big-endian, each text behind its length.

/// Bytes that do not hold what they should.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("malformed {0}")]
pub struct Malformed(pub &'static str);

/// Writes fields one after the other.
#[derive(Debug)]
pub struct Encoder(Vec<u8>);

/// How many bytes there is room for at first: most keys and rows have fewer.
const ROOM: usize = 64;

impl Default for Encoder {
    fn default() -> Self {
        Self(Vec::with_capacity(ROOM))
    }
}

impl Encoder {
    /// One byte.
    pub fn u8(&mut self, value: u8) -> &mut Self {
        self.0.push(value);
        self
    }

    /// Two bytes.
    pub fn u16(&mut self, value: u16) -> &mut Self {
        self.raw(&value.to_be_bytes())
    }

    /// Four bytes.
    pub fn u32(&mut self, value: u32) -> &mut Self {
        self.raw(&value.to_be_bytes())
    }

    /// Eight bytes.
    pub fn u64(&mut self, value: u64) -> &mut Self {
        self.raw(&value.to_be_bytes())
    }

    /// The bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// Bytes behind their length in two bytes; what does not fit is cut off at a character.
    pub fn text(&mut self, text: &str) -> &mut Self {
        let text = shortened(text, usize::from(u16::MAX));
        self.u16(u16::try_from(text.len()).unwrap_or(u16::MAX)).raw(text.as_bytes())
    }

    /// A text that may be absent.
    pub fn maybe_text(&mut self, text: Option<&str>) -> &mut Self {
        match text {
            Some(text) => self.u8(1).text(text),
            None => self.u8(0),
        }
    }

    /// How many bytes there are so far.
    pub(crate) const fn len(&self) -> usize {
        self.0.len()
    }

    /// The bytes.
    pub fn finish(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.0)
    }
}

/// Reads the fields back.
#[derive(Debug)]
pub struct Decoder<'a> {
    rest: &'a [u8],
    what: &'static str,
}

impl<'a> Decoder<'a> {
    /// Reads `bytes`, which should be a `what`.
    pub const fn new(bytes: &'a [u8], what: &'static str) -> Self {
        Self { rest: bytes, what }
    }

    /// The fault of these bytes.
    pub const fn fault(&self) -> Malformed {
        Malformed(self.what)
    }

    /// One byte.
    pub fn u8(&mut self) -> Result<u8, Malformed> {
        self.array().map(u8::from_be_bytes)
    }

    /// Two bytes.
    pub fn u16(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_be_bytes)
    }

    /// Four bytes.
    pub fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_be_bytes)
    }

    /// Eight bytes.
    pub fn u64(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_be_bytes)
    }

    /// The next `length` bytes.
    pub fn raw(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Malformed(self.what))?;
        self.rest = rest;
        Ok(taken)
    }

    /// A text behind its length.
    pub fn text(&mut self) -> Result<&'a str, Malformed> {
        let length = usize::from(self.u16()?);
        std::str::from_utf8(self.raw(length)?).map_err(|_cause| Malformed(self.what))
    }

    /// A text that may be absent.
    pub fn maybe_text(&mut self) -> Result<Option<&'a str>, Malformed> {
        match self.u8()? {
            0 => Ok(None),
            1 => self.text().map(Some),
            _ => Err(self.fault()),
        }
    }

    /// Whether nothing is left.
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Nothing may be left.
    pub const fn end(self) -> Result<(), Malformed> {
        if self.rest.is_empty() { Ok(()) } else { Err(Malformed(self.what)) }
    }

    /// The next bytes, as many as the array has.
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(Malformed(self.what))?;
        self.rest = rest;
        Ok(*taken)
    }
}

/// The longest beginning of `text` of at most `most` bytes that ends at a character.
pub fn shortened(text: &str, most: usize) -> &str {
    let end = (0..=most.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    end.and_then(|end| text.get(..end)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_text_is_cut_at_a_character() {
        assert_eq!(shortened("aä", 2), "a");
        assert_eq!(shortened("aä", 3), "aä");
        assert_eq!(shortened("ä", 1), "");
    }

    proptest! {
        #[test]
        fn fields_are_read_back(a: u8, b: u16, c: u32, d: u64, e in ".{0,40}", f in proptest::option::of(".{0,9}")) {
            let bytes = Encoder::default()
                .u8(a).u16(b).u32(c).u64(d).text(&e).maybe_text(f.as_deref()).finish();
            let mut decoder = Decoder::new(&bytes, "test");
            prop_assert_eq!(decoder.u8(), Ok(a));
            prop_assert_eq!(decoder.u16(), Ok(b));
            prop_assert_eq!(decoder.u32(), Ok(c));
            prop_assert_eq!(decoder.u64(), Ok(d));
            prop_assert_eq!(decoder.text(), Ok(e.as_str()));
            prop_assert_eq!(decoder.maybe_text(), Ok(f.as_deref()));
            prop_assert_eq!(decoder.end(), Ok(()));
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
            let mut decoder = Decoder::new(&bytes, "test");
            while decoder.maybe_text().is_ok() && decoder.u32().is_ok() {}
        }
    }
}
