//! The signals that a running relay obeys, each logged with its sender.

use std::fmt;
use std::io;
use std::thread;

use admin::server::operator::Operator;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::origin::{Origin, WithOrigin};
use tokio::sync::mpsc::{self, Receiver};
use tracing::info;

/// Signals that wait to be obeyed; the kernel merges what comes on top.
const WAITING_MOST: usize = 8;

/// What a signal asks for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Signalled {
    /// Read settings, certificates and users again, because this user says so.
    Reload(Operator),
    /// Stop.
    Stop,
}

/// SIGHUP, SIGINT and SIGTERM, in the order of their arrival.
pub(super) struct Signals {
    received: Receiver<Origin>,
}

impl Signals {
    /// Installs the handlers, and starts the thread that reads what they note.
    pub(super) fn listen() -> io::Result<Self> {
        let mut signals = SignalsInfo::<WithOrigin>::new([SIGHUP, SIGINT, SIGTERM])?;
        let (sender, received) = mpsc::channel(WAITING_MOST);
        thread::Builder::new().name("signals".to_owned()).spawn(move || {
            for origin in signals.forever() {
                if sender.blocking_send(origin).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { received })
    }

    /// Waits for the first that comes. Cancel safe.
    pub(super) async fn next(&mut self) -> Signalled {
        let Some(origin) = self.received.recv().await else { return std::future::pending().await };
        let by = Sender(&origin);
        let pid = origin.process.map(|process| process.pid);
        match origin.signal {
            SIGHUP => {
                info!(signal = "SIGHUP", %by, pid, "signal received: reloading");
                Signalled::Reload(Operator::of(origin.process.map(|process| process.uid)))
            }
            signal => {
                let signal = if signal == SIGINT { "SIGINT" } else { "SIGTERM" };
                info!(signal, %by, pid, "signal received: shutting down");
                Signalled::Stop
            }
        }
    }

    /// Waits for a signal to stop.
    pub(super) async fn stop(&mut self) {
        while matches!(self.next().await, Signalled::Reload(_)) {}
    }
}

/// The user whose process sent a signal.
struct Sender<'a>(&'a Origin);

impl fmt::Display for Sender<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.process {
            Some(process) => Operator::of(Some(process.uid)).fmt(f),
            // Control-C, and a terminal that was closed.
            None => f.write_str("the kernel"),
        }
    }
}
