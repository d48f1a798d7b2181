//! What the host at the other end has room for, as its EHLO reply tells it.

use super::Session;
use crate::capabilities::Extension;
use crate::line_io::Stream;
use crate::trust::Trust;

impl<T: Trust, S: Stream> Session<T, S> {
    /// How many recipients one transaction may have: the host's word counts where it takes fewer
    /// than `most` (RFC 9422 §4.2).
    pub(crate) fn recipients_at_once(&self, most: usize) -> usize {
        self.capabilities.recipient_limit().map_or(most, |limit| limit.min(most))
    }

    /// Whether the host takes octets above 127 (RFC 6152).
    pub(crate) fn takes_eight_bits(&self) -> bool {
        self.capabilities.offers(Extension::EightBitMime)
    }

    /// Whether the host takes another message on this connection (RFC 9422 §4.1).
    pub(crate) fn takes_more(&self) -> bool {
        self.capabilities.mail_limit().is_none_or(|limit| self.transactions < limit)
    }
}
