//! What a key is for (RFC 6376 §3.6.1, RFC 8460 §3).

/// What is signed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Service {
    /// Mail.
    Email,
    /// Reports on TLS.
    TlsRpt,
}

impl Service {
    /// As the tag `s=` of a key record has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::TlsRpt => "tlsrpt",
        }
    }
}

/// What a configured key signs.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum KeyService {
    /// Mail and reports.
    #[default]
    Any,
    /// One of them.
    Only(Service),
}

impl KeyService {
    /// Whether it signs this.
    #[must_use]
    pub fn covers(self, service: Service) -> bool {
        match self {
            Self::Any => true,
            Self::Only(only) => only == service,
        }
    }
}
