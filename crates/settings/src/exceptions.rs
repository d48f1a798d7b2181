//! `[[exception]]`: domains whose policy is set aside for a while.

use std::time::SystemTime;

use mta_sts::{Exception, ExceptionScope, Exceptions, Lifts, PolicyDomain};

use crate::check::Check;
use crate::raw::RawLifted;
use crate::source::Source;

/// The domains whose policy is set aside for a while, as far as they can be understood.
pub(crate) fn understood(source: &Source, now: SystemTime) -> Exceptions {
    Check::new(source, now).exceptions()
}

impl Check<'_> {
    /// The domains whose policy is set aside for a while.
    pub(crate) fn exceptions(&mut self) -> Exceptions {
        let mut exceptions: Vec<Exception> = Vec::new();
        for (number, raw) in self.raw.exception.iter().enumerate() {
            let key = |name: &str| format!("exception.{number}.{name}");
            let domain = match PolicyDomain::parse(&raw.domain) {
                Ok(domain) => domain,
                Err(error) => {
                    self.wrong(&key("domain"), &error);
                    continue;
                }
            };
            if exceptions.iter().any(|other| *other.domain() == domain) {
                self.wrong(&key("domain"), "another exception is for the same domain");
            }
            if raw.until.time() <= self.now {
                self.warnings.push(format!(
                    "the exception for {} ended at {} and has no effect",
                    domain.as_str(),
                    raw.until
                ));
            }
            match Exception::new(domain, raw.until.time(), &raw.reason, self.now) {
                Ok(exception) => match lifts(&raw.what) {
                    Some(lifts) => exceptions.push(exception.of(ExceptionScope::Domain(lifts))),
                    None => self.wrong(&key("what"), "an exception must say what it is for"),
                },
                Err(error) => self.wrong(&key("until"), &error),
            }
        }
        exceptions.into_iter().collect()
    }
}

/// What an exception is for; none where it is for nothing.
fn lifts(what: &[RawLifted]) -> Option<Lifts> {
    let has = |one| what.contains(&one);
    match (has(RawLifted::MtaSts), has(RawLifted::Dane)) {
        (true, false) => Some(Lifts::MtaSts),
        (false, true) => Some(Lifts::Dane),
        (true, true) => Some(Lifts::MtaStsAndDane),
        (false, false) => None,
    }
}
