//! The log: text or JSON on standard output, as the settings say by now.

mod addresses;
mod fields;
mod outlet;
mod postfix;
mod writer;

use std::io::IsTerminal as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use settings::{LogFormat, LogLevel, RawLog};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::{Format, Full, Json, JsonFields};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Registry, fmt, reload};

use self::addresses::Addresses;
use self::fields::TextFields;
use self::writer::{Lines, Reader, Time};

/// Our own crates that log, whose lines docs/logs.md explains; of all others only warnings are
/// written.
const OURS: [&str; 12] = [
    "admin",
    "delivery",
    "dns",
    "history",
    "listener",
    "mta_sts",
    "notify",
    "pkix",
    "reporting",
    "store_embedded",
    "store_postgres",
    "sts_relay",
];

/// The log of this process, whose settings may change.
#[derive(Debug)]
pub(crate) struct Log {
    /// What is let through; none where another log was there before.
    filter: Option<reload::Handle<Targets, Registry>>,
    json: Arc<AtomicBool>,
    lines: Lines,
}

impl Log {
    /// Writes what is logged from here on to standard output; a key for addresses is kept in
    /// `data_dir`.
    ///
    /// A second log in one process writes nothing.
    pub(crate) fn install(settings: &RawLog, data_dir: &Path) -> Self {
        let json = Arc::new(AtomicBool::new(settings.format == LogFormat::Json));
        let (filter, handle) = reload::Layer::new(filter(settings));
        let (addresses, unkept) = Addresses::new(settings.addresses, data_dir);
        let reader = Reader::of_stdout();
        let lines = Lines::new(reader, addresses);
        let forms = Forms::new(reader, &lines, Arc::clone(&json));
        let installed = tracing_subscriber::registry().with(filter).with(forms).try_init();
        let filter = match installed {
            Ok(()) => Some(handle),
            Err(error) => {
                tracing::debug!(%error, "log was already set up");
                None
            }
        };
        warn_of(unkept);
        Self { filter, json, lines }
    }

    /// Writes by other settings from now on.
    pub(crate) fn change(&self, settings: &RawLog, data_dir: &Path) {
        let (addresses, unkept) = Addresses::new(settings.addresses, data_dir);
        self.lines.change(addresses);
        warn_of(unkept);
        self.json.store(settings.format == LogFormat::Json, Ordering::Relaxed);
        let changed = self.filter.as_ref().map(|handle| handle.reload(filter(settings)));
        if let Some(Err(error)) = changed {
            tracing::warn!(%error, "log level not changed");
        }
    }
}

impl Drop for Log {
    /// No line is left behind; what is logged after this, by what ends last, is written at once.
    fn drop(&mut self) {
        self.lines.close();
    }
}

/// Says that tokens of addresses will be others after the next start.
fn warn_of(unkept: Option<std::io::Error>) {
    if let Some(error) = unkept {
        tracing::warn!(%error, "log key not saved");
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

/// Whether colours are wanted (no-color.org).
fn wants_colours() -> bool {
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    std::io::stdout().is_terminal() && !no_color
}

/// Both forms of a line, of which one is written.
///
/// Both hear of every span, because each keeps the fields of a span in a form of its own: one that
/// was begun under the other form is told as well.
struct Forms<S> {
    text: fmt::Layer<S, TextFields, Format<Full, Time>, Lines>,
    json: fmt::Layer<S, JsonFields, Format<Json>, Lines>,
    is_json: Arc<AtomicBool>,
    lines: Lines,
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Forms<S> {
    fn new(reader: Reader, lines: &Lines, is_json: Arc<AtomicBool>) -> Self {
        let text = fmt::layer().fmt_fields(TextFields).with_timer(Time(reader));
        let text = text.with_ansi(wants_colours()).with_writer(lines.clone());
        let json = fmt::layer().json().flatten_event(true).with_current_span(false);
        let json = json.with_writer(lines.clone());
        Self { text, json, is_json, lines: lines.clone() }
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Forms<S> {
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
            postfix::write(event, &self.lines);
        } else if self.is_json.load(Ordering::Relaxed) {
            self.json.on_event(event, context);
        } else {
            self.text.on_event(event, context);
        }
    }
}
