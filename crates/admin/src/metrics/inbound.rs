//! What the listeners take and refuse.

use listener::{Channel, Login, Observer, Refused, Taken};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use super::series::{Counters, count};

/// What the listeners take and refuse.
#[derive(Debug, Default)]
pub struct Inbound {
    connections: Counter,
    open: Gauge,
    messages: Counters<1>,
    recipients: Counter,
    bytes: Counter,
    refusals: Counters<2>,
    logins: Counters<1>,
}

impl Inbound {
    /// How many messages were taken from clients.
    pub fn accepted(&self) -> u64 {
        let of =
            |channel| self.messages.get_or_create(&[("channel", channel_label(channel))]).get();
        of(Channel::Plaintext).saturating_add(of(Channel::Tls))
    }

    /// All at nought, in `registry`.
    pub(crate) fn registered(registry: &mut Registry) -> Self {
        let new = Self::default();
        registry.register("connections", "Clients that have connected", new.connections.clone());
        registry.register("connections_open", "Clients connected now", new.open.clone());
        registry.register(
            "accepted_messages",
            "Messages taken into the queue from clients",
            new.messages.clone(),
        );
        registry.register(
            "accepted_recipients",
            "Recipients of the messages taken",
            new.recipients.clone(),
        );
        registry.register_with_unit(
            "accepted_size",
            "Octets of the messages taken, without fields of our own",
            Unit::Bytes,
            new.bytes.clone(),
        );
        registry.register(
            "refusals",
            "Connections, commands and messages refused, by reason",
            new.refusals.clone(),
        );
        registry.register("logins", "Login attempts of users", new.logins.clone());
        for channel in [Channel::Plaintext, Channel::Tls] {
            drop(new.messages.get_or_create(&[("channel", channel_label(channel))]));
        }
        // That mail is not taken because it cannot be stored is worth a rate from the start.
        drop(new.refusals.get_or_create(&[("what", "message"), ("reason", "queue")]));
        for login in [Login::Failed, Login::Succeeded] {
            drop(new.logins.get_or_create(&[("result", login_label(login))]));
        }
        new
    }
}

impl Observer for Inbound {
    fn opened(&self) {
        self.connections.inc();
        self.open.inc();
    }

    fn closed(&self) {
        self.open.dec();
    }

    fn accepted(&self, message: Taken) {
        self.messages.get_or_create(&[("channel", channel_label(message.channel))]).inc();
        self.recipients.inc_by(count(message.recipients));
        self.bytes.inc_by(message.size);
    }

    fn refused(&self, what: Refused, reason: &'static str) {
        let what = match what {
            Refused::Command => "command",
            Refused::Connection => "connection",
            Refused::Message => "message",
        };
        self.refusals.get_or_create(&[("what", what), ("reason", reason)]).inc();
    }

    fn login(&self, login: Login) {
        self.logins.get_or_create(&[("result", login_label(login))]).inc();
    }
}

const fn channel_label(channel: Channel) -> &'static str {
    match channel {
        Channel::Plaintext => "plaintext",
        Channel::Tls => "tls",
    }
}

const fn login_label(login: Login) -> &'static str {
    match login {
        Login::Failed => "failed",
        Login::Succeeded => "succeeded",
    }
}
