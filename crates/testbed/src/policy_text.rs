//! The text of an MTA-STS policy, written as RFC 8461 §3.2 shows it.

use std::fmt;

/// A policy file; what is not well-formed is written as plain text instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyText {
    mode: &'static str,
    mx: Vec<String>,
    max_age: u64,
}

impl PolicyText {
    /// Mode enforce, for these MX patterns.
    pub fn enforce<M: Into<String>>(mx: impl IntoIterator<Item = M>) -> Self {
        Self::of("enforce", mx)
    }

    /// Mode testing, for these MX patterns.
    pub fn testing<M: Into<String>>(mx: impl IntoIterator<Item = M>) -> Self {
        Self::of("testing", mx)
    }

    /// Mode none.
    #[must_use]
    pub fn none() -> Self {
        Self::of("none", Vec::<String>::new())
    }

    /// The same with this `max_age`, in seconds; a week if nothing is said.
    #[must_use]
    pub const fn max_age(mut self, seconds: u64) -> Self {
        self.max_age = seconds;
        self
    }

    fn of<M: Into<String>>(mode: &'static str, mx: impl IntoIterator<Item = M>) -> Self {
        Self { mode, mx: mx.into_iter().map(Into::into).collect(), max_age: 604_800 }
    }
}

impl fmt::Display for PolicyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "version: STSv1\r\nmode: {}\r\n", self.mode)?;
        for mx in &self.mx {
            write!(f, "mx: {mx}\r\n")?;
        }
        write!(f, "max_age: {}\r\n", self.max_age)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_written_as_the_rfc_shows_it() {
        let policy = PolicyText::enforce(["mx1.example.test", "*.example.net"]).max_age(86_400);
        assert_eq!(
            policy.to_string(),
            "version: STSv1\r\nmode: enforce\r\nmx: mx1.example.test\r\nmx: *.example.net\r\n\
             max_age: 86400\r\n"
        );
    }
}
