//! Which resolvers validate DNSSEC.

use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::series::Gauges;

/// The servers that have a series of their own, by their place in the settings.
const PLACES: [&str; 8] = ["0", "1", "2", "3", "4", "5", "6", "7"];

/// Which resolvers validate DNSSEC, and whether DANE is active.
#[derive(Debug, Default)]
pub struct ValidationMetrics {
    active: Gauge,
    validates: Gauges<1>,
}

/// Whether TLSA records are looked for at the moment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DaneActivity {
    /// They are.
    Active,
    /// They are not: no resolver validates, or DANE is switched off.
    Inactive,
}

impl ValidationMetrics {
    /// Nothing known yet, in `registry`.
    pub(crate) fn registered(registry: &mut Registry) -> Self {
        let new = Self::default();
        registry.register("dane_active", "Whether TLSA records are looked for", new.active.clone());
        let help = "Whether each resolver validates DNSSEC, by its place in dns.servers";
        registry.register("dns_server_validates", help, new.validates.clone());
        new
    }

    /// How things are now: whether each server validates, in their order.
    pub fn set(&self, activity: DaneActivity, validate: impl IntoIterator<Item = bool>) {
        self.active.set((activity == DaneActivity::Active).into());
        self.validates.clear();
        for (place, validates) in PLACES.into_iter().zip(validate) {
            self.validates.get_or_create(&[("server", place)]).set(validates.into());
        }
    }
}
