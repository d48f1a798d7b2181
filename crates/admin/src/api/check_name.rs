//! What `/readyz` looks at.

use serde::{Deserialize, Serialize};

/// One of the things that `/readyz` looks at.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckName {
    /// Whether the wall clock can be believed.
    Clock,
    /// Whether mail leaves.
    Delivery,
    /// Whether the queue can do its work.
    Queue,
    /// Whether a resolver answers.
    Resolver,
    /// Whether the relay is not being stopped.
    Running,
    /// Whether a certificate authority is trusted.
    Trust,
}

impl CheckName {
    /// The word for it in answers and in metrics.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Clock => "clock",
            Self::Delivery => "delivery",
            Self::Queue => "queue",
            Self::Resolver => "resolver",
            Self::Running => "running",
            Self::Trust => "trust",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::CheckName;

    #[test]
    fn a_check_is_written_as_its_word_and_read_back() {
        for name in [
            CheckName::Clock,
            CheckName::Delivery,
            CheckName::Queue,
            CheckName::Resolver,
            CheckName::Running,
            CheckName::Trust,
        ] {
            let json = serde_json::to_string(&name).unwrap();
            assert_eq!(json, format!("\"{}\"", name.word()));
            assert_eq!(serde_json::from_str::<CheckName>(&json).unwrap(), name);
        }
    }
}
