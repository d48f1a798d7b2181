//! The statuses this crate gives by itself, in RFC 3463's numbers and RFC 5248's registry.
//!
//! All are written as transient; one that ends a message's way is made permanent where that is
//! decided.

use smtp::{Class, EnhancedCode};

/// X.1.2: the destination system does not exist.
pub(crate) const NO_SUCH_SYSTEM: EnhancedCode = transient(1, 2);
/// X.1.10: the destination takes no mail (RFC 7505 §5).
pub(crate) const NULL_MX: EnhancedCode = transient(1, 10);
/// X.3.0: something of our own went wrong.
pub(crate) const OWN_SYSTEM: EnhancedCode = transient(3, 0);
/// X.3.2: the system is not accepting messages.
pub(crate) const NOT_ACCEPTING: EnhancedCode = transient(3, 2);
/// X.3.4: the message is too big.
pub(crate) const TOO_BIG: EnhancedCode = transient(3, 4);
/// X.4.1: no answer from the host.
pub(crate) const NO_ANSWER: EnhancedCode = transient(4, 1);
/// X.4.2: bad connection.
pub(crate) const BAD_CONNECTION: EnhancedCode = transient(4, 2);
/// X.4.3: the directory (the DNS) did not answer.
pub(crate) const NO_DIRECTORY: EnhancedCode = transient(4, 3);
/// X.4.4: there is no way to the destination.
pub(crate) const NO_ROUTE: EnhancedCode = transient(4, 4);
/// X.4.6: routing loop.
pub(crate) const LOOP: EnhancedCode = transient(4, 6);
/// X.4.7: the message's time has run out.
pub(crate) const EXPIRED: EnhancedCode = transient(4, 7);
/// X.4.8: no host of the destination is one that its policy names.
pub(crate) const NOT_IN_POLICY: EnhancedCode = transient(4, 8);
/// X.5.0: the protocol was broken.
pub(crate) const PROTOCOL: EnhancedCode = transient(5, 0);
/// X.6.3: the message would have to be converted, which is not done.
pub(crate) const CONVERSION_NEEDED: EnhancedCode = transient(6, 3);
/// X.6.7: the addresses need SMTPUTF8 (RFC 6531 §3.5).
pub(crate) const SMTPUTF8_NEEDED: EnhancedCode = transient(6, 7);
/// X.7.0: other or undefined security status.
pub(crate) const SECURITY: EnhancedCode = transient(7, 0);
/// X.7.5: cryptographic failure.
pub(crate) const CRYPTOGRAPHY: EnhancedCode = transient(7, 5);
/// X.7.8: name and secret are not valid (RFC 4954 §6).
pub(crate) const CREDENTIALS: EnhancedCode = transient(7, 8);
/// X.7.10: encryption needed.
pub(crate) const ENCRYPTION_NEEDED: EnhancedCode = transient(7, 10);

/// The same status as a permanent one.
pub(crate) const fn permanent(status: EnhancedCode) -> EnhancedCode {
    status.with_class(Class::Permanent)
}

const fn transient(subject: u16, detail: u16) -> EnhancedCode {
    EnhancedCode::new(Class::PersistentTransient, subject, detail)
}
