//! The log: text or JSON on standard output, as the settings say by now.

mod fields;
mod postfix;

use std::io::{IsTerminal as _, Stdout};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::{Format, Json, JsonFields};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Registry, fmt, reload};

use self::fields::TextFields;
use crate::settings::{LogFormat, LogLevel, RawLog};

/// Our own crates, whose lines docs/operations.md explains; of all others only warnings are told.
const OURS: [&str; 9] =
    ["clock", "dane", "delivery", "dns", "listener", "mta_sts", "queue", "sts_relay", "tls_rpt"];

/// The log of this process, whose settings may change.
#[derive(Debug)]
pub(crate) struct Log {
    /// What is let through; none where another log was there before.
    filter: Option<reload::Handle<Targets, Registry>>,
    json: Arc<AtomicBool>,
}

impl Log {
    /// Writes what is logged from here on to standard output.
    ///
    /// A second log in one process writes nothing.
    pub(crate) fn install(settings: &RawLog) -> Self {
        let json = Arc::new(AtomicBool::new(settings.format == LogFormat::Json));
        let (filter, handle) = reload::Layer::new(filter(settings));
        let lines = Lines::new(Arc::clone(&json));
        let installed = tracing_subscriber::registry().with(filter).with(lines).try_init();
        match installed {
            Ok(()) => Self { filter: Some(handle), json },
            Err(error) => {
                tracing::debug!(%error, "log was already set up");
                Self { filter: None, json }
            }
        }
    }

    /// Writes by other settings from now on.
    pub(crate) fn change(&self, settings: &RawLog) {
        self.json.store(settings.format == LogFormat::Json, Ordering::Relaxed);
        let changed = self.filter.as_ref().map(|handle| handle.reload(filter(settings)));
        if let Some(Err(error)) = changed {
            tracing::warn!(%error, "log level not changed");
        }
    }
}

/// What is let through.
fn filter(settings: &RawLog) -> Targets {
    let level = match settings.level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let others = level.min(LevelFilter::WARN);
    let postfix = if settings.postfix_lines { LevelFilter::INFO } else { LevelFilter::OFF };
    Targets::new()
        .with_default(others)
        .with_targets(OURS.map(|target| (target, level)))
        .with_target(postfix::TARGET, postfix)
}

/// Lines in both forms, of which one is written.
///
/// Both hear of every span, because each keeps the fields of a span in a form of its own: one that
/// was begun under the other form is told as well.
struct Lines<S> {
    text: fmt::Layer<S, TextFields, Format, fn() -> Stdout>,
    json: fmt::Layer<S, JsonFields, Format<Json>, fn() -> Stdout>,
    is_json: Arc<AtomicBool>,
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Lines<S> {
    fn new(is_json: Arc<AtomicBool>) -> Self {
        let stdout: fn() -> Stdout = std::io::stdout;
        let colours = std::io::stdout().is_terminal();
        let text = fmt::layer().fmt_fields(TextFields).with_ansi(colours).with_writer(stdout);
        let json =
            fmt::layer().json().flatten_event(true).with_current_span(false).with_writer(stdout);
        Self { text, json, is_json }
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Lines<S> {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        self.text.on_new_span(attributes, id, context.clone());
        self.json.on_new_span(attributes, id, context);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        self.text.on_record(id, values, context.clone());
        self.json.on_record(id, values, context);
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        if event.metadata().target() == postfix::TARGET {
            postfix::write(event);
        } else if self.is_json.load(Ordering::Relaxed) {
            self.json.on_event(event, context);
        } else {
            self.text.on_event(event, context);
        }
    }
}
