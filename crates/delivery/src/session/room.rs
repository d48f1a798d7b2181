//! What the host at the other end has room for, as its EHLO reply tells it.

use smtp::BodyType;
use tls_policy::Trust;

use super::established::Session;
use crate::capabilities::Extension;
use crate::line_io::Stream;

impl<T: Trust, S: Stream> Session<T, S> {
    /// How many recipients one transaction may have: the host's word counts where it takes fewer
    /// than `most` (RFC 9422 §4.2).
    pub(crate) fn recipients_at_once(&self, most: usize) -> usize {
        self.capabilities.recipient_limit().map_or(most, |limit| limit.min(most))
    }

    /// Whether the host takes messages that are announced as this (RFC 6152, RFC 3030 §3).
    pub(crate) fn takes(&self, body: BodyType) -> bool {
        let offers = |extension| self.capabilities.offers(extension);
        match body {
            BodyType::SevenBit => true,
            BodyType::EightBitMime => offers(Extension::EightBitMime),
            BodyType::BinaryMime => offers(Extension::BinaryMime) && offers(Extension::Chunking),
        }
    }

    /// Whether the host takes another message on this connection (RFC 9422 §4.1).
    pub(crate) fn takes_more(&self) -> bool {
        self.capabilities.mail_limit().is_none_or(|limit| self.transactions < limit)
    }
}
