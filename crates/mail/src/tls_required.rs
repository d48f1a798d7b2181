//! What a message says about TLS on its way (RFC 8689).

use smtp::RequireTls;

/// What a message says about TLS on its way (RFC 8689 §4.1). REQUIRETLS on MAIL wins over the header
/// field, so it is one of these.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum TlsRequired {
    /// `TLS-Required: No` in its header: it is to arrive, whatever the policy of its recipients asks of
    /// TLS (RFC 8689 §3). Whether that is honoured is for the operator to say.
    No,
    /// Nothing: the policy of its recipients applies.
    #[default]
    Unspecified,
    /// REQUIRETLS on MAIL: it goes over proven TLS all its way (RFC 8689 §2).
    Yes,
    /// The same of a notification of this relay's about such a message: where no host keeps to it, the
    /// notification goes without it, and without what it returns of the message (RFC 8689 §5).
    YesOrRedacted,
}

impl TlsRequired {
    /// Whether it asks for proven TLS all its way.
    #[must_use]
    pub const fn is_yes(self) -> bool {
        match self {
            Self::No | Self::Unspecified => false,
            Self::Yes | Self::YesOrRedacted => true,
        }
    }
}

impl From<RequireTls> for TlsRequired {
    /// What MAIL says, before the header is known.
    fn from(parameter: RequireTls) -> Self {
        match parameter {
            RequireTls::NotRequested => Self::Unspecified,
            RequireTls::Requested => Self::Yes,
        }
    }
}
