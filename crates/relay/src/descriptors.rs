//! File descriptors: as many as the system allows, and a word where that is too few.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::{debug, warn};

use crate::settings::Settings;

/// What a relay needs besides connections: spool, index, logs, sockets that listen, resolvers.
const OTHERS: u64 = 512;

/// How many descriptors a delivery holds: its connection, its policy host or resolver, its message.
const PER_DELIVERY: u64 = 3;

/// How many descriptors a connection holds: its socket and a large message on its way to disk.
const PER_CONNECTION: u64 = 2;

/// Raises the limit of this process to what the system allows it, and warns where the settings
/// promise more than that.
pub(crate) fn raise(settings: &Settings) {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let wanted = Rlimit { current: limit.maximum, maximum: limit.maximum };
        // A sandbox may forbid it; then the limit is what its maker gave.
        if let Err(error) = setrlimit(Resource::Nofile, wanted) {
            debug!(%error, "limit of descriptors not raised");
        }
    }
    let Some(have) = getrlimit(Resource::Nofile).current else { return };
    let (connections, deliveries) =
        (settings.listener.limits.connections, settings.delivery.workers);
    let needed = needed(connections, deliveries);
    if have < needed {
        warn!(
            have,
            needed, connections, deliveries, "limit of descriptors too low for the settings"
        );
    }
}

/// How many descriptors so many connections and deliveries may take.
fn needed(connections: usize, deliveries: usize) -> u64 {
    let times =
        |count: usize, each: u64| u64::try_from(count).unwrap_or(u64::MAX).saturating_mul(each);
    times(connections, PER_CONNECTION)
        .saturating_add(times(deliveries, PER_DELIVERY))
        .saturating_add(OTHERS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_settings_need_less_than_a_service_is_given() {
        assert_eq!(needed(1_000, 100), 2_812);
        assert_eq!(needed(usize::MAX, 1), u64::MAX);
    }
}
