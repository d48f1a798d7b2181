//! The log: text or JSON on standard output.

use std::io::IsTerminal as _;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::settings::{LogFormat, LogLevel, RawLog};

/// Our own crates, whose lines docs/operations.md explains; of all others only warnings are told.
const OURS: [&str; 9] =
    ["clock", "dane", "delivery", "dns", "listener", "mta_sts", "queue", "sts_relay", "tls_rpt"];

/// Writes what is logged from here on to standard output.
///
/// A second call in one process changes nothing.
pub(crate) fn install(settings: &RawLog) {
    let registry = tracing_subscriber::registry().with(filter(settings.level));
    let installed = match settings.format {
        LogFormat::Json => {
            let lines = fmt::layer().json().flatten_event(true).with_current_span(false);
            registry.with(lines).try_init()
        }
        LogFormat::Text => {
            let colours = std::io::stdout().is_terminal();
            registry.with(fmt::layer().with_ansi(colours)).try_init()
        }
    };
    if let Err(error) = installed {
        tracing::debug!(%error, "log was already set up");
    }
}

/// What is let through at `level`.
fn filter(level: LogLevel) -> Targets {
    let level = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let others = level.min(LevelFilter::WARN);
    Targets::new().with_default(others).with_targets(OURS.map(|target| (target, level)))
}
