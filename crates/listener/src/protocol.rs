//! How a message came, by the name that is registered for it (RFC 3848, RFC 6531 §4.3).

use smtp::Smtputf8;

use crate::tls::TlsFacts;

/// Whether the client heard of our extensions.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Hello {
    /// EHLO: it did.
    Ehlo,
    /// HELO: it did not.
    Helo,
}

/// How a message came.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Protocol {
    /// How the client introduced itself.
    pub(crate) hello: Hello,
    /// Whether it asked for SMTPUTF8.
    pub(crate) smtputf8: Smtputf8,
    /// How the connection was encrypted.
    pub(crate) tls: Option<TlsFacts>,
    /// Whether a user logged in.
    pub(crate) user: bool,
}

impl Protocol {
    /// The registered name (RFC 3848, RFC 6531 §4.3). None says that HELO was under TLS.
    pub(crate) const fn as_str(&self) -> &'static str {
        match (self.hello, self.smtputf8, self.tls.is_some(), self.user) {
            (Hello::Helo, _, _, _) => "SMTP",
            (Hello::Ehlo, Smtputf8::NotRequested, false, false) => "ESMTP",
            (Hello::Ehlo, Smtputf8::NotRequested, false, true) => "ESMTPA",
            (Hello::Ehlo, Smtputf8::NotRequested, true, false) => "ESMTPS",
            (Hello::Ehlo, Smtputf8::NotRequested, true, true) => "ESMTPSA",
            (Hello::Ehlo, Smtputf8::Requested, false, false) => "UTF8SMTP",
            (Hello::Ehlo, Smtputf8::Requested, false, true) => "UTF8SMTPA",
            (Hello::Ehlo, Smtputf8::Requested, true, false) => "UTF8SMTPS",
            (Hello::Ehlo, Smtputf8::Requested, true, true) => "UTF8SMTPSA",
        }
    }
}
