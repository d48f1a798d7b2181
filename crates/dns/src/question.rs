//! A question that can be put to a name server.

use hickory_resolver::proto::op::Query;
use hickory_resolver::proto::rr::{Name, RecordType};

/// The longest name in text, without the dot at its end: 255 octets on the wire (RFC 1035 §3.1).
const LONGEST_NAME: usize = 253;

/// The longest label (RFC 1035 §2.3.4).
const LONGEST_LABEL: usize = 63;

/// A fully qualified name in lower case, and the type of the records wanted there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Question {
    name: Name,
    record_type: RecordType,
}

/// Why a text makes no question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NameFault {
    /// A name or label longer than the protocol can carry: it certainly does not exist.
    TooLong,
    /// Not a name at all.
    NotAName,
}

impl Question {
    /// The question for the `record_type` records at `name`, with or without its final dot.
    ///
    /// Names are in lower case so that the answers of one name share a place in the cache, and
    /// letters, digits, hyphens and underscores only, so that no escape of the zone-file notation is
    /// ever read into one.
    pub(crate) fn new(name: &str, record_type: RecordType) -> Result<Self, NameFault> {
        let text = name.strip_suffix('.').unwrap_or(name);
        if text.split('.').any(|label| label.is_empty() || !label.bytes().all(is_label_octet)) {
            return Err(NameFault::NotAName);
        }
        if text.len() > LONGEST_NAME || text.split('.').any(|label| label.len() > LONGEST_LABEL) {
            return Err(NameFault::TooLong);
        }
        let mut name =
            Name::from_ascii(text).map_err(|_unreadable| NameFault::NotAName)?.to_lowercase();
        name.set_fqdn(true);
        Ok(Self { name, record_type })
    }

    /// The question for the `record_type` records of the root.
    pub(crate) fn of_root(record_type: RecordType) -> Self {
        Self { name: Name::root(), record_type }
    }

    /// The same question about another name.
    pub(crate) fn at(&self, name: &Name) -> Self {
        Self { name: name.to_lowercase(), record_type: self.record_type }
    }

    pub(crate) const fn name(&self) -> &Name {
        &self.name
    }

    pub(crate) const fn record_type(&self) -> RecordType {
        self.record_type
    }

    /// The question section.
    pub(crate) fn to_query(&self) -> Query {
        Query::query(self.name.clone(), self.record_type)
    }
}

const fn is_label_octet(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || octet == b'-' || octet == b'_'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(name: &str) -> Result<Question, NameFault> {
        Question::new(name, RecordType::TXT)
    }

    #[test]
    fn a_question_is_fully_qualified_and_in_lower_case() {
        let question = ask("_MTA-STS.Example.COM").unwrap();
        assert_eq!(question.name().to_ascii(), "_mta-sts.example.com.");
        assert_eq!(question, ask("_mta-sts.example.com.").unwrap());
    }

    #[test]
    fn what_is_not_a_name_is_not_asked() {
        let bad = ["", ".", "a..b", ".a", "a b", "a\\.b", "b\u{fc}cher.example", "a\0b", "*.a"];
        for name in bad {
            assert_eq!(ask(name), Err(NameFault::NotAName), "{name:?}");
        }
    }

    #[test]
    fn what_the_protocol_cannot_carry_is_told_apart() {
        let label = "a".repeat(63);
        let longest = format!("{label}.{label}.{label}.{}", "a".repeat(61));
        assert_eq!(longest.len(), 253);
        assert!(ask(&longest).is_ok());
        assert_eq!(ask(&format!("{longest}a")), Err(NameFault::TooLong));
        assert_eq!(ask(&format!("{}.example", "a".repeat(64))), Err(NameFault::TooLong));
    }
}
