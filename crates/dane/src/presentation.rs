//! The presentation format of a TLSA record (RFC 6698 §2.2): `3 1 1 8bd1..`.

use std::fmt;
use std::str::FromStr;

use crate::tlsa::TlsaRecord;

impl fmt::Display for TlsaRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [usage, selector, matching] = self.numbers();
        write!(f, "{usage} {selector} {matching} ")?;
        self.data.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

/// Reads three numbers and hexadecimal digits, among which there may be spaces.
impl FromStr for TlsaRecord {
    type Err = PresentationError;

    fn from_str(text: &str) -> Result<Self, PresentationError> {
        let mut words = text.split_ascii_whitespace();
        let mut rdata = Vec::new();
        for _ in 0..3 {
            let word = words.next().filter(|word| word.bytes().all(|c| c.is_ascii_digit()));
            let number = word.and_then(|word| word.parse().ok());
            rdata.push(number.ok_or(PresentationError::Number)?);
        }
        let digits: Vec<u8> = words.flat_map(str::bytes).map(digit).collect::<Result<_, _>>()?;
        for pair in digits.chunks(2) {
            let [high, low] = pair else { return Err(PresentationError::Digits) };
            rdata.push((high << 4) | low);
        }
        Self::from_rdata(&rdata).map_err(|_short| PresentationError::Number)
    }
}

/// The value of a hexadecimal digit.
fn digit(digit: u8) -> Result<u8, PresentationError> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        b'A'..=b'F' => Ok(digit - b'A' + 10),
        _ => Err(PresentationError::Digits),
    }
}

/// Text that is no TLSA record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PresentationError {
    /// The association data are not pairs of hexadecimal digits.
    #[error("association data that are not pairs of hexadecimal digits")]
    Digits,
    /// It does not begin with three numbers below 256.
    #[error("three numbers from 0 to 255 expected")]
    Number,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn records_are_read_as_zone_files_have_them() {
        let record: TlsaRecord = " 3 1 001\t8bD1\n 03ff ".parse().unwrap();
        assert_eq!(record, TlsaRecord::from_rdata(&[3, 1, 1, 0x8b, 0xd1, 3, 0xff]).unwrap());
        assert_eq!(record.to_string(), "3 1 1 8bd103ff");
        for (text, error) in [
            ("", PresentationError::Number),
            ("3 1", PresentationError::Number),
            ("3 1 256 00", PresentationError::Number),
            ("3 +1 1 00", PresentationError::Number),
            ("3 1 x 00", PresentationError::Number),
            ("3 1 1 0", PresentationError::Digits),
            ("3 1 1 0g", PresentationError::Digits),
            ("3 1 1 \u{e9}", PresentationError::Digits),
        ] {
            assert_eq!(text.parse::<TlsaRecord>(), Err(error), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_record_is_read_back_from_its_text(
            rdata in prop::collection::vec(any::<u8>(), 3..80),
        ) {
            let record = TlsaRecord::from_rdata(&rdata).unwrap();
            prop_assert_eq!(record.to_string().parse(), Ok(record.clone()));
            prop_assert_eq!(record.to_rdata(), rdata);
        }
    }
}
