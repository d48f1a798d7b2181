//! Since when mail has had a protection without a break.

use mail::Protection;
use serde::{Deserialize, Serialize};

/// Since when no mail was delivered with less than each protection, in milliseconds since 1970. Days
/// without mail break nothing; a message with less begins anew.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Runs {
    /// TLS at least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<u64>,
    /// TLS with a host that has matched its TLSA records, or better.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dane: Option<u64>,
    /// TLS with a host that an enforced policy names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified: Option<u64>,
}

impl Runs {
    /// Mail was delivered with `protection`.
    pub(crate) fn delivered(&mut self, protection: Protection, at: u64) {
        let runs = [
            (Protection::Tls, &mut self.tls),
            (Protection::Dane, &mut self.dane),
            (Protection::Verified, &mut self.verified),
        ];
        for (least, since) in runs {
            *since = (protection >= least).then(|| since.unwrap_or(at));
        }
    }
}
