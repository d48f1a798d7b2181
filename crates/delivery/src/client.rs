//! What every attempt works with.

use std::sync::Arc;

use clock::Clock;
use dns::Dns;
use mta_sts::{Now, Policies, Trust};
use queue::{Paced, Pacing};

use crate::addresses::Addresses;
use crate::concurrency::ConcurrencyWindows;
use crate::connection_cache::ConnectionCaches;
use crate::dead_addresses::DeadAddresses;
use crate::observer::Observer;
use crate::paces::{PaceTurn, Paces, Under};
use crate::recorder::Recorder;
use crate::settings::DeliverySettings;
use crate::tls::danger::Observing;
use crate::tls::webpki::WebPki;
use crate::trials::Trials;

/// The SMTP client (RFC 5321 §2.1): the same for all attempts.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) settings: Arc<DeliverySettings>,
    pub(crate) dns: Arc<dyn Dns>,
    pub(crate) policies: Arc<Policies>,
    pub(crate) webpki: WebPki,
    pub(crate) observing: Observing,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) recorder: Arc<dyn Recorder>,
    /// Shared, like what follows, with the client of other settings that takes this one's place.
    pub(crate) idle: Arc<ConnectionCaches>,
    pub(crate) dead: Arc<DeadAddresses>,
    pub(crate) windows: Arc<ConcurrencyWindows>,
    pub(crate) trials: Arc<Trials>,
    pub(crate) addresses: Arc<Addresses>,
    pub(crate) paces: Arc<Paces>,
}

impl Pacing for Client {
    type Held = Option<PaceTurn>;

    fn window(&self, destination: &str) -> usize {
        self.windows.window(destination, self.settings.per_domain)
    }

    fn admit(&self, destination: &str) -> Result<Option<PaceTurn>, Paced> {
        let (limits, now) = (&self.settings.limits, self.clock.now());
        self.paces.admit(Under { limits, destination, now })
    }
}

/// The time at which policies are judged.
#[must_use]
pub fn now_of(clock: &dyn Clock) -> Now {
    let trust = match clock.doubt() {
        Some(_) => Trust::Doubted,
        None if clock.is_unproved() => Trust::Unproved,
        None => Trust::Believed,
    };
    Now::new(clock.now(), clock.wall(), trust)
}
