//! Who sends a report, and what a report is called.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::address::MailAddress;
use crate::day::Day;
use crate::domain::DomainName;
use crate::text::i_json;

/// The longest name of an instance.
const INSTANCE_MAX: usize = 64;

/// Who sends reports. The domain of the contact address is the submitter's everywhere: in the
/// report, its name, the header of its message, and so for the DKIM signature (RFC 8460 §5.3).
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Submitter {
    contact: MailAddress,
    organization: String,
    instance: Instance,
}

impl Submitter {
    /// Whoever is reached at `contact`. Without a name the organization is its domain.
    #[must_use]
    pub fn new(contact: MailAddress, organization: &str, instance: Instance) -> Self {
        let name = match organization.trim() {
            "" => contact.domain().to_string(),
            name => i_json(name),
        };
        Self { contact, organization: name, instance }
    }

    /// The address for questions, from which reports come (`contact-info`).
    #[must_use]
    pub const fn contact(&self) -> &MailAddress {
        &self.contact
    }

    /// The domain of the contact address (`TLS-Report-Submitter`).
    #[must_use]
    pub const fn domain(&self) -> &DomainName {
        self.contact.domain()
    }

    /// The name for people (`organization-name`).
    #[must_use]
    pub fn organization(&self) -> &str {
        &self.organization
    }

    /// Which of the submitter's systems it is.
    #[must_use]
    pub const fn instance(&self) -> &Instance {
        &self.instance
    }
}

/// One of the systems of a submitter: letters and digits, at most 64 (`unique-id`, RFC 8460 §5.1).
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Instance(String);

impl Instance {
    /// Parses a name.
    ///
    /// # Errors
    ///
    /// [`InstanceError`] where it is anything but 1 to 64 letters and digits.
    pub fn parse(text: &str) -> Result<Self, InstanceError> {
        let fits = (1..=INSTANCE_MAX).contains(&text.len());
        if fits && text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InstanceError)
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Instance {
    type Error = InstanceError;

    fn try_from(text: String) -> Result<Self, InstanceError> {
        Self::parse(&text)
    }
}

impl From<Instance> for String {
    fn from(instance: Instance) -> Self {
        instance.0
    }
}

/// A text is not the name of an instance.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("it is not 1 to 64 letters and digits")]
pub struct InstanceError;

/// What a report is called (`report-id`): its day, the domain that it goes to, and who sends it.
///
/// It is the same for every destination and each time the report is sent, so that whoever gets it
/// twice can tell (RFC 8460 §5.3). It has the form of a message id without its brackets
/// (RFC 5322 §3.6.4).
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ReportId {
    left: String,
    right: DomainName,
}

impl ReportId {
    /// The name of the report about `day` to `domain`.
    #[must_use]
    pub fn new(day: Day, domain: &DomainName, submitter: &Submitter) -> Self {
        let left = format!("{day}.{domain}.{}", submitter.instance());
        Self { left, right: submitter.domain().clone() }
    }

    /// What stands before the `@`.
    #[must_use]
    pub fn left(&self) -> &str {
        &self.left
    }

    /// What stands behind the `@`.
    #[must_use]
    pub const fn right(&self) -> &DomainName {
        &self.right
    }
}

impl fmt::Display for ReportId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.left, self.right)
    }
}
