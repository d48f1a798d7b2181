//! What became of a recipient in one attempt.

use std::net::SocketAddr;

use smtp::EnhancedCode;

/// What became of one recipient.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// It is out of our hands for ever; the bounce, if any, travels with the settlement.
    Bounced(Reason),
    /// To be tried again.
    Deferred(Reason),
    /// The next host has taken responsibility (RFC 5321 §6.1).
    Delivered {
        /// The host that took it.
        mx: String,
        /// The address at which it was reached, where that is known.
        addr: Option<SocketAddr>,
        /// What it said.
        reply: String,
    },
}

/// Why a recipient was deferred or bounced.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Reason {
    /// The status in RFC 3463's numbers.
    pub enhanced: EnhancedCode,
    /// The same in words.
    pub text: String,
    /// The host that was tried, where one was.
    pub mx: Option<String>,
    /// The address at which it was tried, where one was.
    pub addr: Option<SocketAddr>,
    /// What it replied, where it did.
    pub reply: Option<String>,
    /// The policy that stood in the way, where one did.
    pub policy: Option<String>,
}

impl Reason {
    /// A reason without host, address, reply or policy.
    #[must_use]
    pub fn new(enhanced: EnhancedCode, text: impl Into<String>) -> Self {
        let (mx, addr, reply, policy) = (None, None, None, None);
        Self { enhanced, text: text.into(), mx, addr, reply, policy }
    }
}
