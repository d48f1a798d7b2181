//! What became of a recipient, as far as a sender may want to know.

use std::net::SocketAddr;

use queue::{Reason, Recipient};
use smtp::{Class, Condition, EnhancedCode};

use crate::status::permanent;

/// What a notification says of one recipient.
#[derive(Clone, Copy, Debug)]
pub(crate) struct About<'a> {
    /// The recipient, as the sender named it.
    pub(crate) recipient: &'a Recipient,
    /// What became of it.
    pub(crate) news: News<'a>,
}

/// What became of a recipient (RFC 3464 §2.3.3).
///
/// There is no `delivered`: a relay delivers into no mailbox. There is no `expanded` either.
#[derive(Clone, Copy, Debug)]
pub(crate) enum News<'a> {
    /// Nothing yet, and attempts go on.
    Delayed(&'a Reason),
    /// Nothing, for good.
    Failed(&'a Reason),
    /// It was passed on to a host that sends no reports (RFC 3461 §5.2.2).
    Relayed {
        /// The host.
        mx: &'a str,
        /// Its address.
        addr: Option<SocketAddr>,
        /// What it said.
        reply: &'a str,
    },
}

impl<'a> News<'a> {
    /// The condition under which a sender wants to know (RFC 3461 §4.1).
    const fn condition(self) -> Condition {
        match self {
            Self::Delayed(_) => Condition::Delay,
            Self::Failed(_) => Condition::Failure,
            Self::Relayed { .. } => Condition::Success,
        }
    }

    /// Whether `recipient`'s sender wants to know; one who said nothing wants to hear of trouble
    /// alone (RFC 3461 §4.1).
    pub(crate) fn is_wanted(self, recipient: &Recipient) -> bool {
        let condition = self.condition();
        recipient.notify.map_or(condition != Condition::Success, |notify| notify.on(condition))
    }

    /// The action's name (RFC 3464 §2.3.3).
    pub(crate) const fn action(self) -> &'static str {
        match self {
            Self::Delayed(_) => "delayed",
            Self::Failed(_) => "failed",
            Self::Relayed { .. } => "relayed",
        }
    }

    /// The status (RFC 3464 §2.3.4), of the class that goes with the action.
    pub(crate) fn status(self) -> EnhancedCode {
        match self {
            Self::Delayed(reason) => reason.enhanced.with_class(Class::PersistentTransient),
            Self::Failed(reason) => permanent(reason.enhanced),
            Self::Relayed { reply, .. } => {
                let given = reply.split(' ').nth(1).and_then(EnhancedCode::parse);
                given.unwrap_or(EnhancedCode::new(Class::Success, 0, 0)).with_class(Class::Success)
            }
        }
    }

    /// The host that was last spoken to, if any was.
    pub(crate) fn mx(self) -> Option<&'a str> {
        match self {
            Self::Delayed(reason) | Self::Failed(reason) => reason.mx.as_deref(),
            Self::Relayed { mx, .. } => Some(mx),
        }
    }

    /// At which address.
    pub(crate) const fn addr(self) -> Option<SocketAddr> {
        match self {
            Self::Delayed(reason) | Self::Failed(reason) => reason.addr,
            Self::Relayed { addr, .. } => addr,
        }
    }

    /// What the host said, if it did.
    pub(crate) fn reply(self) -> Option<&'a str> {
        match self {
            Self::Delayed(reason) | Self::Failed(reason) => reason.reply.as_deref(),
            Self::Relayed { reply, .. } => Some(reply),
        }
    }

    /// Why, where something went wrong.
    pub(crate) const fn reason(self) -> Option<&'a Reason> {
        match self {
            Self::Delayed(reason) | Self::Failed(reason) => Some(reason),
            Self::Relayed { .. } => None,
        }
    }
}
