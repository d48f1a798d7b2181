//! Who is told, and of what.

use std::time::Duration;

use smtp::Mailbox;

use crate::event::Event;
use crate::severity::Severity;
use crate::signature::Secret;
use crate::url::Url;

/// Who is told, and of what.
#[derive(Clone, Debug)]
pub struct Destination {
    /// What it is called, in the log and by `sts-relay notify test`; no two have one name.
    pub name: String,
    /// How it is told.
    pub channel: Channel,
    /// Of which events.
    pub events: Vec<EventPattern>,
    /// From which urgency on.
    pub least: Severity,
    /// How often it is told of what lasts; none: once.
    pub repeat: Option<Duration>,
}

/// How a destination is told.
#[derive(Clone, Debug)]
pub enum Channel {
    /// By mail, through the relay's own queue.
    Mail {
        /// To whom; one at least.
        to: Vec<Mailbox>,
    },
    /// By a POST of `{"text": ...}`, as Slack, Mattermost and Rocket.Chat take it.
    Slack {
        /// Where.
        url: Url,
    },
    /// By a POST of what Prometheus' Alertmanager sends (version 4), signed where there is a secret.
    Webhook {
        /// Where.
        url: Url,
        /// What signs it (Standard Webhooks).
        secret: Option<Secret>,
    },
}

/// Which events are meant.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum EventPattern {
    /// Every one.
    All,
    /// This one.
    One(Event),
}

impl Destination {
    /// Whether it is told of an event of this urgency.
    pub(crate) fn wants(&self, event: Event, severity: Severity) -> bool {
        severity >= self.least
            && self.events.iter().any(|pattern| match pattern {
                EventPattern::All => true,
                EventPattern::One(one) => *one == event,
            })
    }
}
