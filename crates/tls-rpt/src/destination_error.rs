//! Why a URI of `rua` is not used: said by the reading of it, and by the warnings of a record.

use thiserror::Error;

use crate::address::MailAddressError;

/// Why a URI of `rua` is not used.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum DestinationError {
    /// A character is not allowed in a URI, or a `%` is not followed by two hexadecimal digits.
    #[error("a character in it is not allowed in a URI")]
    BadCharacter,
    /// The host or port of an `https` URI cannot be read.
    #[error("its host or port cannot be read")]
    BadHost,
    /// It is not a URI.
    #[error("it is not a URI")]
    NoUri,
    /// A `mailto` URI does not hold one address.
    #[error("it does not hold one mail address")]
    NotOneAddress,
    /// Its scheme is neither `mailto` nor `https`.
    #[error("its scheme is neither mailto nor https")]
    OtherScheme,
    /// An `https` URI is longer than 2,048 octets.
    #[error("it is longer than 2048 octets")]
    TooLong,
    /// An `https` URI holds a user's name.
    #[error("it holds a user's name")]
    UserName,
}

impl From<MailAddressError> for DestinationError {
    fn from(MailAddressError: MailAddressError) -> Self {
        Self::NotOneAddress
    }
}
