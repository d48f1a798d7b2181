//! The name of this relay: whether it will do, and what it is where the settings do not give it.

use smtp::{Domain, DomainError};

/// The name of last resort. It is true of every machine and helps nobody to find this one.
const FALLBACK: &str = "localhost.localdomain";

/// What is to be said about a name that the settings give.
pub(crate) fn doubt(name: &Domain) -> Option<String> {
    let refused = || {
        format!("hostname {name} is not fully qualified, and many mail hosts refuse such a name")
    };
    (name.labels().count() < 2).then(refused)
}

/// The system's name, and what is to be said about it.
pub(crate) fn of_system() -> Result<(Domain, Option<String>), DomainError> {
    let name = rustix::system::uname();
    judge(&name.nodename().to_string_lossy())
}

/// `name` if it can be this relay's.
fn judge(name: &str) -> Result<(Domain, Option<String>), DomainError> {
    match Domain::parse(name) {
        Ok(domain) if domain.labels().count() > 1 => Ok((domain, None)),
        Ok(domain) => {
            let warning = format!(
                "the system's name, {domain}, is not fully qualified, and many mail hosts refuse \
                 such a name; set `hostname`"
            );
            Ok((domain, Some(warning)))
        }
        Err(error) => {
            let warning = format!(
                "the system's name, `{name}`, is no host name ({error}), so this relay calls itself \
                 {FALLBACK}; set `hostname`"
            );
            Ok((Domain::parse(FALLBACK)?, Some(warning)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_the_settings_that_will_not_do_is_told_once() {
        let doubted = |name| doubt(&Domain::parse(name).unwrap());
        assert_eq!(doubted("mail.example.org"), None);
        let warning =
            "hostname relay is not fully qualified, and many mail hosts refuse such a name";
        assert_eq!(doubted("relay").as_deref(), Some(warning));
    }

    #[test]
    fn a_name_that_will_not_do_is_told_and_one_that_cannot_be_is_replaced() {
        for (name, used, warned) in [
            ("mail.example.org", "mail.example.org", false),
            ("Relay", "relay", true),
            ("my host", FALLBACK, true),
            ("", FALLBACK, true),
            ("3f2a", "3f2a", true),
            ("1234", FALLBACK, true),
        ] {
            let (domain, warning) = judge(name).unwrap();
            assert_eq!((domain.as_str(), warning.is_some()), (used, warned), "{name}");
        }
    }
}
