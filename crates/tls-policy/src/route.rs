//! What the operator asks of sessions with a configured next hop (a smart host).

/// What the sessions of a next hop have to be like, besides what its policy asks for.
///
/// A login belongs to a session with proof, and there is no other place to put one; what one is, is
/// for whoever logs in to say.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum TlsRequirement<Login> {
    /// As the policy asks, and no more.
    AsPolicy,
    /// With proof of the host's name, whatever the policy asks for.
    Proven {
        /// How TLS begins.
        start: TlsStart,
        /// Who we say we are, once the host has proved its name.
        login: Option<Login>,
    },
}

/// How TLS begins.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum TlsStart {
    /// With the connection (RFC 8314 §3).
    Implicit,
    /// With STARTTLS (RFC 3207).
    Starttls,
}

impl<Login> TlsRequirement<Login> {
    /// How TLS begins where it has to be verified.
    #[must_use]
    pub const fn start(&self) -> TlsStart {
        match self {
            Self::AsPolicy => TlsStart::Starttls,
            Self::Proven { start, .. } => *start,
        }
    }

    /// Who we say we are.
    #[must_use]
    pub const fn login(&self) -> Option<&Login> {
        match self {
            Self::AsPolicy => None,
            Self::Proven { login, .. } => login.as_ref(),
        }
    }
}
