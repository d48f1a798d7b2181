//! The client at the other end: replies to it, and how long it is waited for.

use std::sync::Arc;
use std::time::Duration;

use smtp::{Reply, ReplyCode};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use tracing::{debug, info};

use crate::connections::{ClientClass, ConnectionPermit};
use crate::host::Host;
use crate::observer::Refused;
use crate::refusal::Refusal;
use crate::session::Session;
use crate::settings::Timeouts;
use crate::wire::{Wire, after, from_now};

/// How many waits of a client that is not admitted its connection lasts at most.
const UNADMITTED_WAITS: u32 = 6;

/// The wire to a client with what is known of it.
#[derive(Debug)]
pub(super) struct Dialogue<S> {
    pub(super) wire: Wire<S>,
    pub(super) session: Session,
    pub(super) host: Arc<Host>,
    pub(super) permit: ConnectionPermit,
}

/// Whether the dialogue goes on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Onward {
    Close,
    Continue,
    /// TLS goes on with the stream.
    Secure,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Dialogue<S> {
    /// Refuses DATA. Whatever is at hand behind it was meant as the message, by a client that did
    /// not wait (RFC 2920 §3.1), and must not be taken for commands.
    pub(super) fn refuse_data(&mut self, refusal: &Refusal) -> Onward {
        let onward = self.refuse(refusal);
        if onward == Onward::Close || self.wire.input().is_empty() {
            return onward;
        }
        self.refuse(&Refusal::MessageBeforeGoAhead)
    }

    /// Refuses the whole connection.
    pub(super) fn refuse_connection(&mut self, refusal: &Refusal) {
        let reply = self.reply(refusal);
        let (peer, reason) = (self.session.peer(), refusal.label());
        info!(%peer, reason, reply = reply.one_line(), "connection refused");
        self.host.observer.refused(Refused::Connection, reason);
        self.wire.queue(&reply);
    }

    /// Ends the connection between two commands.
    pub(super) fn end(&mut self, why: &Refusal) -> Onward {
        let reply = self.reply(why);
        debug!(reason = why.label(), "connection ended");
        self.host.observer.refused(Refused::Connection, why.label());
        self.wire.queue(&reply);
        Onward::Close
    }

    /// Refuses a command.
    pub(super) fn refuse(&mut self, refusal: &Refusal) -> Onward {
        let reply = self.reply(refusal);
        let from = self.session.reverse_path().map(tracing::field::display);
        let (peer, user, reason) = (self.session.peer(), self.session.user(), refusal.label());
        info!(%peer, user, from, reason, reply = reply.one_line(), "command refused");
        self.host.observer.refused(Refused::Command, reason);
        self.answer(&reply)
    }

    /// The reply to a refusal.
    pub(super) fn reply(&self, refusal: &Refusal) -> Reply {
        refusal.reply(&self.host.rules.settings.hostname)
    }

    /// Writes a refusal; 421 says that the connection ends (RFC 5321 §4.2.3).
    pub(super) fn answer(&mut self, reply: &Reply) -> Onward {
        self.wire.queue(reply);
        if reply.code() == ReplyCode::NOT_AVAILABLE { Onward::Close } else { Onward::Continue }
    }

    /// How long the client may say nothing, or take no reply.
    pub(super) fn patience(&self) -> Duration {
        let Timeouts { command, .. } = *self.timeouts();
        match self.permit.class() {
            ClientClass::Admitted => command,
            ClientClass::Unadmitted => {
                command.min(self.host.unadmitted_wait(&self.session, &self.permit))
            }
        }
    }

    /// When the connection has lasted as long as it may.
    pub(super) fn end_at_latest(&self) -> Instant {
        let Timeouts { connection, .. } = *self.timeouts();
        let lasts = match self.permit.class() {
            ClientClass::Admitted => connection,
            ClientClass::Unadmitted => connection.min(
                self.host
                    .unadmitted_wait(&self.session, &self.permit)
                    .saturating_mul(UNADMITTED_WAITS),
            ),
        };
        after(self.permit.since(), lasts)
    }

    /// Until when the client is waited for.
    pub(super) fn waits_until(&self) -> Instant {
        from_now(self.patience()).min(self.end_at_latest())
    }

    /// How long things may take.
    pub(super) fn timeouts(&self) -> &Timeouts {
        &self.host.rules.settings.timeouts
    }
}
