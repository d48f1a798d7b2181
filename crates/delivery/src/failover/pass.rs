//! What all steps of a pass over hosts work with.

use std::sync::Arc;

use mail::{Message, TlsRequired};
use mta_sts::Decision;
use mta_sts::danger::TlsRequiredNo;
use queue::Lease;
use smtp::{Reply, ReversePath};
use tls_policy::DaneDemand;

use super::walk::Walk;
use crate::attempt_pace::AttemptPace;
use crate::client::Client;
use crate::connection_cache::Rank;
use crate::downgrade::Downgrade;
use crate::pace::Halved;
use crate::paces::Under;
use crate::patience::Patience;
use crate::rate_reply::names_rate;
use crate::settings::RequireTlsDelivery;
use crate::target::Target;

/// How many hosts are asked to take a message in one attempt. RFC 5321 §5.1 wants two at least;
/// more would only make every host of a domain refuse it for the same reason.
const SESSIONS: usize = 2;

/// A pass over the hosts of a next hop.
#[derive(Debug)]
pub(super) struct Pass<'a> {
    pub(super) client: &'a Client,
    pub(super) lease: &'a Lease,
    /// To pass over what TLSA records ask for, where the message has such licence.
    pub(super) licence: Option<&'a TlsRequiredNo>,
    /// What the policy of the next hop asks for.
    pub(super) decision: &'a Decision,
    /// Whether the operator demands TLSA records of the next hop.
    pub(super) demand: DaneDemand,
    /// Whether hosts are held to proven TLS on the further way.
    pub(super) keyword: Keyword,
    /// How long the attempt may wait.
    pub(super) patience: Arc<Patience>,
    /// What hosts are told of the message.
    pub(super) downgrade: Downgrade,
    /// What the attempt has of the limits that its mail is under.
    pub(super) pace: &'a AttemptPace,
}

/// A host, and how it stands among those of the next hop.
#[derive(Clone, Copy, Debug)]
pub(super) struct Host<'a> {
    /// The host.
    pub(super) target: &'a Target,
    /// Whether another comes before it.
    pub(super) rank: Rank,
}

/// Which sessions a host may be asked over.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Sessions {
    /// Idle ones, and new ones.
    All,
    /// Those that are there already.
    Idle,
}

/// Whether hosts are told REQUIRETLS (RFC 8689 §2).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Keyword {
    /// The message does not ask for it.
    None,
    /// Those that have proved themselves and offer it.
    WhereOffered,
    /// All that get the message.
    Always,
}

impl Keyword {
    /// For a message. One that nobody can be told of is not held for hosts that offer it (RFC 8689
    /// §5); a notification of our own is, since it can do without what it returns.
    pub(super) fn of(message: &Message, delivery: RequireTlsDelivery) -> Self {
        match (message.tls, &message.reverse_path, delivery) {
            (TlsRequired::No | TlsRequired::Unspecified, _, _) => Self::None,
            (TlsRequired::Yes, ReversePath::Null, _)
            | (
                TlsRequired::Yes | TlsRequired::YesOrRedacted,
                _,
                RequireTlsDelivery::Opportunistic,
            ) => Self::WhereOffered,
            (TlsRequired::Yes, ReversePath::Mailbox(_), RequireTlsDelivery::Enforce)
            | (TlsRequired::YesOrRedacted, _, RequireTlsDelivery::Enforce) => Self::Always,
        }
    }
}

impl Pass<'_> {
    /// Whether no other host is to be asked.
    pub(super) fn is_over(&self, walk: &Walk) -> bool {
        self.patience.overdue().is_some()
            || walk.engaged() >= SESSIONS
            || walk.open.is_empty()
            || self.pace.is_turned_away()
    }

    /// The destination, and the limits that its mail may be under.
    pub(super) fn under(&self) -> Under<'_> {
        let Client { settings, clock, .. } = self.client;
        let destination = self.lease.destination_name();
        Under { limits: &settings.limits, destination, now: clock.now() }
    }

    /// Has the pace halved, of mail as this, if a host's reply says that we send too fast.
    pub(super) fn hear(&self, host: &str, reply: &Reply) {
        if !names_rate(reply) {
            return;
        }
        // The host has counted it, whether it got a message or not.
        self.pace.sends();
        let (destination, reply) = (self.lease.destination_name(), reply.one_line());
        let limit = self.pace.limit();
        let recent = self.client.windows.recent(destination);
        match self.client.paces.slow(limit.as_ref(), self.under(), recent, &reply) {
            Halved::Before => {}
            Halved::Now => {
                self.client.observer.slowed();
                let limit = limit.as_ref().map_or(&**destination, |limit| &*limit.name);
                tracing::warn!(limit, mx = host, reply, "sending rate halved");
            }
        }
    }
}
