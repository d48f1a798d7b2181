//! What a service manager is told: ready, alive, stopping (systemd's `sd_notify` protocol).
//!
//! Where no manager listens (no `NOTIFY_SOCKET`), nothing is told and nothing is missed.

use std::future::pending;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::{Interval, MissedTickBehavior, interval};
use tracing::warn;

/// The service manager that started us, if one did.
#[derive(Debug)]
pub(super) struct ServiceManager {
    /// When it is told that we live; none where it does not ask.
    watchdog: Option<Interval>,
}

impl ServiceManager {
    /// Says that mail is taken in and the queue is open.
    pub(super) fn ready() -> Self {
        tell(&[NotifyState::Ready]);
        Self { watchdog: sd_notify::watchdog_enabled().map(heartbeat) }
    }

    /// Says that the settings are being read again; [`Self::reloaded`] says when that is over.
    pub(super) fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => tell(&[NotifyState::Reloading, now]),
            Err(error) => warn!(%error, "service manager notification failed"),
        }
    }

    /// Says that the settings have been read again, whatever came of it.
    pub(super) fn reloaded(&self) {
        tell(&[NotifyState::Ready]);
    }

    /// Tells it again and again that we live, for as long as this is polled.
    ///
    /// It is polled where signals are waited for: what keeps a signal from being heard lets the
    /// manager think us dead, and rightly.
    pub(super) async fn keep_alive(&mut self) {
        let Some(watchdog) = &mut self.watchdog else { return pending().await };
        loop {
            watchdog.tick().await;
            tell(&[NotifyState::Watchdog]);
        }
    }

    /// Says that no more mail is taken in.
    pub(super) fn stopping(&self) {
        tell(&[NotifyState::Stopping]);
    }
}

/// Ticks twice in the time in which a sign of life is asked for.
fn heartbeat(patience: Duration) -> Interval {
    let mut watchdog = interval((patience / 2).max(Duration::from_millis(1)));
    watchdog.set_missed_tick_behavior(MissedTickBehavior::Delay);
    watchdog
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        warn!(%error, "service manager notification failed");
    }
}
