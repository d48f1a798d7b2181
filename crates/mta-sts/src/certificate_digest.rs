//! The digest by which an operator names a certificate.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// How many octets a SHA-256 has.
const LENGTH: usize = 32;

/// The SHA-256 of a certificate in DER, as `openssl x509 -fingerprint -sha256` prints it.
///
/// ```
/// use mta_sts::CertificateDigest;
///
/// let digest: CertificateDigest = [0xab; 32].into();
/// let colons = ["AB"; 32].join(":");
/// assert_eq!(colons.parse(), Ok(digest));
/// assert_eq!(digest.to_string().parse(), Ok(digest));
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct CertificateDigest([u8; LENGTH]);

/// A text is no such digest.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("a certificate is named by its SHA-256: 64 hexadecimal digits, with colons or without")]
pub struct CertificateDigestError;

impl CertificateDigest {
    /// The octets.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; LENGTH] {
        &self.0
    }
}

impl From<[u8; LENGTH]> for CertificateDigest {
    fn from(digest: [u8; LENGTH]) -> Self {
        Self(digest)
    }
}

impl FromStr for CertificateDigest {
    type Err = CertificateDigestError;

    fn from_str(text: &str) -> Result<Self, CertificateDigestError> {
        let digit = |character: char| {
            let value = character.to_digit(16).ok_or(CertificateDigestError)?;
            u8::try_from(value).map_err(|_too_large| CertificateDigestError)
        };
        let digits = text.chars().filter(|character| *character != ':').map(digit);
        // One more than there may be, so that a longer text is not taken for a shorter one.
        let digits: Vec<u8> = digits.take(2 * LENGTH + 1).collect::<Result<_, _>>()?;
        let octets = digits.chunks(2).map(|pair| match pair {
            [high, low] => Ok(high << 4 | low),
            _ => Err(CertificateDigestError),
        });
        let octets: Vec<u8> = octets.collect::<Result<_, _>>()?;
        octets.try_into().map(Self).map_err(|_wrong_length| CertificateDigestError)
    }
}

impl fmt::Display for CertificateDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_has_64_hexadecimal_digits_and_nothing_else() {
        let good = "0123456789abcdefABCDEF".to_owned() + &"0".repeat(42);
        let digest: CertificateDigest = good.parse().unwrap();
        assert_eq!(digest.to_string(), good.to_lowercase());
        for bad in ["", "ab", &"a".repeat(63), &"a".repeat(65), &"g".repeat(64), &"é".repeat(32)] {
            assert_eq!(bad.parse::<CertificateDigest>(), Err(CertificateDigestError), "{bad}");
        }
    }
}
