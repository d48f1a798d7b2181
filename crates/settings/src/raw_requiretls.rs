//! `[requiretls]` as it is typed.

use delivery::RequireTlsDelivery;
use listener::RequireTlsOffer;
use serde::{Deserialize, Serialize};

/// `[requiretls]`
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawRequireTls {
    /// Whether clients under TLS may ask that a message goes over proven TLS all its way.
    pub accept: bool,
    /// What becomes of such a message where no host can give that.
    pub deliver: RawRequireTlsDelivery,
    /// The senders of whom `TLS-Required: No` is honoured.
    pub honour_no_from: Vec<String>,
}

/// What becomes of a message that asks for proven TLS where no host can give that.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RawRequireTlsDelivery {
    /// It is returned.
    Enforce,
    /// It goes as all mail does.
    Opportunistic,
}

impl Default for RawRequireTls {
    fn default() -> Self {
        let deliver = match RequireTlsDelivery::default() {
            RequireTlsDelivery::Enforce => RawRequireTlsDelivery::Enforce,
            RequireTlsDelivery::Opportunistic => RawRequireTlsDelivery::Opportunistic,
        };
        let accept = RequireTlsOffer::default() == RequireTlsOffer::Offered;
        Self { accept, deliver, honour_no_from: Vec::new() }
    }
}

impl RawRequireTls {
    /// What listeners offer.
    pub(crate) const fn offer(&self) -> RequireTlsOffer {
        if self.accept { RequireTlsOffer::Offered } else { RequireTlsOffer::Withheld }
    }

    /// What delivery does.
    pub(crate) const fn delivery(&self) -> RequireTlsDelivery {
        match self.deliver {
            RawRequireTlsDelivery::Enforce => RequireTlsDelivery::Enforce,
            RawRequireTlsDelivery::Opportunistic => RequireTlsDelivery::Opportunistic,
        }
    }
}
