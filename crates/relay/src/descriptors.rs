//! File descriptors: as many as the system allows, and a word where that is too few.

use admin::server::monitoring_port;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use settings::Settings;
use tracing::{debug, warn};

use crate::refresh;

/// What is open all the time: the standard streams, the log, the runtime's own (epoll, timers,
/// signals), the service manager's socket, and random numbers.
const PROCESS: usize = 32;

/// What the queue has open: its lock, the segment that is written and one that is read, up to 64
/// settled logs, the reserve, folders that are synced, and sled's files.
const QUEUE: usize = 64 + 32;

/// A lookup asks for both families at a time, and one that falls back from UDP to TCP has two sockets.
const LOOKUP: usize = 4;

/// A connection that is taken in: its socket and a large message on its way to disk.
const CONNECTION: usize = 2;

/// A command at the admin socket: its connection and a message that it shows.
const COMMAND: usize = 2;

/// How many commands may be at the admin socket at a time; it belongs to the operator alone, so this
/// is what is reckoned with and no limit.
const COMMANDS: usize = 16;

/// Raises the limit of this process to what the system allows it, and warns where the settings
/// promise more than that.
pub(crate) fn raise(settings: &Settings) {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let wanted = Rlimit { current: limit.maximum, maximum: limit.maximum };
        // A sandbox may forbid it; then the limit is what its maker gave.
        if let Err(error) = setrlimit(Resource::Nofile, wanted) {
            debug!(%error, "file descriptor limit not raised");
        }
    }
    let Some(have) = getrlimit(Resource::Nofile).current else { return };
    let needed = Needed::by(settings);
    let sum = needed.sum();
    if have < sum {
        let Needed { inbound, outbound, .. } = needed;
        warn!(
            have,
            needed = sum,
            inbound,
            outbound,
            "file descriptor limit too low for the settings"
        );
    }
}

/// How many descriptors a relay may have open at once, by what for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Needed {
    /// Connections that are taken in.
    inbound: usize,
    /// Attempts: each looks names up, fetches a policy or talks to a host, and reads a message; and
    /// connections between two messages.
    outbound: usize,
    /// Policies that are refreshed.
    policies: usize,
    /// The sockets that listen, monitors, commands, and the check of the resolver.
    admin: usize,
    /// Files of the queue and of the process.
    files: usize,
}

impl Needed {
    /// By these settings.
    fn by(settings: &Settings) -> Self {
        let connections = settings.listener.limits.connections;
        let monitors =
            settings.admin_address.map_or(0, |_| monitoring_port::CONNECTIONS.saturating_add(1));
        let commands = COMMANDS.saturating_mul(COMMAND).saturating_add(1);
        let sockets = settings.listeners.len();
        let admin = [sockets, monitors, commands, LOOKUP];
        Self {
            inbound: connections.saturating_mul(CONNECTION),
            outbound: settings.delivery.descriptors(),
            policies: refresh::AT_ONCE.saturating_mul(LOOKUP),
            admin: admin.into_iter().fold(0, usize::saturating_add),
            files: QUEUE.saturating_add(PROCESS),
        }
    }

    /// All together.
    fn sum(self) -> u64 {
        let Self { inbound, outbound, policies, admin, files } = self;
        let parts = [inbound, outbound, policies, admin, files];
        let sum = parts.into_iter().fold(0, usize::saturating_add);
        u64::try_from(sum).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use settings::Source;

    use super::*;

    /// What is needed by the usual settings and these.
    fn needed(more: &str) -> Needed {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("sts-relay.toml");
        std::fs::write(&file, format!("hostname = \"relay.example\"\n{more}\n")).unwrap();
        let source = Source::read(Some(&file), []).unwrap();
        Needed::by(&Settings::check(&source, SystemTime::UNIX_EPOCH).unwrap())
    }

    #[test]
    fn every_setting_that_opens_something_is_reckoned_with() {
        let usual = needed("");
        assert_eq!(usual.inbound, 2 * 1_000);
        for (more, each, count) in [
            ("limits.connections = 1001", 2, 1),
            ("admin.address = \"127.0.0.1:0\"", 1, 33),
            (
                "listener = [{ address = \"127.0.0.1:25\" }, { address = \"127.0.0.1:26\" }, \
                 { address = \"127.0.0.1:27\" }]",
                1,
                2,
            ),
        ] {
            assert_eq!(needed(more).sum(), usual.sum() + each * count, "{more}");
        }
        assert!(needed("delivery.connections = 5000").outbound >= usual.outbound + 5 * 3_000);
    }

    #[test]
    fn no_settings_are_too_large_to_be_reckoned() {
        let most = usize::MAX;
        let all = Needed { inbound: most, outbound: most, policies: 1, admin: 1, files: 1 };
        assert_eq!(all.sum(), u64::MAX);
    }
}
