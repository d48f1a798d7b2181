//! Why the word of a resolver on DNSSEC does not count.

use smtp::Domain;

use crate::error::LookupError;

/// Why a resolver's word on DNSSEC does not count.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SelfTestFailure {
    /// A name whose signatures are wrong resolves all the same.
    #[error("it resolves {probe}, whose signatures are wrong on purpose")]
    BogusResolves {
        /// The name.
        probe: Domain,
    },
    /// It does not vouch for it that a name does not exist.
    #[error("it does not vouch for an answer that a name does not exist")]
    DenialInsecure,
    /// A name that cannot exist does: somebody rewrites such answers, or TLSA records do not pass.
    #[error("it says that a name exists which does not")]
    DenialRewritten,
    /// It does not say whether a name exists that does not.
    #[error("TLSA lookup for a name that does not exist failed: {0}")]
    DenialUnknown(#[source] LookupError),
    /// It does not vouch for the root.
    #[error("it does not vouch for the root zone, which is signed")]
    RootInsecure,
    /// It does not answer for the root.
    #[error("SOA lookup for the root zone failed: {0}")]
    RootUnknown(#[source] LookupError),
}

impl SelfTestFailure {
    /// Whether the resolver validates and finds everything forged, which tells of its own state and
    /// not of the names it is asked for: without validation it may still answer.
    pub(crate) const fn is_of_validation(&self) -> bool {
        match self {
            Self::DenialUnknown(error) | Self::RootUnknown(error) => error.may_be_validation(),
            Self::BogusResolves { .. }
            | Self::DenialInsecure
            | Self::DenialRewritten
            | Self::RootInsecure => false,
        }
    }
}
