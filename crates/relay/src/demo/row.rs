//! One line of the demonstration.

use serde::Serialize;

use super::fate::Fate;

/// What became of one domain's message.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    /// The domain.
    pub(crate) domain: &'static str,
    /// The mode of its policy; "dane" where it has TLSA records, and "none" where it has neither.
    pub(crate) policy: &'static str,
    /// What its MX hosts do.
    pub(crate) mx: &'static str,
    /// What became of the message.
    pub(crate) fate: Fate,
    /// What should have become of it.
    pub(crate) promised: Fate,
    /// The host that took the message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) host: Option<String>,
    /// The version of TLS that it came by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tls: Option<String>,
    /// Why it is where it is, in the relay's words.
    pub(crate) why: String,
    /// What the MX hosts were told in clear, command by command.
    pub(crate) in_clear: Vec<String>,
}

impl Row {
    /// Whether the relay did as it promises.
    pub(crate) fn is_as_promised(&self) -> bool {
        self.fate == self.promised
    }
}
