//! What the relay tells its log of every hand-over, heard by the demonstration.

use std::fmt;

use mail::{PolicyMode, Protection};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};

/// The part of the relay that hands mail over.
const TELLER: &str = "delivery";

/// Stands where the log would be.
pub(crate) struct Hearing {
    heard: UnboundedSender<Handover>,
}

/// The other end.
pub(crate) struct Ears {
    heard: UnboundedReceiver<Handover>,
    /// What was heard while something else was waited for.
    kept: Vec<Handover>,
}

/// One line of the log.
#[derive(Debug, Default)]
pub(super) struct Handover {
    pub(super) word: Word,
    pub(super) domain: String,
    pub(super) mx: String,
    pub(super) policy: Policy,
    pub(super) why: String,
    pub(super) status: String,
    pub(super) error: String,
}

/// What was done.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Word {
    Bounced,
    Delivered,
    #[default]
    Deferred,
}

/// What was asked of the host.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Policy {
    /// A verified session, by the policy of the next hop.
    Enforced,
    /// To match one of its TLSA records; and it has.
    Matched,
    /// Nothing.
    #[default]
    NotEnforced,
}

impl Policy {
    /// What a line of the log says of it.
    fn read(word: &str) -> Self {
        if word == PolicyMode::Enforce.word() { Self::Enforced } else { Self::NotEnforced }
    }
}

impl Hearing {
    /// Listens to all that is logged in this process from here on.
    ///
    /// # Errors
    /// There is a log already.
    pub(crate) fn begin() -> Result<Ears, TryInitError> {
        let (tell, heard) = unbounded_channel();
        let only = Targets::new().with_target(TELLER, LevelFilter::INFO);
        tracing_subscriber::registry().with(only).with(Self { heard: tell }).try_init()?;
        Ok(Ears { heard, kept: Vec::new() })
    }
}

impl<S: Subscriber> Layer<S> for Hearing {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut reading = Reading::default();
        event.record(&mut reading);
        if let Some(word) = reading.word {
            // Nobody listens any more once the show is over.
            drop(self.heard.send(Handover { word, ..reading.handover }));
        }
    }
}

impl Ears {
    /// Waits for the next hand-over of mail to `domain`; none when the relay is gone.
    pub(super) async fn of(&mut self, domain: &str) -> Option<Handover> {
        if let Some(at) = self.kept.iter().position(|kept| kept.domain == domain) {
            return Some(self.kept.remove(at));
        }
        loop {
            let handover = self.heard.recv().await?;
            if handover.domain == domain {
                return Some(handover);
            }
            self.kept.push(handover);
        }
    }
}

/// A line as far as it was read; others have no word of ours.
#[derive(Debug, Default)]
struct Reading {
    word: Option<Word>,
    handover: Handover,
}

impl Reading {
    /// Reads one field.
    fn field(&mut self, name: &str, value: String) {
        let handover = &mut self.handover;
        match name {
            "message" => {
                self.word = match value.as_str() {
                    "bounced" => Some(Word::Bounced),
                    "deferred" => Some(Word::Deferred),
                    "delivered" => Some(Word::Delivered),
                    _ => None,
                }
            }
            "domain" => handover.domain = value,
            "mx" => handover.mx = value,
            "policy" => handover.policy = Policy::read(&value),
            "protection" if value == Protection::Dane.label() => handover.policy = Policy::Matched,
            "why" => handover.why = value,
            "status" => handover.status = value,
            "error" => handover.error = value,
            _ => {}
        }
    }
}

impl Visit for Reading {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.field(field.name(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.field(field.name(), format!("{value:?}"));
    }
}
