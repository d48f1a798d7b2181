//! The statuses this crate gives by itself, in RFC 3463's numbers and RFC 5248's registry.
//!
//! All are written as transient; one that ends a message's way is made permanent where that is
//! decided.

use mail::{Failure, FailureCause, ReasonClass};
use smtp::{Class, EnhancedCode};

/// A status of our own, where no host has given one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Status {
    /// X.4.2: bad connection.
    BadConnection,
    /// X.6.3: the message would have to be converted, which is not done.
    ConversionNeeded,
    /// X.7.8: name and secret are not valid (RFC 4954 §6).
    Credentials,
    /// X.7.5: cryptographic failure.
    Cryptography,
    /// X.7.10: encryption needed.
    EncryptionNeeded,
    /// X.4.7: the message's time has run out.
    Expired,
    /// X.4.6: routing loop.
    Loop,
    /// X.4.1: no answer from the host.
    NoAnswer,
    /// X.4.3: the directory (the DNS) did not answer.
    NoDirectory,
    /// X.4.4: there is no way to the destination.
    NoRoute,
    /// X.1.2: the destination system does not exist.
    NoSuchSystem,
    /// X.3.2: the system is not accepting messages.
    NotAccepting,
    /// X.4.8: no host of the destination is one that its policy names.
    NotInPolicy,
    /// X.1.10: the destination takes no mail (RFC 7505 §5).
    NullMx,
    /// X.3.0: something of our own went wrong.
    OwnSystem,
    /// X.5.0: the protocol was broken.
    Protocol,
    /// X.7.30: the message asks for proven TLS all its way, and the host does not (RFC 8689 §4.2.1).
    RequireTlsNeeded,
    /// X.7.0: other or undefined security status.
    Security,
    /// X.6.7: the addresses need SMTPUTF8 (RFC 6531 §3.5).
    Smtputf8Needed,
    /// X.3.4: the message is too big.
    TooBig,
}

impl Status {
    /// The status in numbers.
    pub(crate) const fn code(self) -> EnhancedCode {
        let (subject, detail) = match self {
            Self::NoSuchSystem => (1, 2),
            Self::NullMx => (1, 10),
            Self::OwnSystem => (3, 0),
            Self::NotAccepting => (3, 2),
            Self::TooBig => (3, 4),
            Self::NoAnswer => (4, 1),
            Self::BadConnection => (4, 2),
            Self::NoDirectory => (4, 3),
            Self::NoRoute => (4, 4),
            Self::Loop => (4, 6),
            Self::Expired => (4, 7),
            Self::NotInPolicy => (4, 8),
            Self::Protocol => (5, 0),
            Self::ConversionNeeded => (6, 3),
            Self::Smtputf8Needed => (6, 7),
            Self::Security => (7, 0),
            Self::Cryptography => (7, 5),
            Self::Credentials => (7, 8),
            Self::EncryptionNeeded => (7, 10),
            Self::RequireTlsNeeded => (7, 30),
        };
        EnhancedCode::new(Class::PersistentTransient, subject, detail)
    }

    /// A failure with this status.
    pub(crate) fn failure(self, class: ReasonClass, text: impl Into<String>) -> Failure {
        Failure::new(self.cause(), class, self.code(), text)
    }

    /// The kind of failure that has this status.
    pub(crate) const fn cause(self) -> FailureCause {
        match self {
            Self::BadConnection | Self::NoAnswer => FailureCause::Unreachable,
            Self::ConversionNeeded | Self::Smtputf8Needed => FailureCause::Conversion,
            Self::Credentials | Self::Cryptography | Self::EncryptionNeeded | Self::Security => {
                FailureCause::Tls
            }
            Self::Expired => FailureCause::Expired,
            Self::Loop => FailureCause::Loop,
            Self::NoDirectory => FailureCause::Dns,
            Self::NoRoute => FailureCause::NoHost,
            Self::NoSuchSystem => FailureCause::NoSuchDomain,
            Self::NotAccepting => FailureCause::NotAccepting,
            Self::NotInPolicy => FailureCause::Policy,
            Self::NullMx => FailureCause::NullMx,
            Self::OwnSystem => FailureCause::OwnSystem,
            Self::RequireTlsNeeded => FailureCause::RequireTls,
            Self::Protocol => FailureCause::Protocol,
            Self::TooBig => FailureCause::TooLarge,
        }
    }
}

/// The same status as a permanent one.
pub(crate) const fn permanent(status: EnhancedCode) -> EnhancedCode {
    status.with_class(Class::Permanent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_status_of_our_own_has_a_reason() {
        for (status, code, expected) in [
            (Status::NullMx, "5.1.10", "null-mx"),
            (Status::NoSuchSystem, "5.1.2", "no-such-domain"),
            (Status::OwnSystem, "5.3.0", "own-system"),
            (Status::NoAnswer, "5.4.1", "unreachable"),
            (Status::NoDirectory, "5.4.3", "dns"),
            (Status::Expired, "5.4.7", "expired"),
            (Status::Security, "5.7.0", "tls"),
        ] {
            assert_eq!(permanent(status.code()).to_string(), code);
            assert_eq!(status.cause().word(), expected, "{code}");
        }
    }
}
